package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

func TestFailedSyncIsNeitherAcknowledgedNorRetried(t *testing.T) {
	r := newRig(t, Options{})
	r.mustAppend(3, 100)
	bad := r.segments()[0]
	var syncs atomic.Int64
	r.fs.SetFault(func(o vfs.Op) error {
		if o.Kind == "sync" && strings.HasPrefix(o.Path, bad) {
			syncs.Add(1)
			return syscall.EIO
		}
		return nil
	})
	if err := r.append(100); !errors.Is(err, syscall.EIO) {
		t.Fatalf("append: %v", err)
	}
	r.wantAll()
	r.mustAppend(3, 100)
	r.wantAll()
	if n := syncs.Load(); n != 1 || len(r.segments()) != 2 {
		t.Errorf("the bad segment was synced %d times; segments %v", n, r.segments())
	}
	r.fs.SetFault(nil)
	r.kill()
	r.wantAll()
}

func TestFailureBeforeTheFirstRecordReplacesTheSegment(t *testing.T) {
	r := newRig(t, Options{})
	for _, kind := range []string{"write", "sync"} {
		failOnce(r.fs, kind)
		if err := r.append(100); err == nil {
			t.Fatal("no error")
		}
	}
	r.mustAppend(2, 100)
	if len(r.segments()) != 1 {
		t.Errorf("segments %v", r.segments())
	}
	r.wantAll()
	r.reopen()
	r.wantAll()
}

func TestAppendAfterAFailureWasToldDoesNotShareIt(t *testing.T) {
	r := newRig(t, Options{})
	r.mustAppend(1, 10)
	// While the first write is held up so many appends gather that telling them of the second's
	// failure takes a while.
	var writes atomic.Int64
	held, gathered := make(chan struct{}), make(chan struct{})
	r.fs.SetFault(func(o vfs.Op) error {
		if o.Kind != "write" {
			return nil
		}
		switch writes.Add(1) {
		case 1:
			close(held)
			<-gathered
		case 2:
			return syscall.EIO
		}
		return nil
	})
	enqueue := func() func() (stream.Appended, error) {
		var b record.Batch
		b.Add(nil, nil, 0)
		wait, err := r.log.Enqueue(context.Background(), &b)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	first := enqueue()
	<-held
	const many = 20_000
	waits := make([]func() (stream.Appended, error), many)
	for i := range waits {
		waits[i] = enqueue()
	}
	close(gathered)
	if _, err := first(); err != nil {
		t.Fatal(err)
	}
	for i, wait := range waits {
		if _, err := wait(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("append %d: %v", i, err)
		}
		if i > 0 {
			continue
		}
		if _, err := enqueue()(); err != nil {
			t.Errorf("an append after the failure was told: %v", err)
		}
	}
	if n := r.log.Bounds().Next; n != 3 {
		t.Errorf("%d records are stored, want 3", n)
	}
}

func failOnce(m *vfs.Mem, kind string) {
	var done atomic.Bool
	m.SetFault(func(o vfs.Op) error {
		if o.Kind == kind && done.CompareAndSwap(false, true) {
			return syscall.EIO
		}
		return nil
	})
}

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	r := newRig(t, Options{SegmentSize: 8 << 10})
	r.mustAppend(20, 500)
	r.fs.SetCapacity(1 << 10)
	for range 3 {
		if err := r.append(500); !errors.Is(err, stream.ErrFull) {
			t.Fatalf("append to a full disk: %v", err)
		}
		r.wantAll()
	}
	r.fs.SetCapacity(0)
	r.mustAppend(20, 500)
	r.wantAll()
	r.reopen()
	r.wantAll()
}

func TestShortWriteIsNotAcknowledged(t *testing.T) {
	// As if another program took the space after the look: the write begins and stops in the middle.
	r := newRig(t, Options{Reserve: -1 << 20})
	r.mustAppend(3, 500)
	var used int64
	for _, s := range r.segments() {
		n, err := r.fs.Size(s)
		if err != nil {
			t.Fatal(err)
		}
		used += n
	}
	r.fs.SetCapacity(used + 400)
	if err := r.append(500); !errors.Is(err, stream.ErrFull) {
		t.Errorf("append: %v", err)
	}
	r.kill()
	r.fs.SetCapacity(0)
	r.wantAll()
	r.mustAppend(3, 500)
	r.wantAll()
}

func TestNearlyFullDiskRefusesBeforeItIsFull(t *testing.T) {
	r := newRig(t, Options{Reserve: 10_000})
	r.fs.SetCapacity(30_000)
	var err error
	for range 100 {
		if err = r.append(500); err != nil {
			break
		}
	}
	free, _, _ := r.fs.FreeSpace("data")
	if !errors.Is(err, stream.ErrFull) || free < 8_000 {
		t.Errorf("%v with %d bytes free", err, free)
	}
	if _, err := r.back.Meta().CAS(context.Background(), "checkpoint", []byte("x"), 0); err != nil {
		t.Errorf("a checkpoint on the nearly full disk: %v", err)
	}
	r.wantAll()
	r.fs.SetCapacity(60_000)
	r.mustAppend(1, 500)
}

// Checkpoints are written while appends are: a group must not take the reserve, not even until it fails.
func TestNoGroupIsWrittenIntoTheReserve(t *testing.T) {
	const reserve = 10_000
	r := newRig(t, Options{Reserve: reserve})
	r.fs.SetCapacity(50_000)
	var lowest atomic.Int64
	lowest.Store(reserve)
	r.fs.SetFault(func(vfs.Op) error {
		free, _, _ := r.fs.FreeSpace("data")
		lowest.Store(min(lowest.Load(), free))
		return nil
	})
	var err error
	for range 20 {
		if err = r.append(8_000); err != nil {
			break
		}
	}
	if !errors.Is(err, stream.ErrFull) || lowest.Load() < reserve {
		t.Errorf("%v, with %d bytes free at times", err, lowest.Load())
	}
	r.wantAll()
	if err := r.log.Seal(context.Background()); err != nil {
		t.Errorf("sealing on a nearly full disk: %v", err)
	}
}

// A consumer stands behind the records that are gone. Numbers below it would never be read.
func TestNumbersOfATruncatedSegmentAreNotUsedAgain(t *testing.T) {
	r := newRig(t, Options{})
	for range 50 {
		r.mustAppend(1, 10)
	}
	b := record.Batch{Producer: record.Producer{ID: 7, Epoch: 1}, End: 3}
	b.Add([]byte("key"), []byte("data"), 0)
	if _, err := r.log.Append(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	next := r.log.Bounds().Next
	r.close()
	f, err := r.fs.OpenReadWrite(r.segments()[0])
	if err == nil {
		err = errors.Join(f.Truncate(30), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	r.open()
	if got := r.log.Bounds().Next; got < next {
		t.Errorf("the next number is %d, and %d were used", got, next)
	}
	if _, known := r.log.Position(7); !known {
		t.Error("a producer is forgotten")
	}
	// Who begins at the oldest record is told of the loss.
	at, err := r.log.Seek(context.Background(), time.UnixMilli(1))
	if err != nil || at != 0 {
		t.Errorf("seek before all records: %d, %v", at, err)
	}
	var buf stream.Buffer
	var lost *stream.CorruptError
	if _, err := r.log.Read(context.Background(), 0, &buf); !errors.As(err, &lost) || lost.From != 0 || lost.Next != next {
		t.Errorf("reading what is lost: %v", err)
	}
	report, err := Inspect(context.Background(), r.fs, "data", Inspection{})
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(report.Damage()); !strings.Contains(text, fmt.Sprint(next)) {
		t.Errorf("reported: %s", text)
	}
}

func TestSecondProcessIsToldOfTheFirst(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(vfs.OS{}, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(vfs.OS{}, dir, Options{})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID == 0 || !strings.Contains(err.Error(), "is in use by process") {
		t.Errorf("second open: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(vfs.OS{}, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestArrivalNeverFalls(t *testing.T) {
	r := newRig(t, Options{SegmentSize: 4 << 10})
	for i := range 60 {
		r.mustAppend(1, 500)
		r.clock.advance(-time.Hour)
		switch {
		case i%20 == 5:
			r.reopen()
		case i%20 == 15:
			r.kill()
		}
	}
	last := int64(0)
	var buf stream.Buffer
	for at := record.Ordinal(0); int(at) < len(r.want); {
		frames, err := r.log.Read(context.Background(), at, &buf)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			if f.Arrival < last {
				t.Errorf("record %d arrived at %d, the one before at %d", f.First, f.Arrival, last)
			}
			last, at = f.Arrival, f.Next()
		}
	}
}

func TestShardBeginsBehindItsParents(t *testing.T) {
	r := newRig(t, Options{})
	child, err := r.back.Shard(context.Background(), "s", 1, stream.ShardOptions{MinArrival: r.clock.now().UnixMilli() + 5000})
	if err != nil {
		t.Fatal(err)
	}
	var b record.Batch
	b.Add(nil, nil, 0)
	if _, err := child.Append(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	frames, err := child.Read(context.Background(), 0, &stream.Buffer{})
	if err != nil || frames[0].Arrival != r.clock.now().UnixMilli()+5000 {
		t.Errorf("%+v %v", frames, err)
	}
}

func TestOpenReadsTheLastSegmentOnly(t *testing.T) {
	r := newRig(t, Options{SegmentSize: 4 << 10})
	r.mustAppend(200, 500)
	if len(r.segments()) < 20 {
		t.Fatalf("segments %v", r.segments())
	}
	for what, restart := range map[string]func(){"close": r.reopen, "kill": r.kill} {
		touched := map[string]bool{}
		count := func(o vfs.Op) error {
			if o.Kind == "read" && strings.HasSuffix(o.Path, ".seg") {
				touched[o.Path] = true
			}
			return nil
		}
		if what == "kill" {
			next := r.fs.Restart()
			r.close()
			r.fs = next
			r.fs.SetFault(count)
			r.open()
		} else {
			r.fs.SetFault(count)
			restart()
		}
		r.fs.SetFault(nil)
		if len(touched) > 1 {
			t.Errorf("after %s: read %v", what, touched)
		}
	}
	r.wantAll()
}

func TestProducersOutliveTheirSegments(t *testing.T) {
	r := newRig(t, Options{SegmentSize: 4 << 10})
	b := record.Batch{Producer: record.Producer{ID: 77, Epoch: 3}, End: 10}
	if _, err := r.log.Append(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	r.mustAppend(100, 500)
	if err := r.log.Trim(context.Background(), 90); err != nil {
		t.Fatal(err)
	}
	if n := len(r.segments()); n > 3 {
		t.Fatalf("%d segments are left", n)
	}
	for _, restart := range []func(){r.reopen, r.kill} {
		restart()
		if p, ok := r.log.Position(77); !ok || p != (stream.Position{Epoch: 3, Value: 10}) {
			t.Errorf("position %+v %v", p, ok)
		}
	}
}

func TestUnknownFormatIsRefused(t *testing.T) {
	r := newRig(t, Options{})
	r.close()
	if err := writeFile(r.fs, "data/FORMAT", []byte("millrace data directory, format 2\n")); err != nil {
		t.Fatal(err)
	}
	if err := r.tryOpen(); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("open: %v", err)
	}
	if err := r.fs.Remove("data/FORMAT"); err != nil {
		t.Fatal(err)
	}
	r.open()
}

func TestClosedReadersSeeNoFiles(t *testing.T) {
	r := newRig(t, Options{})
	if _, err := r.fs.Open("data/streams/s/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for more := r.log.Updated(); ; more = r.log.Updated() {
			if _, err := r.log.Read(context.Background(), 0, &stream.Buffer{}); errors.Is(err, stream.ErrClosed) {
				return
			}
			<-more
		}
	}()
	r.mustAppend(10, 10)
	r.close()
	<-done
}

func TestBytesOfAFailedSyncAreWrittenAnewBeforeTheyAreShown(t *testing.T) {
	r := newRig(t, Options{})
	r.mustAppend(3, 100)
	failOnce(r.fs, "sync")
	if err := r.append(3000); err == nil {
		t.Fatal("no error")
	}
	// The kernel still holds the bytes, and takes them for written.
	next := r.fs.Restart()
	r.close()
	r.fs = next
	r.open()
	seen := r.log.Bounds().Next
	for seed := range uint64(50) {
		after := &rig{t: t, fs: r.fs.Crash(rand.New(rand.NewPCG(seed, 0))), o: r.o}
		after.open()
		if next := after.log.Bounds().Next; next < seen {
			t.Errorf("after a crash the log ends at %d, %d had been shown", next, seen)
		}
		after.close()
	}
}

// TestFailedChangeOfADocumentIsDurableBeforeItIsShown lets the last step of a compare-and-swap fail: the
// file has its new name, but a power cut may give it back the old one.
func TestFailedChangeOfADocumentIsDurableBeforeItIsShown(t *testing.T) {
	for _, restart := range []bool{false, true} {
		r := newRig(t, Options{})
		m := r.back.Meta()
		rev, err := m.CAS(t.Context(), "doc", []byte("old"), 0)
		if err != nil {
			t.Fatal(err)
		}
		failOnce(r.fs, "syncdir")
		if _, err := m.CAS(t.Context(), "doc", []byte("new"), rev); err == nil {
			t.Fatal("no error")
		}
		if restart {
			r.fs.SetFault(nil)
			r.kill()
		}
		shown, _, err := r.back.Meta().Get(t.Context(), "doc")
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(20) {
			after := &rig{t: t, fs: r.fs.Crash(rand.New(rand.NewPCG(seed, 0))), o: r.o}
			after.open()
			if value, _, err := after.back.Meta().Get(t.Context(), "doc"); err != nil || string(value) != string(shown) {
				t.Errorf("restart %v: %q was shown, after a crash it is %q, %v", restart, shown, value, err)
			}
			after.close()
		}
	}
}
