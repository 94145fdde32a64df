package file

import (
	"context"
	"fmt"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/objects"
)

// output is what both ways of writing have in common: they gather rows in the same manner.
type output struct {
	chunk  *objects.Chunk
	config Config
	env    sinks.Env
}

func (o *output) Trigger() flow.Trigger { return o.config.trigger() }

func (o *output) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	outcome, err := o.chunk.Add(b)
	if err != nil {
		return outcome, o.fail(err)
	}
	return outcome, nil
}

func (o *output) Open() flow.Open { return o.chunk.Open() }

// Figures implements flow.Figured.
func (o *output) Figures() flow.Figures { return o.chunk.Figures() }

func (o *output) Close() error {
	if err := o.chunk.Drop(); err != nil {
		return o.fail(err)
	}
	return nil
}

// drop empties the chunk. A spool that cannot be removed is removed at the next start.
func (o *output) drop() {
	if err := o.chunk.Drop(); err != nil {
		o.env.Log.Warn("remove a spool", "sink", o.env.Identity.Name, "error", err)
	}
}

// fail names the sink in an error that names the file.
func (o *output) fail(err error) error {
	return fmt.Errorf("file sink %q: %w", o.env.Identity.Name, err)
}

// errorf says something about a file or directory.
func (o *output) errorf(path, format string, args ...any) error {
	return o.fail(fmt.Errorf("%s: %w", path, fmt.Errorf(format, args...)))
}
