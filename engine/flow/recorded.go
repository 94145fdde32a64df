package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/stream"
)

// Recorded makes the configuration of a task as it was when a plan was recorded, so that the plan can
// be redone with it: the identity is the same, steps and processor are those of that generation.
// Error: stream.ErrNotFound, when it is not known any more.
type Recorded func(ctx context.Context, planned checkpoint.Pending) (Config, error)

// redoRecorded delivers a pending plan of another generation of the configuration as it was planned. A
// plan whose configuration is not known is left to the present one, which delivers it if the same
// objects come out.
func (t *Task) redoRecorded(ctx context.Context) error {
	if t.Recorded == nil {
		return nil
	}
	doc, err := checkpoint.Read(ctx, t.Meta, Key(t.Identity))
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return nil
	case err != nil:
		return err
	case doc.Pending == nil || doc.Pending.Generation == t.Generation:
		return nil
	}
	config, err := t.Recorded(ctx, *doc.Pending)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		t.Log.Warn("a chunk was planned with another configuration, which is not recorded", "task", t.Identity.Name, "generation", doc.Pending.Generation)
		return nil
	case err != nil:
		return Permanent(fmt.Errorf("chunk %d was planned with another configuration and must be delivered with it: %w", doc.Pending.Plan.Cut.Chunk, err))
	}
	t.Log.Info("a chunk was planned with another configuration and is delivered with it", "task", t.Identity.Name, "chunk", doc.Pending.Plan.Cut.Chunk, "generation", doc.Pending.Generation)
	config.RedoOnly, config.Recorded = true, nil
	config.Tasks, config.Stop, config.HandOver, config.Grace = t.Tasks, t.Stop, t.HandOver, t.Grace
	earlier := NewTask(config)
	t.earlier.Store(earlier)
	defer func() {
		t.status.inherit(earlier)
		t.earlier.Store(nil)
	}()
	err = earlier.run(ctx)
	if cerr := config.Processor.Close(); err == nil && cerr != nil {
		err = named(cerr)
	}
	return err
}

// inherit takes what another task did as done by this one.
func (s *status) inherit(earlier *Task) {
	did := earlier.Status()
	s.mu.Lock()
	defer s.mu.Unlock()
	did.Edges = nil // of its own steps
	s.now.addRun(did)
}
