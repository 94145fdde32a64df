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
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
)

// Processor is the end of a task: a sink or a query. It gathers rows into an open chunk, which
// the task plans, puts and publishes (DESIGN section 5). One goroutine calls it, except Close.
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

// Counts says what became of input rows (DESIGN section 2, rule 6). In is the sum of the others
// and of the rows still in flight.
type Counts struct {
	In         int64 `json:"in"`
	Passed     int64 `json:"passed,omitempty"`
	Aggregated int64 `json:"aggregated,omitempty"`
	Filtered   int64 `json:"filtered,omitempty"`
	Dropped    int64 `json:"dropped,omitempty"`
	Late       int64 `json:"late,omitempty"`
	Bad        int64 `json:"bad,omitempty"`
	Expired    int64 `json:"expired,omitempty"`
}

// Add sums the counts.
func (c *Counts) Add(o Counts) {
	c.In += o.In
	c.Passed += o.Passed
	c.Aggregated += o.Aggregated
	c.Filtered += o.Filtered
	c.Dropped += o.Dropped
	c.Late += o.Late
	c.Bad += o.Bad
	c.Expired += o.Expired
}

// Outcome is what a processor or transform did with the rows of a batch.
type Outcome struct {
	Counts Counts
	// Rejects are the rows counted as late or bad. The task keeps them in the dead-letter stream.
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
	// OutputReady is set when an Emit would give rows now (a query whose windows closed).
	OutputReady bool
}

// Cut is the recorded decision to end a chunk. Nothing in it is recomputed after a crash.
type Cut struct {
	// Chunk counts the task's chunks from 1.
	Chunk int64 `json:"chunk"`
	// Reason is size, age, rows, memory, shutdown or end.
	Reason string `json:"reason"`
	// Now is the time that everything in the plan uses.
	Now time.Time `json:"now"`
	// Ranges are the records of the chunk, per shard.
	Ranges map[record.ShardID]Range `json:"ranges"`
	// Watermark is the smallest of the shards' watermarks at the end of the chunk, in microseconds
	// since the epoch; column.MaxWatermark when the input has ended.
	Watermark int64 `json:"watermark"`
}

// Range is the ordinals From up to but not including To.
type Range struct {
	From record.Ordinal `json:"from"`
	To   record.Ordinal `json:"to"`
}

// Plan is what a chunk will create.
type Plan struct {
	Cut Cut `json:"cut"`
	// Objects are what Put creates; empty when the chunk creates nothing.
	Objects []Object `json:"objects,omitempty"`
	// State is the processor's state once the chunk is published.
	State json.RawMessage `json:"state,omitempty"`
}

// Object is one thing a plan creates: an S3 object, a file, a stretch of a file, rows of a stream.
type Object struct {
	Key  string `json:"key"`
	Rows int64  `json:"rows"`
	// Hash is a hash of the rows that does not depend on their order or encoding, hexadecimal.
	Hash string `json:"hash"`
	// Bytes is the encoded size; it may differ when a plan is redone.
	Bytes int64 `json:"bytes"`
}

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
