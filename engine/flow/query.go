package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/sql"
)

// Query is the processor of a continuous query: its rows go to a stream of their own, from where
// sinks and other queries read them like any other (DESIGN section 2, rule 5).
type Query struct {
	// Identity names the producer of the output.
	Identity Identity
	// Target is the name of the output stream, Write appends to it durably.
	Target string
	Write  func(ctx context.Context, b *record.Batch) error
	// New makes the operator.
	New func() sql.Operator
	// Windowed queries aggregate; the others pass rows on.
	Windowed bool
	// Memory is what the operator's state may take, in bytes.
	Memory int64

	// figures are those of the last chunk's end, or of the last look at the memory.
	figures atomic.Pointer[Figures]

	op   sql.Operator
	rows int64
	out  []*record.Batch
}

// outputBatch is the size in bytes at which output rows become a batch of their own.
const outputBatch = 1 << 20

// rowBits is how many bits of an output position count rows within a chunk.
const rowBits = 32

// queryState is a query's state in the checkpoint.
type queryState struct {
	Operator []byte `json:"operator"`
}

// fail names the query in an error.
func (q *Query) fail(err error) error { return fmt.Errorf("query %q: %w", q.Identity.Name, err) }

// Start restores the windows.
func (q *Query) Start(_ context.Context, state json.RawMessage) error {
	q.op, q.rows, q.out = q.New(), 0, nil
	defer q.watch()
	if state == nil {
		return nil
	}
	var s queryState
	if err := json.Unmarshal(state, &s); err != nil {
		return Permanent(q.fail(fmt.Errorf("read its state: %w", err)))
	}
	if err := q.op.Restore(s.Operator); err != nil {
		return Permanent(q.fail(fmt.Errorf("its saved windows do not fit the query any more (%w); give the query another name to start over", err)))
	}
	return nil
}

// Add folds rows in.
func (q *Query) Add(_ context.Context, b *column.Batch) (Outcome, error) {
	taken, err := q.op.Add(b)
	if err != nil {
		return Outcome{}, q.fail(err)
	}
	if size := q.op.Memory(); size > q.Memory {
		return Outcome{}, q.fail(fmt.Errorf("its open windows need %d MiB, more than the %d MiB it has of the memory budget; group by fewer keys, use shorter windows, or raise `memory`", size>>20, q.Memory>>20))
	}
	q.rows += int64(b.Selected())
	var o Outcome
	o.Counts.Filtered, o.Counts.Late = taken.Filtered, int64(len(taken.Late))
	if q.Windowed {
		o.Counts.Aggregated = taken.Aggregated
	} else {
		o.Counts.Passed = taken.Aggregated
	}
	for _, row := range taken.Late {
		o.Rejects = append(o.Rejects, Reject{Row: int(row), Code: codeLate, Reason: "its window was closed before it arrived"})
	}
	return o, nil
}

// Ready reports whether windows close at a watermark.
func (q *Query) Ready(watermark int64) bool { return q.op != nil && q.op.Ready(watermark) }

// Open describes the open chunk. The windows outlive it, so its memory is not theirs.
func (q *Query) Open() Open { return Open{Rows: q.rows} }

// Plan closes the windows that the watermark passed. The output position is the chunk and the
// row's place in it, both the same when the chunk is redone.
func (q *Query) Plan(_ context.Context, cut Cut) (Plan, error) {
	plan := Plan{Cut: cut}
	rows, err := q.op.Emit(cut.Watermark)
	if err != nil {
		return plan, q.fail(err)
	}
	q.out = nil
	if rows != nil && rows.Rows > 0 {
		plan.Objects = []Object{{
			Key: q.Target, Rows: int64(rows.Rows), Hash: column.HashRows(rows).String(), Bytes: q.encode(rows, cut.Chunk),
		}}
	}
	q.watch()
	snapshot, err := q.op.Snapshot()
	if err != nil {
		return plan, q.fail(err)
	}
	plan.State, err = json.Marshal(queryState{Operator: snapshot})
	return plan, err
}

// encode makes the batches that Put writes and returns their size.
func (q *Query) encode(rows *column.Batch, chunk int64) int64 {
	producer := record.Producer{ID: stream.ProducerID("query", q.Identity.Pipeline, q.Identity.Name, q.Identity.Incarnation), Epoch: 1}
	var text []byte
	var size int64
	for i := range rows.Rows {
		if len(q.out) == 0 || q.out[len(q.out)-1].Size() >= outputBatch {
			q.out = append(q.out, &record.Batch{Producer: producer})
		}
		b := q.out[len(q.out)-1]
		text = column.AppendJSON(text[:0], rows, i)
		b.End = chunk<<rowBits | int64(i+1)
		b.Add(nil, text, b.End)
		size += int64(len(text))
	}
	return size
}

// Put appends the chunk's rows to the output stream, which skips those it has.
func (q *Query) Put(ctx context.Context, _ Plan) error {
	for _, b := range q.out {
		if err := q.Write(ctx, b); err != nil {
			return q.fail(err)
		}
	}
	return nil
}

// Published forgets the rows.
func (q *Query) Published(Plan) { q.out, q.rows = nil, 0 }

// watch takes down what is open.
func (q *Query) watch() {
	f := &Figures{Memory: map[string]int64{"windows": q.op.Memory()}}
	if w, ok := q.op.(sql.Watched); ok {
		open := w.Open()
		f.Windows = &Windows{Open: open.Windows, Waiting: open.Rows}
	}
	q.figures.Store(f)
}

// Figures are the open windows as of the end of the last chunk.
func (q *Query) Figures() Figures {
	if f := q.figures.Load(); f != nil {
		return *f
	}
	return Figures{Memory: map[string]int64{}}
}

// Close has nothing to let go of.
func (q *Query) Close() error { return nil }
