package disk

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// span is a batch of producer 1 with the positions from up to to.
func span(epoch uint32, from, to int64) *record.Batch {
	b := &record.Batch{Producer: record.Producer{ID: 1, Epoch: epoch}, End: to}
	for pos := from; pos <= to; pos++ {
		b.Add([]byte("key"), []byte("data"), pos)
	}
	return b
}

func TestBatchQueuedBehindAFailedOneIsRefused(t *testing.T) {
	r := newRig(t, Options{})
	ctx := context.Background()
	enqueue := func(b *record.Batch) (func() (stream.Appended, error), error) { return r.log.Enqueue(ctx, b) }
	if _, err := r.log.Append(ctx, span(1, 1, 2)); err != nil {
		t.Fatal(err)
	}
	r.fs.SetFault(func(o vfs.Op) error {
		if o.Kind == "write" {
			return syscall.EIO
		}
		return nil
	})
	wait, err := enqueue(span(1, 3, 4))
	if err != nil {
		t.Fatal(err)
	}
	// The committer has been through the batch when it is through what came behind, and nobody has
	// told the producer yet.
	_ = r.log.(*Log).Flush(ctx)
	r.fs.SetFault(nil)

	if _, err := enqueue(span(1, 5, 6)); !errors.Is(err, stream.ErrGap) {
		t.Errorf("a batch behind one that failed: %v", err)
	}
	if _, err := wait(); err == nil {
		t.Error("the failed batch was acknowledged")
	}
	for _, b := range []*record.Batch{span(1, 3, 4), span(1, 5, 6)} {
		if done, err := r.log.Append(ctx, b); err != nil || done.Count != 2 {
			t.Errorf("repeated from there: %+v, %v", done, err)
		}
	}
}

func TestHigherEpochGoesOnWhereItLikes(t *testing.T) {
	r := newRig(t, Options{})
	ctx := context.Background()
	r.fs.SetFault(func(vfs.Op) error { return syscall.EIO })
	if _, err := r.log.Append(ctx, span(1, 1, 2)); err == nil {
		t.Fatal("a write that failed was acknowledged")
	}
	r.fs.SetFault(nil)
	if _, err := r.log.Append(ctx, span(1, 9, 9)); !errors.Is(err, stream.ErrGap) {
		t.Errorf("behind the gap: %v", err)
	}
	if _, err := r.log.Append(ctx, span(2, 9, 9)); err != nil {
		t.Errorf("with a higher epoch: %v", err)
	}
}
