package flow

import (
	"context"
	"errors"
	"fmt"

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
	// Needs is as in Config.
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

// evolving is the state of a task whose schema changes.
type evolving struct {
	version  versions.Version
	observer versions.Observer
	// refused is the number of a version that the steps or the processor cannot work with.
	refused int64
	// silent is set once a failure to write a version was logged.
	silent bool
}

// decodeWith makes the decoder for a version of the input's schema.
func (t *Task) decodeWith(v versions.Version) {
	needs := t.Needs
	if t.event = -1; t.Input.EventTime != "" {
		t.event = v.Schema.Index(t.Input.EventTime)
	}
	if t.event >= 0 {
		needs = append([]string{t.Input.EventTime}, needs...)
	}
	options := t.Input.Decode
	if t.Evolution.Versions != nil {
		options = v.Options()
		options.Misfit = t.evolving.observer.Observe
	}
	t.decoder = column.NewDecoder(v.Schema, needs, options)
	t.evolving.version = v
	t.status.schema(v.Number)
}

// evolve lets the next chunk have the latest schema. It does nothing within a chunk.
func (t *Task) evolve(ctx context.Context) {
	if t.Evolution.Versions == nil || t.moved() {
		return
	}
	t.report(ctx)
	v := t.Evolution.Versions.Current()
	if v.Number == t.evolving.version.Number || v.Number == t.evolving.refused || t.Evolution.Rebuild == nil {
		return
	}
	before := t.evolving.version.Number
	if err := t.adopt(v); err != nil {
		t.evolving.refused = v.Number
		t.Log.Warn("the schema changed and this consumer cannot go along; it keeps the earlier one until the next start",
			"task", t.Identity.Name, "stream", t.Input.Name, "version", v.Number, "keeps", before, "error", err)
		return
	}
	t.Log.Info("the schema changed", "task", t.Identity.Name, "stream", t.Input.Name, "version", v.Number, "before", before)
}

// report writes a new version of the schema if records of the last chunk ask for one.
func (t *Task) report(ctx context.Context) {
	if t.Evolution.Versions == nil || t.evolving.observer.Empty() {
		return
	}
	_, err := t.Evolution.Versions.Extend(ctx, &t.evolving.observer)
	if err != nil && ctx.Err() == nil && !t.evolving.silent {
		// The records are safe as they are; the next ones ask again.
		t.Log.Warn("a new version of the schema could not be kept", "task", t.Identity.Name, "stream", t.Input.Name, "error", err)
	}
	t.evolving.silent = err != nil
}

// adopt makes decoder, steps and processor work with a version. After an error all are as they were.
func (t *Task) adopt(v versions.Version) error {
	reschemer, ok := t.Processor.(Reschemer)
	if !ok {
		return errors.New("it takes one schema at a time")
	}
	shape, err := t.Evolution.Rebuild(v.Schema)
	if err != nil {
		return err
	}
	if err := reschemer.Reschema(shape.Output); err != nil {
		return err
	}
	t.Steps, t.Needs = shape.Steps, shape.Needs
	t.decodeWith(v)
	return nil
}

// adoptPlanned makes the task work with the version that a plan was made with.
func (t *Task) adoptPlanned(ctx context.Context, cut Cut) error {
	if t.Evolution.Versions == nil || cut.Schema == 0 || cut.Schema == t.evolving.version.Number {
		return nil
	}
	v, err := t.Evolution.Versions.At(ctx, cut.Schema)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return Permanent(fmt.Errorf("chunk %d was planned with version %d of the schema of stream %q, which is gone: %w", cut.Chunk, cut.Schema, t.Input.Name, err))
	case err != nil:
		return err
	case t.Evolution.Rebuild == nil:
		if err = t.sameColumns(v.Schema); err == nil {
			t.decodeWith(v)
		}
	default:
		err = t.adopt(v)
	}
	if err != nil {
		return Permanent(fmt.Errorf("chunk %d was planned with version %d of the schema of stream %q and cannot be redone with it: %w; run once with the pipeline file that planned it", cut.Chunk, cut.Schema, t.Input.Name, err))
	}
	return nil
}

// sameColumns reports whether what was made for the built schema can read columns of another: those
// that it needs must be in the same places with the same types.
func (t *Task) sameColumns(schema *column.Schema) error {
	built := t.Evolution.Built.Schema
	for _, name := range t.Needs {
		i, j := built.Index(name), schema.Index(name)
		if i != j || i >= 0 && !built.Fields[i].Type.Equal(schema.Fields[j].Type) {
			return fmt.Errorf("column %q is another one there", name)
		}
	}
	return nil
}
