// Package flow is the dataflow runtime: tasks that read shards, decode them into columns, send
// them through transforms into a processor (a sink or a query) and commit chunk by chunk.
//
// The invariant to remember: positions move only after the processor's Put returned nil, in the
// same document as the ledger and the processor's state.
package flow

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
)

// Processor is the end of a task: a sink or a query. Its errors name it. It gathers rows into an open chunk, which
// the task plans, puts and publishes (docs/architecture.md, section 3). One goroutine calls it, except Close.
//
// After a crash the task replays exactly the ranges of a pending plan: Start with the state of the
// last published chunk, Add for the same rows (batch boundaries may differ), Plan with the
// recorded Cut. The new plan must equal the recorded one.
type Processor interface {
	// Start restores the state of the last published chunk, nil at first, and makes sure that
	// the destination can be written. The task repeats it with back-off until it returns nil,
	// so an error must name the component, what is wrong and the cure.
	Start(ctx context.Context, state json.RawMessage) error
	// Add takes the selected rows of b into the open chunk. It must not keep b.
	Add(ctx context.Context, b *column.Batch) (Outcome, error)
	// Open describes the open chunk.
	Open() Open
	// Plan freezes the open chunk and says what Put will create. It has no effect outside the
	// process that would have to be undone.
	Plan(ctx context.Context, cut Cut) (Plan, error)
	// Put makes the plan's effect durable. It is repeated with back-off until it returns nil or
	// a Permanent error, also after a restart, and must have its effect once.
	Put(ctx context.Context, plan Plan) error
	// Published tells that the plan's chunk is committed; the processor starts the next one.
	Published(plan Plan)
	// Close lets go of everything held; an open chunk is dropped and will be replayed.
	Close() error
}

// Outcome is what a processor or transform did with the rows of a batch.
type Outcome struct {
	Counts Counts
	// Rejects are the rows counted as late or bad. The task keeps them: see RejectKeeper.
	Rejects []Reject
}

// Reject is a row that was not taken.
type Reject struct {
	// Row is the row's index in the batch.
	Row int
	// Code is one word for machines ("late", "parse-error", "type-mismatch"); Reason is for people.
	Code, Reason string
}

// Open describes a processor's open chunk.
type Open struct {
	Rows int64
	// Encoded is the size in bytes the chunk will have at its destination, as far as known.
	Encoded int64
	// Memory is what the processor holds in memory, in bytes.
	Memory int64
}

// What a task commits is defined with the checkpoint documents that hold it.
type (
	Counts = checkpoint.Counts
	Cut    = checkpoint.Cut
	Range  = checkpoint.Range
	Plan   = checkpoint.Plan
	Object = checkpoint.Object
)

// Identity names a task for good: it is part of object keys and of producer ids.
type Identity struct {
	Pipeline string
	// Name is the id of the sink or query in the pipeline file.
	Name string
	// Incarnation is the random identity of the stream read, in hexadecimal.
	Incarnation string
	// Task counts the tasks of the consumer from 0.
	Task int
}

// permanentError marks an error that trying again cannot cure.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// processorError marks an error of a processor, which names the component itself.
type processorError struct{ error }

func (e processorError) Unwrap() error { return e.error }

func named(err error) error {
	if err == nil {
		return nil
	}
	return processorError{err}
}

// Permanent marks err as one that trying again cannot cure: the pipeline stops and reports it.
func Permanent(err error) error { return permanentError{err} }

// IsPermanent reports whether err was marked by Permanent.
func IsPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}

// Transform is a stateless step of a task. Apply returns the rows that go on, usually b with a
// narrower selection, and what became of the others. It must not change b.
type Transform interface {
	Apply(b *column.Batch) (*column.Batch, Outcome, error)
}
