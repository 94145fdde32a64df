package disk

import (
	"errors"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/vfs"
)

// damaged builds a log of a few segments, lets change damage what was closed in good order, and
// opens it again.
func damaged(t *testing.T, change func(r *rig)) *rig {
	t.Helper()
	r := newRig(t, Options{SegmentSize: 2 << 10})
	r.mustAppend(29, 200)
	r.close()
	change(r)
	r.open()
	return r
}

// checkDamage demands that each record is read as it was written or reported as lost, and that
// the log takes more without using an ordinal again.
func (r *rig) checkDamage() map[record.Ordinal]bool {
	r.t.Helper()
	lost := r.read()
	next := r.log.Bounds().Next
	if int(next) < len(r.want) {
		r.t.Fatalf("the log ends at %d, %d records were acknowledged", next, len(r.want))
	}
	for int(next) > len(r.want) {
		r.want = append(r.want, "never stored")
	}
	r.mustAppend(2, 100)
	r.read()
	return lost
}

func TestFlippedBitIsReportedWhereverItIs(t *testing.T) {
	probe := newRig(t, Options{SegmentSize: 2 << 10})
	probe.mustAppend(29, 200)
	segments := probe.segments()
	for i, s := range segments {
		size, err := probe.fs.Size(s)
		if err != nil {
			t.Fatal(err)
		}
		for at := int64(0); at < size; at += 13 {
			r := damaged(t, func(r *rig) { flip(t, r.fs, r.segments()[i], at) })
			lost := r.checkDamage()
			if len(lost) == 0 && at >= segmentHeader {
				t.Fatalf("%s, byte %d: nothing was reported", s, at)
			}
			if len(lost) > 1 && at >= segmentHeader && i < len(segments)-1 {
				t.Fatalf("%s, byte %d: lost %v for one bit", s, at, lost)
			}
			r.reopen()
			r.read()
		}
	}
}

func flip(t *testing.T, fs *vfs.Mem, name string, at int64) {
	t.Helper()
	if err := fs.Flip(name, at); err != nil {
		t.Fatal(err)
	}
}

func TestFlippedBitInAnIndexChangesNothing(t *testing.T) {
	for at := int64(0); at < 100; at += 3 {
		r := damaged(t, func(r *rig) {
			for _, s := range r.segments() {
				flip(t, r.fs, s[:len(s)-4]+".idx", at)
			}
		})
		r.wantAll()
	}
}

func TestMissingIndexIsMadeAgain(t *testing.T) {
	var removed string
	r := damaged(t, func(r *rig) {
		for _, s := range r.segments() {
			removed = s[:len(s)-4] + ".idx"
			if err := r.fs.Remove(removed); err != nil {
				t.Fatal(err)
			}
		}
	})
	r.wantAll()
	if _, err := r.fs.Size(r.segments()[0][:len(r.segments()[0])-4] + ".idx"); err != nil {
		t.Error(err)
	}
}

func TestMissingSegmentIsReported(t *testing.T) {
	for _, gone := range []int{1, 2} {
		r := damaged(t, func(r *rig) {
			s := r.segments()[gone]
			if err := errors.Join(r.fs.Remove(s), r.fs.Remove(s[:len(s)-4]+".idx")); err != nil {
				t.Fatal(err)
			}
		})
		if lost := r.checkDamage(); len(lost) == 0 {
			t.Errorf("segment %d is missing and nothing was reported", gone)
		}
	}
}

func TestTruncatedSegmentIsReported(t *testing.T) {
	for i := range 2 {
		r := damaged(t, func(r *rig) {
			segments := r.segments()
			cut(t, r.fs, segments[len(segments)-1-i], 600)
		})
		if lost := r.checkDamage(); len(lost) == 0 {
			t.Error("nothing was reported")
		}
	}
}

func cut(t *testing.T, fs *vfs.Mem, name string, size int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestRotBeforeTheTailIsNotTakenForATornTail flips bits in a log whose process was killed, so that
// no index vouches for its end.
func TestRotBeforeTheTailIsNotTakenForATornTail(t *testing.T) {
	for at := int64(segmentHeader); ; at += 11 {
		r := newRig(t, Options{})
		r.mustAppend(10, 200)
		next := r.fs.Restart()
		r.close()
		r.fs = next
		name := r.segments()[0]
		size, err := r.fs.Size(name)
		if err != nil {
			t.Fatal(err)
		}
		// The last frame may be a torn tail: it was the last group.
		if at >= size-280 {
			return
		}
		flip(t, r.fs, name, at)
		r.open()
		if lost := r.checkDamage(); len(lost) != 1 {
			t.Fatalf("byte %d: lost %v", at, lost)
		}
	}
}

// TestBytesOfARecordDoNotPassForAFrame tears a write whose record holds a frame of another
// segment: what follows the tear must not be taken for part of the log.
func TestBytesOfARecordDoNotPassForAFrame(t *testing.T) {
	f := frame{kind: kindData, group: 1 << 20}
	f.First, f.Count = 1, 1
	body := []byte{0, 1, 'x'}
	forged := make([]byte, frameHeader)
	f.put(forged, 12345, body)
	forged = append(forged, body...)

	r := newRig(t, Options{})
	r.mustAppend(1, 10)
	name := r.segments()[0]
	var b record.Batch
	for range 30 {
		b.Add(nil, forged, 0)
	}
	failOnce(r.fs, "sync")
	if _, err := r.log.Append(t.Context(), &b); err == nil {
		t.Fatal("no error")
	}
	next := r.fs.Restart()
	r.close()
	r.fs = next
	size, err := r.fs.Size(name)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, r.fs, name, size/4)
	r.open()
	r.wantAll()
}

func FuzzSegment(f *testing.F) {
	h := header{first: 5, seed: 99, incarnation: 7}
	good := appendTable(h.append(nil), h, nil)
	for i := range 3 {
		fr := frame{kind: kindData, group: uint32(len(good))}
		fr.First, fr.Count = record.Ordinal(5+i), 1
		body := []byte{0, 1, 'x'}
		head := make([]byte, frameHeader)
		fr.put(head, h.seed, body)
		good = append(append(good, head...), body...)
	}
	f.Add(good)
	f.Add(good[:len(good)-2])
	f.Add(append(append([]byte(nil), good[:80]...), good[90:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeader(b)
		if err != nil {
			h = header{first: 5, seed: 99}
		}
		m := vfs.NewMem()
		file, err := m.Create("s")
		if err == nil {
			_, err = file.WriteAt(b, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		l := &Log{backend: &Backend{}}
		for _, limit := range []record.Ordinal{unsealed, 7} {
			found, err := scan(l.scanner(file, int64(len(b)), h.seed), h.index(), limit)
			if err != nil {
				t.Fatal(err)
			}
			if found.length > max(int64(len(b)), segmentHeader) || found.next < h.first {
				t.Errorf("found %d bytes up to record %d in %d bytes from %d on", found.length, found.next, len(b), h.first)
			}
		}
	})
}

func FuzzIndex(f *testing.F) {
	x := header{first: 5, seed: 99}.index()
	x.next, x.length = 9, 1000
	x.entries = []entry{{first: 5, offset: 64}, {first: 7, offset: 200}}
	f.Add(x.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decodeIndex(b)
		if err != nil {
			return
		}
		if again, err := decodeIndex(x.encode()); err != nil || len(again.entries) != len(x.entries) {
			t.Errorf("an index that was read cannot be written: %v", err)
		}
	})
}

func FuzzMetaDocument(f *testing.F) {
	f.Add(encodeDocument("tasks/a", 5, []byte("value")))
	f.Fuzz(func(t *testing.T, b []byte) {
		value, _, err := decodeDocument("tasks/a", b)
		if err == nil && len(value) > len(b) {
			t.Error("the value is longer than the file")
		}
	})
}
