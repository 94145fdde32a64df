package file

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/sources/sourcestest"
)

// onDisk opens a real stream. close must be called before it is opened again.
func onDisk(tb testing.TB, dir string, shards int) (s *stream.Stream, close func()) {
	tb.Helper()
	b, err := disk.Open(vfs.OS{}, dir, disk.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	s, err = stream.Open(tb.Context(), b, stream.Spec{Name: "events", Shards: shards})
	if err != nil {
		tb.Fatal(err)
	}
	return s, func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	}
}

// stored is the data of all records of a stream, sorted.
func stored(t *testing.T, s *stream.Stream) []string {
	t.Helper()
	var all []string
	for _, sh := range s.Shards() {
		log := s.Log(sh.ID)
		var buf stream.Buffer
		for next := log.Bounds().Oldest; ; {
			frames, err := log.Read(t.Context(), next, &buf)
			if err != nil {
				t.Fatal(err)
			}
			if len(frames) == 0 {
				break
			}
			for _, f := range frames {
				for body := f.Body; len(body) > 0; {
					r, rest, err := record.Next(body)
					if err != nil {
						t.Fatal(err)
					}
					all, body = append(all, string(r.Data)), rest
				}
				next = f.Next()
			}
		}
	}
	slices.Sort(all)
	return all
}

// stopping ends the source after so many writes, as a stop does: some are under way.
type stopping struct {
	*stream.Stream
	left atomic.Int64
	stop context.CancelFunc
}

func (s *stopping) Write(ctx context.Context, b *record.Batch) error {
	if s.left.Add(-1) < 0 {
		s.stop()
	}
	return s.Stream.Write(ctx, b)
}

func TestStoppedAndStartedOnDiskStoresEachLineOnce(t *testing.T) {
	for _, follow := range []bool{false, true} {
		lines := events(2000)
		path := write(t, filepath.Join(t.TempDir(), "a.ndjson"), text(lines))
		data := t.TempDir()
		for n := range int64(30) {
			s, closeStream := onDisk(t, data, 3)
			ctx, cancel := context.WithCancel(t.Context())
			w := &stopping{Stream: s, stop: cancel}
			if w.left.Store(n % 7); n == 29 {
				w.left.Store(1000)
			}
			src := &source{cfg: reading(path), env: sourcestest.NewEnv("events").Env, batchSize: 5000 + int(n)*100}
			src.cfg.Follow = follow && n < 29
			if err := src.Run(ctx, w); err != nil {
				t.Fatal(err)
			}
			cancel()
			closeStream()
		}
		s, closeStream := onDisk(t, data, 3)
		want := slices.Sorted(slices.Values(lines))
		if diff := cmp.Diff(want, stored(t, s)); diff != "" {
			t.Fatalf("following %v: %s", follow, diff)
		}
		closeStream()
	}
}

func TestNewFileIsKnownToEveryShardAtOnce(t *testing.T) {
	s, closeStream := onDisk(t, t.TempDir(), 3)
	defer closeStream()
	p := record.Producer{ID: stream.ProducerID("x"), Epoch: 1}
	if err := s.Flush(t.Context(), p, 0); err != nil {
		t.Fatal(err)
	}
	if position, ok := s.Position(p.ID); !ok || position != 0 {
		t.Fatal(position, ok)
	}
}

// benchLines are rows as the benchmark of the whole has them.
func benchLines(n int) []byte {
	var b []byte
	for i := range n {
		b = fmt.Appendf(b, `{"event_time":"2026-01-01T00:00:%02d.%03dZ","user_id":"u%d","session_id":"2bba92c487464e7b","url":"/kitchen/%d","action":"view","price":64.30,"quantity":5,"country":"IN","user_agent":"Firefox/139 (Linux x86_64)","geo":{"lat":15.06,"lon":30.55},"seq":%d}`+"\n",
			i/1000%60, i%1000, 1000+i*7919%200000, 10000+i*31%25000, i)
	}
	return b
}

// The cost of a row from the file into batches, without the stream.
func BenchmarkRead(b *testing.B) {
	const rows = 400_000
	content := benchLines(rows)
	path := filepath.Join(b.TempDir(), "a.ndjson")
	write(b, path, content)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		src := &source{cfg: reading(path), env: sourcestest.NewEnv("events").Env, batchSize: batchSize}
		if err := src.Run(b.Context(), discard{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
}

type discard struct{}

func (discard) Write(context.Context, *record.Batch) error          { return nil }
func (discard) TryWrite(context.Context, *record.Batch) error       { return nil }
func (discard) Position(uint64) (int64, bool)                       { return 0, false }
func (discard) Flush(context.Context, record.Producer, int64) error { return nil }
