package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/vfs"
)

// cut ends the open chunk where the readers stand.
func (t *Task) cut(reason string) Cut {
	c := Cut{
		Chunk:     t.store.Document().Chunk + 1,
		Reason:    reason,
		Now:       t.Now().UTC(),
		Ranges:    make(map[record.ShardID]Range, len(t.readers)),
		Watermark: t.watermark(),
		Schema:    t.feeds[0].evolving.version.Number,
		Schemas:   t.schemas(),
		Tables:    t.tables(),
	}
	for _, r := range t.readers {
		if from := t.chunk.from[r.id]; from != r.next {
			c.Ranges[r.id] = Range{From: from, To: r.next}
		}
	}
	return c
}

// commit plans, puts and publishes the open chunk.
func (t *Task) commit(ctx context.Context, cut Cut) error {
	plan, err := t.Processor.Plan(ctx, cut)
	if err != nil {
		return Permanent(named(fmt.Errorf("plan chunk %d: %w", cut.Chunk, err)))
	}
	plan.Cut = cut
	pending := checkpoint.Pending{Plan: plan, Generation: t.Generation, Watermarks: t.watermarks(), Ledger: slices.Clone(t.ledger)}
	if len(plan.Objects) == 0 && t.chunk.dead.len() == 0 && t.chunk.late.len() == 0 {
		if err := t.record(ctx, func(ctx context.Context) error { return t.store.Advance(ctx, pending) }); err != nil {
			return err
		}
		return t.published(plan)
	}
	if err := t.record(ctx, func(ctx context.Context) error { return t.store.Plan(ctx, pending) }); err != nil {
		return err
	}
	return t.deliver(ctx, plan)
}

// deliver puts a recorded plan and publishes it.
func (t *Task) deliver(ctx context.Context, plan Plan) error {
	err := t.insist(ctx, t.Grace, func(ctx context.Context) error { return t.Processor.Put(ctx, plan) })
	if err != nil {
		return named(fmt.Errorf("deliver chunk %d: %w", plan.Cut.Chunk, err))
	}
	err = t.insist(ctx, t.Grace, func(ctx context.Context) error { return t.chunk.dead.write(ctx, t.DeadLetters.write) })
	if err != nil {
		return fmt.Errorf("keep dead letters of chunk %d: %w", plan.Cut.Chunk, err)
	}
	err = t.insist(ctx, t.Grace, func(ctx context.Context) error { return t.chunk.late.write(ctx, t.Late) })
	if err != nil {
		return fmt.Errorf("write late rows of chunk %d: %w", plan.Cut.Chunk, err)
	}
	if err := t.record(ctx, t.store.Publish); err != nil {
		return err
	}
	return t.published(plan)
}

// record changes the document. A full disk delays that and ends nothing.
func (t *Task) record(ctx context.Context, change func(ctx context.Context) error) error {
	err := change(ctx)
	if !vfs.IsFull(err) {
		return err
	}
	var final error
	err = t.insist(ctx, 0, func(ctx context.Context) error {
		final = change(ctx)
		if vfs.IsFull(final) {
			return final
		}
		return nil
	})
	if err != nil {
		return err
	}
	return final
}

// published starts the next chunk.
func (t *Task) published(plan Plan) error {
	t.Processor.Published(plan)
	for _, r := range t.readers {
		t.need(r)
	}
	t.openChunk()
	t.hasRoom() // first: who sees the chunk delivered must not see it wait
	t.status.committed(t.store.Document(), plan, t.ledger)
	return nil
}

// redo delivers the plan that an earlier run recorded and did not publish: the same records, cut
// at the same places, with the recorded time.
func (t *Task) redo(ctx context.Context) error {
	pending := t.store.Document().Pending
	cut := pending.Plan.Cut
	t.Log.Info("redoing a chunk that was planned before the last stop", "task", t.Identity.Name, "chunk", cut.Chunk)
	if err := t.adoptPlanned(ctx, cut); err != nil {
		return err
	}
	if err := t.recallTables(cut); err != nil {
		return err
	}
	t.limits = cut.Ranges
	for _, r := range t.readers {
		r.limit = t.limit(r)
	}
	if err := t.replay(ctx); err != nil {
		return err
	}
	plan, err := t.Processor.Plan(ctx, cut)
	if err != nil {
		return Permanent(named(fmt.Errorf("plan chunk %d again: %w", cut.Chunk, err)))
	}
	if err := sameObjects(pending.Plan.Objects, plan.Objects); err != nil {
		return Permanent(t.explain(pending, err))
	}
	t.ledger = slices.Clone(pending.Ledger)
	for _, r := range t.readers {
		r.limit = noLimit
		if w, ok := pending.Watermarks[r.id]; ok {
			r.watermark = w
		}
	}
	t.limits = nil
	return t.deliver(ctx, pending.Plan)
}

// limit is where a reader stops: nowhere, unless recorded ranges are redone.
func (t *Task) limit(r *reader) record.Ordinal {
	if t.limits == nil {
		return noLimit
	}
	if x, ok := t.limits[r.id]; ok {
		return x.To
	}
	return r.next
}

// replay reads up to the readers' limits.
func (t *Task) replay(ctx context.Context) error {
	for {
		read, err := t.readAll(ctx)
		if err != nil || !read {
			return t.complete(err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (t *Task) complete(err error) error {
	for _, r := range t.readers {
		if err == nil && r.next != r.limit {
			err = Permanent(fmt.Errorf("a planned chunk needs records up to %d of %s, which ends at %d; was the data directory replaced?", r.limit, r, r.next))
		}
	}
	return err
}

func (t *Task) explain(pending *checkpoint.Pending, err error) error {
	if pending.Generation != t.Generation {
		return fmt.Errorf("chunk %d was planned with another version of the pipeline file and is half delivered: %w; run once with the previous version to complete it", pending.Plan.Cut.Chunk, err)
	}
	return fmt.Errorf("chunk %d came out differently when it was redone: %w", pending.Plan.Cut.Chunk, err)
}

// sameObjects reports how two plans differ in what they create.
func sameObjects(want, got []Object) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d objects were planned, now there are %d", len(want), len(got))
	}
	for i, w := range want {
		g := got[i]
		if w.Key != g.Key || w.Rows != g.Rows || w.Hash != g.Hash {
			return fmt.Errorf("planned %s with %d rows (hash %s), now %s with %d rows (hash %s)", w.Key, w.Rows, w.Hash, g.Key, g.Rows, g.Hash)
		}
	}
	return nil
}

func (t *Task) watermarks() map[record.ShardID]int64 {
	marks := maps.Clone(t.store.Document().Watermarks)
	if marks == nil {
		marks = make(map[record.ShardID]int64, len(t.readers))
	}
	for _, r := range t.readers {
		if r.watermark != column.MinWatermark {
			marks[r.id] = r.watermark
		}
	}
	return marks
}

// insist calls f until it returns nil or an error that trying again cannot cure. Once the task is
// asked to stop, f's context lasts for grace, and then insist gives up with errStopped.
func (t *Task) insist(ctx context.Context, grace time.Duration, f func(ctx context.Context) error) error {
	ctx, release := t.untilStopped(ctx, grace)
	defer release()
	wait := NewBackOff()
	for full := false; ; {
		err := f(ctx)
		if err == nil || IsPermanent(err) {
			if full {
				t.hasRoom()
			}
			t.status.fault(nil)
			t.Frontier.recover()
			return err
		}
		if ctx.Err() != nil {
			return gaveUp(ctx, err)
		}
		t.Frontier.falter(t.Now())
		pause := wait.NextBackOff()
		if isClosed(t.Stop) {
			pause = min(pause, time.Second)
		}
		if full = vfs.IsFull(err); full {
			t.noRoom(err)
		} else {
			t.status.fault(err)
			t.Log.Warn(err.Error(), "task", t.Identity.Name, "retry_in", pause.Round(time.Millisecond).String())
		}
		if err := t.pause(ctx, pause, err); err != nil {
			return err
		}
	}
}

// gaveUp is the error of an attempt that ended with its context: the last failure, unless the
// context's end caused it.
func gaveUp(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if !errors.Is(cause, errStopped) || errors.Is(err, context.Canceled) {
		return cause
	}
	return fmt.Errorf("%w: %w", errStopped, err)
}

// untilStopped returns a context that ends with errStopped, grace after the task was asked to
// stop. release must be called.
func (t *Task) untilStopped(ctx context.Context, grace time.Duration) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-t.Stop:
		case <-ctx.Done():
			return
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(errStopped)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}
