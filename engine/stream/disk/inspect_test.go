package disk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// inspected is a directory with a stream that was split, merged, compressed and closed.
func inspected(t *testing.T) *vfs.Mem {
	t.Helper()
	fs, c := vfs.NewMem(), newClock()
	back, err := Open(fs, "data", Options{Now: c.now, SegmentSize: 2 << 10, Reserve: 1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := stream.Open(t.Context(), back, stream.Spec{Name: "clicks", Shards: 2, Settings: stream.Settings{Compression: stream.Zstd}, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	fillStream(t, s, 0)
	if err := s.Split(t.Context(), 0, record.EvenRanges(4)[1].Start); err != nil {
		t.Fatal(err)
	}
	fillStream(t, s, 20)
	if err := s.Merge(t.Context(), 3, 1); err != nil {
		t.Fatal(err)
	}
	fillStream(t, s, 40)
	if err := back.Close(); err != nil {
		t.Fatal(err)
	}
	return fs
}

func fillStream(t *testing.T, s *stream.Stream, from int64) {
	t.Helper()
	for i := from; i < from+20; i++ {
		b := record.Batch{Producer: record.Producer{ID: 5}, End: 10 * (i + 1)}
		for j := range int64(10) {
			b.Add(fmt.Append(nil, i*10+j), []byte(strings.Repeat(fmt.Sprint(i*10+j, " "), 20)), i*10+j+1)
		}
		if err := s.Write(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
}

func verify(t *testing.T, fs vfs.FS) *Report {
	t.Helper()
	r, err := Verify(t.Context(), fs, "data")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerifyFindsNothingInASoundDirectory(t *testing.T) {
	fs := inspected(t)
	before := fs.String()
	r := verify(t, fs)
	if damage := r.Damage(); len(damage) > 0 {
		t.Errorf("found %v", damage)
	}
	s := r.Streams[0]
	records, compressed := 0, 0
	for _, sh := range s.Shards {
		if sealed := sh.ID == 0 || sh.ID == 1 || sh.ID == 3; sh.Sealed != sealed || len(sh.Problems) > 0 {
			t.Errorf("%s: sealed %v, %v", sh.ID, sh.Sealed, sh.Problems)
		}
		for _, seg := range sh.Segments {
			records += int(seg.Next - seg.First)
			compressed += seg.Frames["zstd"]
			if seg.Index != "ok" || seg.Leftover != 0 {
				t.Errorf("%s: index %s, leftover %d", seg.Path, seg.Index, seg.Leftover)
			}
		}
	}
	if records != 600 || compressed == 0 || s.Description.OpenShards != 2 {
		t.Errorf("%d records, %d compressed frames, %d open shards", records, compressed, s.Description.OpenShards)
	}
	if fs.String() != before {
		t.Error("the directory was changed")
	}
}

// TestVerifyFindsEveryFlippedBit flips bits all over the files that hold records or documents.
func TestVerifyFindsEveryFlippedBit(t *testing.T) {
	fs := inspected(t)
	r := rand.New(rand.NewPCG(1, 1))
	for line := range strings.Lines(fs.String()) {
		var name string
		var size int64
		if _, err := fmt.Sscanf(line, "%s %d", &name, &size); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".idx") || strings.HasSuffix(name, "LOCK") {
			continue
		}
		for range 12 {
			at := r.Int64N(size)
			flip(t, fs, name, at)
			if got := verify(t, fs).Damage(); len(got) == 0 {
				t.Errorf("a flipped bit in byte %d of %s was not found", at, name)
			}
			flip(t, fs, name, at)
		}
	}
	if got := verify(t, fs).Damage(); len(got) > 0 {
		t.Errorf("all bits are as they were: %v", got)
	}
}

func TestVerifyFindsWhatIsMissing(t *testing.T) {
	for what, damage := range map[string]func(fs *vfs.Mem) error{
		"a segment":  func(fs *vfs.Mem) error { return fs.Remove(segmentsOf(t, fs, 0)[1]) },
		"a tail":     func(fs *vfs.Mem) error { cut(t, fs, segmentsOf(t, fs, 0)[0], 500); return nil },
		"a shard":    func(fs *vfs.Mem) error { return removeAll(fs, "data/streams/clicks/000000000002", true) },
		"a document": func(fs *vfs.Mem) error { return fs.Remove("data/meta/streams+clicks.doc") },
	} {
		fs := inspected(t)
		if err := damage(fs); err != nil {
			t.Fatal(err)
		}
		if got := verify(t, fs).Damage(); len(got) == 0 {
			t.Errorf("%s is missing and nothing was found", what)
		}
	}
}

func segmentsOf(t *testing.T, fs *vfs.Mem, shard int) []string {
	t.Helper()
	r := &rig{t: t, fs: fs}
	return r.segmentsIn(fmt.Sprintf("data/streams/clicks/%012d", shard))
}

func TestVerifyTakesATornTailForHarmless(t *testing.T) {
	r := newRig(t, Options{})
	r.mustAppend(3, 500)
	failOnce(r.fs, "sync")
	if err := r.append(3000); err == nil {
		t.Fatal("no error")
	}
	next := r.fs.Restart()
	name := r.segments()[0]
	size, err := next.Size(name)
	if err != nil {
		t.Fatal(err)
	}
	cut(t, next, name, size-100)
	report := verify(t, next)
	seg := report.Streams[0].Shards[0].Segments[0]
	if len(seg.Problems) > 0 || seg.Leftover == 0 || seg.Next != 3 {
		t.Errorf("%+v", seg)
	}
}

func TestDumpShowsFramesWhileTheDirectoryIsInUse(t *testing.T) {
	r := newRig(t, Options{SegmentSize: 1 << 10})
	r.mustAppend(10, 300)
	var text strings.Builder
	if _, err := Dump(context.Background(), &text, r.fs, "data", DumpOptions{Stream: "s", Records: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"record 7  key \"key\"", "records 3 up to 4"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the dump does not say %q:\n%s", want, text.String())
		}
	}
	r.mustAppend(1, 300)
	if _, err := Dump(context.Background(), &text, r.fs, "nowhere", DumpOptions{}); err == nil {
		t.Error("a directory that is not there was dumped")
	}
}
