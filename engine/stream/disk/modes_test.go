package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// syncs counts the syncs of segments.
func syncs(fs *vfs.Mem) *atomic.Int64 {
	var n atomic.Int64
	fs.SetFault(func(o vfs.Op) error {
		if o.Kind == "sync" && strings.Contains(o.Path, ".seg") {
			n.Add(1)
		}
		return nil
	})
	return &n
}

func TestIntervalShowsOnlyWhatIsSynced(t *testing.T) {
	r := newRig(t, Options{Sync: stream.SyncInterval})
	if r.back.Sync() != "interval" {
		t.Errorf("the backend says %s", r.back.Sync())
	}
	r.log.Configure(stream.ShardOptions{SyncEvery: time.Hour})
	n := syncs(r.fs)
	r.mustAppend(20, 100)
	if got := r.log.Bounds().Next; got != 0 || n.Load() != 0 {
		t.Errorf("%d records are shown after %d syncs", got, n.Load())
	}
	if err := r.log.(*Log).Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wantAll()
	r.mustAppend(5, 100)
	r.reopen() // an orderly close syncs
	r.wantAll()
}

func TestIntervalSyncsByItself(t *testing.T) {
	r := newRig(t, Options{Sync: stream.SyncInterval})
	r.log.Configure(stream.ShardOptions{SyncEvery: time.Millisecond})
	for range 5 {
		more := r.log.Updated()
		r.mustAppend(1, 100)
		for int(r.log.Bounds().Next) < len(r.want) {
			<-more
			more = r.log.Updated()
		}
	}
	r.wantAll()
}

func TestIntervalLosesAtMostWhatNobodySaw(t *testing.T) {
	r := newRig(t, Options{Sync: stream.SyncInterval, SegmentSize: 2 << 10})
	r.log.Configure(stream.ShardOptions{SyncEvery: time.Hour})
	r.mustAppend(50, 100) // a full segment is synced before the next begins
	seen := r.log.Bounds().Next
	if seen == 0 || int(seen) == len(r.want) {
		t.Fatalf("%d of %d records are shown", seen, len(r.want))
	}
	for seed := range uint64(50) {
		after := &rig{t: t, fs: r.fs.Crash(rand.New(rand.NewPCG(seed, 0))), o: r.o, want: r.want}
		after.open()
		if next := after.log.Bounds().Next; next < seen {
			t.Errorf("after a crash the log ends at %d, %d had been shown", next, seen)
		}
		after.read()
		after.close()
	}
}

func TestFailedIntervalSyncTakesAcknowledgementsBack(t *testing.T) {
	r := newRig(t, Options{Sync: stream.SyncInterval})
	r.log.Configure(stream.ShardOptions{SyncEvery: time.Hour})
	producer := func(to int64) {
		t.Helper()
		if _, err := r.log.Append(t.Context(), &record.Batch{Producer: record.Producer{ID: 3}, End: to}); err != nil {
			t.Fatal(err)
		}
	}
	r.mustAppend(3, 100)
	producer(10)
	if err := r.log.(*Log).Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	safe := r.want
	r.mustAppend(3, 100)
	producer(20)
	if p, _ := r.log.Position(3); p.Value != 20 {
		t.Errorf("position %d", p.Value)
	}
	failOnce(r.fs, "sync")
	if err := r.log.(*Log).Flush(t.Context()); err == nil {
		t.Fatal("no error")
	}
	r.fs.SetFault(nil)
	if p, _ := r.log.Position(3); p.Value != 10 {
		t.Errorf("position %d after what led there was lost", p.Value)
	}
	r.want = safe
	r.wantAll()
	r.mustAppend(3, 100)
	r.reopen()
	r.wantAll()
}

func TestNeverSyncsNotAtAll(t *testing.T) {
	r := newRig(t, Options{Sync: stream.SyncNever, SegmentSize: 2 << 10})
	n := syncs(r.fs)
	r.mustAppend(100, 100)
	r.wantAll()
	if n.Load() != 0 || len(r.segments()) < 5 {
		t.Errorf("%d syncs for %d segments", n.Load(), len(r.segments()))
	}
	r.fs.SetFault(nil)
	r.kill()
	r.wantAll()
	r.mustAppend(10, 100)
	r.reopen()
	r.wantAll()
}

func TestSyncModeChangesWhileTheLogIsOpen(t *testing.T) {
	r := newRig(t, Options{})
	for _, mode := range []stream.SyncMode{stream.SyncInterval, stream.SyncNever, stream.SyncInterval, stream.SyncAlways} {
		r.log.Configure(stream.ShardOptions{Sync: mode, SyncEvery: time.Hour})
		r.mustAppend(5, 100)
	}
	r.wantAll()
	for seed := range uint64(20) {
		after := &rig{t: t, fs: r.fs.Crash(rand.New(rand.NewPCG(seed, 0))), o: r.o, want: r.want}
		after.open()
		after.wantAll()
		after.close()
	}
}

func TestCompressedFramesAreReadBack(t *testing.T) {
	for _, c := range []stream.Compression{stream.Zstd, stream.Snappy, stream.NoCompression} {
		r := newRig(t, Options{SegmentSize: 64 << 10})
		r.log.Configure(stream.ShardOptions{Compression: c})
		r.mustAppend(100, 2000) // small and easy to compress
		var b record.Batch
		noise := make([]byte, 100_000)
		for i := range noise {
			noise[i] = byte(rand.Uint32())
		}
		for _, data := range []string{strings.Repeat("large ", 500_000), string(noise), ""} {
			b.Add(nil, []byte(data), 0)
			r.want = append(r.want, data)
		}
		if _, err := r.log.Append(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		r.wantAll()
		r.kill()
		r.wantAll()
		r.log.Configure(stream.ShardOptions{})
		r.mustAppend(10, 1000)
		r.reopen()
		r.wantAll()
		if bytes := r.log.Bounds().Bytes; (bytes > 400_000) != (c == stream.NoCompression) {
			t.Errorf("%s: %d bytes on disk", c, bytes)
		}
	}
}

// TestReadsAreBoundedByWhatTheyBecome has small frames that are large when they are decompressed.
func TestReadsAreBoundedByWhatTheyBecome(t *testing.T) {
	r := newRig(t, Options{})
	r.log.Configure(stream.ShardOptions{Compression: stream.Zstd})
	r.mustAppend(20, 1<<20)
	var buf stream.Buffer
	for at := record.Ordinal(0); int(at) < len(r.want); {
		frames, err := r.log.Read(context.Background(), at, &buf)
		if err != nil || len(frames) > 1 || cap(buf.Plain) > 4<<20 {
			t.Fatalf("%d frames at once, %d bytes decompressed, %v", len(frames), cap(buf.Plain), err)
		}
		at = frames[0].Next()
	}
}

func FuzzDecompress(f *testing.F) {
	text := bytes.Repeat([]byte("millrace "), 100)
	e, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	bomb := e.EncodeAll(make([]byte, 8<<20), nil)
	f.Add(byte(codecZstd), e.EncodeAll(text, nil), len(text))
	f.Add(byte(codecSnappy), snappy.Encode(nil, text), len(text))
	f.Add(byte(codecZstd), bomb, 100)
	f.Add(byte(codecSnappy), snappy.Encode(nil, make([]byte, 1<<20)), 100)
	f.Fuzz(func(t *testing.T, c byte, b []byte, raw int) {
		if raw < 0 || raw > 1<<20 {
			return
		}
		before := []byte("before")
		dst := append(make([]byte, 0, 64), before...)
		out, err := decompress(codec(c), dst, b, raw)
		if err != nil {
			if !errors.Is(err, errBadBody) {
				t.Error(err)
			}
			return
		}
		if len(out) < raw || cap(out) > raw+256 || string(dst) != string(before) {
			t.Errorf("%d bytes, room for %d, for %d; before them %q", len(out), cap(out), raw, dst)
		}
	})
}

func TestIdleSegmentExpires(t *testing.T) {
	r := newRig(t, Options{})
	r.log.Configure(stream.ShardOptions{Retention: time.Hour})
	r.mustAppend(100, 1000)
	r.log.SetHold(50)
	r.clock.advance(2 * time.Hour)
	tidy := func() {
		t.Helper()
		if err := r.back.Tidy(t.Context(), r.clock.now()); err != nil {
			t.Fatal(err)
		}
	}
	tidy()
	if b := r.log.Bounds(); b.Bytes < 50_000 || b.Oldest != 50 {
		t.Errorf("held records are gone: %+v", b)
	}
	r.log.SetHold(stream.NoHold)
	tidy()
	if b := r.log.Bounds(); b.Bytes > 1000 || b.Oldest != 100 || b.Next != 100 || len(r.segments()) != 1 {
		t.Errorf("after the retention: %+v, segments %v", b, r.segments())
	}
	tidy()
	if got := path.Base(r.segments()[0]); got != segmentName(100) {
		t.Errorf("an empty segment was replaced: %s", got)
	}
	var b record.Batch
	b.Add(nil, []byte("next"), 0)
	if done, err := r.log.Append(t.Context(), &b); err != nil || done.First != 100 {
		t.Errorf("%+v %v", done, err)
	}
}

func TestShardThatMustExistIsNotMadeAgain(t *testing.T) {
	r := newRig(t, Options{})
	r.mustAppend(3, 10)
	if _, err := r.back.Shard(t.Context(), "s", 9, stream.ShardOptions{MustExist: true}); err == nil {
		t.Error("a shard that is not there was opened")
	}
	r.close()
	if err := removeAll(r.fs, "data/streams/s/000000000000", true); err != nil {
		t.Fatal(err)
	}
	back, err := Open(r.fs, "data", r.o)
	if err != nil {
		t.Fatal(err)
	}
	r.back = back
	_, err = back.Shard(t.Context(), "s", 0, stream.ShardOptions{MustExist: true})
	for _, part := range []string{"shardId-000000000000", "data/streams/s/000000000000", "put them back from a copy", "millrace stream delete s --yes --data data"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("no word of %q: %v", part, err)
		}
	}
}

func TestEndOfAShardSurvivesDamageAndIsAddedAgain(t *testing.T) {
	fs, c := vfs.NewMem(), newClock()
	open := func() (*Backend, *stream.Stream) {
		back, err := Open(fs, "data", Options{Now: c.now, Reserve: 1})
		if err != nil {
			t.Fatal(err)
		}
		s, err := stream.Open(t.Context(), back, stream.Spec{Name: "s", Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		return back, s
	}
	back, s := open()
	var b record.Batch
	b.Add([]byte("k"), []byte("x"), 0)
	if err := s.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if err := s.Split(t.Context(), 0, record.EvenRanges(2)[1].Start); err != nil {
		t.Fatal(err)
	}
	if err := back.Close(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("data/streams/s/000000000000/%s", segmentName(0))
	size, err := fs.Size(name)
	if err != nil {
		t.Fatal(err)
	}
	cut(t, fs, name, size-frameHeader)
	if err := fs.Remove(strings.TrimSuffix(name, ".seg") + ".idx"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		back, s = open()
		if got := s.Log(0).Bounds(); !got.Closed || got.Next != 1 {
			t.Errorf("the parent is %+v", got)
		}
		if err := back.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
