package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/stream"
)

// Evolution is how a task follows a schema that changes while it runs. A chunk is decoded with one
// version from its first record to its last; the next chunk takes the latest one. So a new version is
// never a reason to cut, and a redone chunk comes out as it was planned: docs/schema.md.
type Evolution struct {
	// Versions of the input's schema; nil when it is declared for good.
	Versions *versions.Stream
	// Built is the version that Input.Schema, the steps and the processor were made for.
	Built versions.Version
	// Rebuild makes the steps for another version of the input's schema. It is nil for queries,
	// which keep what they were made for until the next start.
	Rebuild func(in *column.Schema) (Shape, error)
}

// Shape is what of a task follows from the schema of its input.
type Shape struct {
	Steps []Step
	// Needs is as in Feed.
	Needs []string
	// Output is the schema of the rows that reach the processor.
	Output *column.Schema
}

// Reschemer is a Processor that can go on with rows of another schema; one that is not keeps the
// schema that it was made for until the next start.
type Reschemer interface {
	// Reschema is called after Start and between chunks, while no rows are held. After an error the
	// processor takes rows of the earlier schema, as if it had not been called.
	Reschema(schema *column.Schema) error
}

// evolving is the state of a feed whose schema changes.
type evolving struct {
	version versions.Version
	// observing guards the observer while lanes are at work.
	observing sync.Mutex
	observer  versions.Observer
	// refused is the number of a version that the steps or the processor cannot work with.
	refused int64
	// silent is set once a failure to write a version was logged.
	silent bool
}

// observe is what decoders tell of what has no place.
func (e *evolving) observe(name, value []byte) {
	e.observing.Lock()
	defer e.observing.Unlock()
	e.observer.Observe(name, value)
}

// decodeWith makes the decoders for a version of the input's schema.
func (t *Task) decodeWith(f *feed, v versions.Version) {
	if f.event = -1; f.Input.EventTime != "" {
		f.event = v.Schema.Index(f.Input.EventTime)
	}
	f.evolving.version = v
	for _, l := range t.lanes {
		l.decoders[f.index] = l.decoder(f, v.Schema)
	}
	if f.index == 0 {
		t.status.schema(v.Number)
	}
}

// evolve lets the next chunk have the latest schemas. It does nothing within a chunk.
func (t *Task) evolve(ctx context.Context) {
	if t.moved() {
		return
	}
	t.report(ctx)
	for _, f := range t.feeds {
		if f.Evolution.Versions == nil || f.Evolution.Rebuild == nil {
			continue
		}
		v, before := f.Evolution.Versions.Current(), f.evolving.version.Number
		if v.Number == before || v.Number == f.evolving.refused {
			continue
		}
		if err := t.adopt(f, v); err != nil {
			f.evolving.refused = v.Number
			t.Log.Warn("the schema changed and this consumer cannot go along; it keeps the earlier one until the next start",
				"task", t.Identity.Name, "stream", f.Input.Name, "version", v.Number, "keeps", before, "error", err)
			continue
		}
		t.Log.Info("the schema changed", "task", t.Identity.Name, "stream", f.Input.Name, "version", v.Number, "before", before)
	}
}

// report writes new versions of the schemas if records of the last chunk ask for some.
func (t *Task) report(ctx context.Context) {
	for _, f := range t.feeds {
		e := &f.evolving
		if f.Evolution.Versions == nil || e.observer.Empty() {
			continue
		}
		_, err := f.Evolution.Versions.Extend(ctx, &e.observer)
		if err != nil && ctx.Err() == nil && !e.silent {
			// The records are safe as they are; the next ones ask again.
			t.Log.Warn("a new version of the schema could not be kept", "task", t.Identity.Name, "stream", f.Input.Name, "error", err)
		}
		e.silent = err != nil
	}
}

// adopt makes decoders, steps and processor work with a version. After an error all are as they were.
func (t *Task) adopt(f *feed, v versions.Version) error {
	reschemer, ok := t.Processor.(Reschemer)
	if !ok {
		return errors.New("it takes one schema at a time")
	}
	shape, err := f.Evolution.Rebuild(v.Schema)
	if err != nil {
		return err
	}
	if err := reschemer.Reschema(shape.Output); err != nil {
		return err
	}
	f.Steps, f.Needs = [][]Step{shape.Steps}, shape.Needs
	t.decodeWith(f, v)
	return nil
}

// schemas are the versions that the open chunk is decoded with, but for that of the first feed.
func (t *Task) schemas() map[string]int64 {
	var all map[string]int64
	for _, f := range t.feeds[1:] {
		if f.Evolution.Versions == nil {
			continue
		}
		if all == nil {
			all = map[string]int64{}
		}
		all[f.Name] = f.evolving.version.Number
	}
	return all
}

// adoptPlanned makes the task work with the versions that a plan was made with.
func (t *Task) adoptPlanned(ctx context.Context, cut Cut) error {
	for _, f := range t.feeds {
		planned := cut.Schemas[f.Name]
		if f.index == 0 {
			planned = cut.Schema
		}
		if err := t.adoptVersion(ctx, f, planned, cut.Chunk); err != nil {
			return err
		}
	}
	return nil
}

// adoptVersion makes the task work with the version of a feed's schema that a chunk was planned with.
func (t *Task) adoptVersion(ctx context.Context, f *feed, number, chunk int64) error {
	if f.Evolution.Versions == nil || number == 0 || number == f.evolving.version.Number {
		return nil
	}
	v, err := f.Evolution.Versions.At(ctx, number)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return Permanent(fmt.Errorf("chunk %d was planned with version %d of the schema of stream %q, which is gone: %w", chunk, number, f.Input.Name, err))
	case err != nil:
		return err
	case f.Evolution.Rebuild == nil:
		if err = f.sameColumns(v.Schema); err == nil {
			t.decodeWith(f, v)
		}
	default:
		err = t.adopt(f, v)
	}
	if err != nil {
		return Permanent(fmt.Errorf("chunk %d was planned with version %d of the schema of stream %q and cannot be redone with it: %w; run once with the pipeline file that planned it", chunk, number, f.Input.Name, err))
	}
	return nil
}

// sameColumns reports whether what was made for the built schema can read columns of another: those
// that it needs must be in the same places with the same types.
func (f *feed) sameColumns(schema *column.Schema) error {
	built := f.Evolution.Built.Schema
	for _, need := range f.Needs {
		name := column.Top(need)
		i, j := built.Index(name), schema.Index(name)
		if i != j || i >= 0 && !built.Fields[i].Type.Equal(schema.Fields[j].Type) {
			return fmt.Errorf("column %q is another one there", name)
		}
	}
	return nil
}
