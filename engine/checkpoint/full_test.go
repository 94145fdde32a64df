package checkpoint_test

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

// diskFull refuses what needs room.
func diskFull(op vfs.Op) error {
	if slices.Contains([]string{"create", "write", "sync", "rename"}, op.Kind) {
		return syscall.ENOSPC
	}
	return nil
}

func TestALeaseOutlastsAFullDiskAndOnlyOneWorkerHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := vfs.NewMem()
		b, err := disk.Open(files, "data", disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		s, g := openStream(t, b, 1), onDisk(t, b)
		holder := g.join("holder", idle, of(s))
		pass(expiry)
		files.SetFault(diskFull)
		other := g.join("other", idle, of(s))
		for range 10 {
			pass(expiry)
			if len(holder.held()) != 1 || len(other.held()) != 0 {
				t.Fatalf("on a full disk the holder has %v, the other %v", holder.held(), other.held())
			}
		}
		if err := other.Trouble(); !vfs.IsFull(err) {
			t.Errorf("trouble of a worker that can take no lease: %v", err)
		}
		files.SetFault(nil)
		pass(3 * expiry)
		if len(holder.held())+len(other.held()) != 1 || other.Trouble() != nil {
			t.Errorf("with room again the holder has %v, the other %v: %v", holder.held(), other.held(), other.Trouble())
		}
	})
}

// unsure stores changes of documents and then reports an error, as a disk does that had no room for the name's sync.
type unsure struct {
	*meta
	failing bool
}

func (m *unsure) CAS(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	next, err := m.meta.CAS(ctx, key, value, revision)
	if err == nil && m.failing {
		return 0, syscall.ENOSPC
	}
	return next, err
}

func TestAChangeThatWasStoredAlthoughItFailedIsTheStoresOwn(t *testing.T) {
	m := &unsure{meta: newMeta()}
	s, err := checkpoint.Open(t.Context(), m, "tasks/p/q/0", atStart)
	if err != nil {
		t.Fatal(err)
	}
	pending := checkpoint.Pending{Plan: checkpoint.Plan{Cut: checkpoint.Cut{Chunk: 1}}}
	m.failing = true
	if err := s.Plan(t.Context(), pending); !vfs.IsFull(err) || s.Document().Pending != nil {
		t.Fatalf("a change that failed: %v, pending %v", err, s.Document().Pending)
	}
	m.failing = false
	if err := s.Plan(t.Context(), pending); err != nil || s.Document().Pending == nil {
		t.Fatalf("the same again: %v", err)
	}

	// Another worker's change is never taken for one's own.
	m.failing = true
	if err := s.Publish(t.Context()); !vfs.IsFull(err) {
		t.Fatal(err)
	}
	m.failing = false
	if _, err := checkpoint.Open(t.Context(), m, "tasks/p/q/0", atStart); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context()); !errors.Is(err, checkpoint.ErrTaken) {
		t.Errorf("publish after somebody else took the task over: %v", err)
	}
}
