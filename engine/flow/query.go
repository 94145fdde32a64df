package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/sql"
)

// Query is the processor of a continuous query: its rows go to a stream of their own, from where
// sinks and other queries read them like any other (docs/decisions/0002).
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
	// Lanes is how many goroutines add rows and make the output at the same time; 0 means 1.
	Lanes int

	// Joins are the reference tables that the query joins, by name.
	Joins map[string]ReferenceTable

	// Dir is where large state is kept; empty keeps all of it in the task's document.
	Dir string
	// FS is the file system of Dir; nil means the operating system's.
	FS vfs.FS

	// figures are those of the last chunk's end, or of when the first windows opened behind it.
	figures atomic.Pointer[Figures]

	op    sql.Operator
	parts *parts
	// adders are the ways of the lanes into op, and came how many rows came by each since they joined.
	adders []sql.Adder
	came   []int64
	// joined are the versions of the tables that op has.
	joined map[string]joinedTable
	// planned is the state of the chunk that was planned last; broken says why the query cannot go on.
	planned json.RawMessage
	broken  error
	// whole is where the last snapshot is if it is in parts as a whole.
	whole  *sql.Part
	rows   int64
	output outputRows
	// held is the memory of the windows, in bytes; kept is what of it was left by the last snapshot.
	held, kept int64
}

// queryState is a query's state in the checkpoint.
type queryState struct {
	// Operator is the snapshot, or Part is where it is.
	Operator []byte    `json:"operator,omitempty"`
	Part     *sql.Part `json:"part,omitempty"`
}

// A chunk has about as many rows as fit the query's memory, at rowAtOnce bytes each, but at least
// leastRows and at most mostRows.
const (
	rowAtOnce = 512
	leastRows = 1 << 12
	mostRows  = 1 << 17
)

// inlineSnapshot is the largest snapshot in bytes that is kept in the task's document if there is
// another place.
const inlineSnapshot = 16 << 10

// fail names the query in an error.
func (q *Query) fail(err error) error { return fmt.Errorf("query %q: %w", q.Identity.Name, err) }

// Start restores the windows. Files that no state refers to go with the first chunk.
func (q *Query) Start(_ context.Context, state json.RawMessage) error {
	q.op, q.rows, q.whole = q.New(), 0, nil
	q.output.reset()
	q.output.spare.Room(int(q.Memory / 4))
	defer q.watch()
	if q.Dir != "" && q.parts == nil {
		p, err := openParts(q.files(), q.Dir, q.cure())
		if err != nil {
			return q.fail(err)
		}
		q.parts = p
	}
	return q.restart(state)
}

// restart sets a new operator to a state, nil for none, and makes the ways of the lanes into it.
func (q *Query) restart(state json.RawMessage) error {
	if err := q.restore(state); err != nil {
		return err
	}
	lanes := max(q.Lanes, 1)
	q.adders, q.came = sql.Adders(q.op, lanes), make([]int64, lanes)
	return nil
}

func (q *Query) files() vfs.FS {
	if q.FS == nil {
		return vfs.Private{}
	}
	return q.FS
}

// restore sets a new operator to a state, nil for none.
func (q *Query) restore(state json.RawMessage) error {
	q.whole = nil
	sql.Direct(q.op, q.output.add)
	if p, ok := q.op.(sql.Parted); ok && q.parts != nil {
		p.Keep(q.parts, q.Memory)
	}
	if l, ok := q.op.(sql.Limited); ok && q.parts != nil {
		l.Limit(int(min(max(q.Memory/rowAtOnce, leastRows), mostRows)))
	}
	if err := q.rejoin(); err != nil || state == nil {
		return err
	}
	var s queryState
	if err := json.Unmarshal(state, &s); err != nil {
		return Permanent(q.fail(fmt.Errorf("read its state: %w", err)))
	}
	if s.Part != nil {
		var err error
		if q.parts == nil {
			return Permanent(q.fail(errors.New("its saved windows are in files, but there is no directory for them")))
		}
		if s.Operator, err = q.parts.Read(*s.Part); err != nil {
			return Permanent(q.fail(fmt.Errorf("read its saved windows: %w", err)))
		}
		q.whole = s.Part
	}
	err := q.op.Restore(s.Operator)
	if errors.Is(err, sql.ErrChanged) {
		return Permanent(q.fail(fmt.Errorf("the windows it has saved are not for the query as it is now: %w; run once with --reset %s to start the query over, give it another name, or change it back", sql.ErrChanged, q.Identity.Name)))
	}
	if err != nil {
		return Permanent(q.fail(fmt.Errorf("its saved windows do not fit the query any more (%w); run once with --reset %s to start the query over, or give it another name", err, q.Identity.Name)))
	}
	return nil
}

// Add folds rows in.
func (q *Query) Add(ctx context.Context, b *column.Batch) (Outcome, error) {
	o, err := q.AddIn(ctx, 0, b)
	if err == nil {
		err = q.Joined()
	}
	return o, err
}

// Joined implements Parallel.
func (q *Query) Joined() error {
	for lane, n := range q.came {
		q.rows += n
		q.came[lane] = 0
	}
	if f := q.figures.Load(); f != nil && f.Windows != nil && f.Windows.Open+f.Windows.Waiting == 0 {
		q.watch()
	}
	return q.shed()
}

// AddIn implements Parallel.
func (q *Query) AddIn(_ context.Context, lane int, b *column.Batch) (Outcome, error) {
	if q.broken != nil {
		return Outcome{}, q.broken
	}
	taken, err := q.adders[lane].Add(b)
	if err != nil {
		return Outcome{}, q.fail(err)
	}
	q.came[lane] += int64(b.Selected())
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

// Ready reports whether there are rows to give at a watermark.
func (q *Query) Ready(watermark int64) bool {
	return q.op != nil && (q.output.sum().rows > 0 || q.op.Ready(watermark))
}

// Frontier implements promiser. What is known of it is known by sql.Query.Bounded.
func (q *Query) Frontier(watermark int64) int64 { return sql.Frontier(q.op, watermark) }

// Rests implements promiser.
func (q *Query) Rests() bool {
	w, ok := q.op.(sql.Watched)
	if !ok {
		return true
	}
	open := w.Open()
	return open.Windows+open.Rows == 0
}

// Open describes the open chunk. The windows outlive it, so its memory is not theirs.
// Once the windows outgrow their share, a chunk is cut: what is in its snapshot can leave the memory. So
// that what cannot leave does not cut one chunk after the other, a part of the share must have come.
func (q *Query) Open() Open {
	if q.held > q.Memory && q.held > q.kept+q.Memory/4 {
		return Open{Rows: q.rows, Memory: q.held}
	}
	return Open{Rows: q.rows}
}

// shed lets go of what parts have when the windows outgrow their share.
func (q *Query) shed() error {
	if q.held = q.op.Memory() + q.output.sum().bytes; q.held <= q.Memory {
		return nil
	}
	if q.parts == nil {
		return q.tooLarge()
	}
	if p, ok := q.op.(sql.Parted); ok {
		if err := p.Shed(q.Memory / 2); err != nil {
			return q.fail(err)
		}
		q.held = q.op.Memory() + q.output.sum().bytes
	}
	return nil
}

// cure says what to do about state that cannot be read.
func (q *Query) cure() string {
	return fmt.Sprintf("restore the data directory from a backup, or run once with --reset %s to start the query over", q.Identity.Name)
}

func (q *Query) tooLarge() error {
	return q.fail(fmt.Errorf("its open windows need %d MiB, more than the %d MiB it has of the memory budget; group by fewer keys, use shorter windows, or raise `memory`", q.held>>20, q.Memory>>20))
}

// Plan closes the windows that the watermark passed. The output position is the chunk and the
// row's place in it, both the same when the chunk is redone.
func (q *Query) Plan(_ context.Context, cut Cut) (Plan, error) {
	plan := Plan{Cut: cut}
	if q.parts != nil {
		if err := q.parts.drop(); err != nil {
			return plan, q.fail(err)
		}
	}
	rows, err := q.op.Emit(cut.Watermark)
	if err != nil {
		return plan, q.fail(err)
	}
	if rows != nil {
		q.output.addTogether(rows, max(q.Lanes, 1))
	}
	if q.output.sum().rows > 0 {
		object := q.output.cut(cut.Chunk, q.producer())
		object.Key = q.Target
		plan.Objects = []Object{object}
	}
	if plan.State, err = q.snapshot(); err != nil {
		return plan, q.fail(err)
	}
	err = q.shed()
	q.kept = q.held
	q.watch()
	return plan, err
}

// snapshot makes the state that is committed with a chunk; its parts are durable.
func (q *Query) snapshot() (json.RawMessage, error) {
	snapshot, err := q.op.Snapshot()
	if err != nil {
		return nil, err
	}
	state := queryState{Operator: snapshot}
	if q.whole = nil; q.parts != nil && len(snapshot) > inlineSnapshot {
		at, err := q.parts.Write(snapshot)
		if err != nil {
			return nil, err
		}
		q.whole = &at
		state = queryState{Part: &at}
	}
	if q.parts != nil {
		if err := q.parts.sync(); err != nil {
			return nil, err
		}
	}
	q.planned, err = json.Marshal(state)
	return q.planned, err
}

// Put appends the chunk's rows to the output stream, which skips those it has.
func (q *Query) Put(ctx context.Context, _ Plan) error {
	for _, b := range q.output.out {
		if err := q.Write(ctx, b); err != nil {
			return q.fail(err)
		}
	}
	return nil
}

// Published forgets the rows, and the files that only earlier snapshots refer to.
func (q *Query) Published(plan Plan) {
	q.output.published()
	q.rows = 0
	if q.parts == nil {
		return
	}
	if q.broken = q.adopt(plan.State); q.broken != nil {
		return
	}
	var needed []int64
	if p, ok := q.op.(sql.Parted); ok {
		needed = p.Files()
	}
	if q.whole != nil {
		needed = append(needed, q.whole.File)
	}
	// A file that cannot be removed now is tried again behind the next chunk.
	_ = q.parts.tidy(needed)
}

// adopt goes on from the state that was committed, if that is of an earlier attempt at the chunk: its
// parts are in other files.
func (q *Query) adopt(state json.RawMessage) error {
	if bytes.Equal(state, q.planned) {
		return nil
	}
	q.op = q.New()
	return q.restart(state)
}

// watch takes down what is open.
func (q *Query) watch() {
	f := &Figures{Memory: map[string]int64{"windows": q.op.Memory()}}
	if len(q.Joins) > 0 {
		f.Memory["joins"] = sql.JoinMemory(q.op)
	}
	if q.parts != nil {
		f.Spilled = q.parts.written
	}
	if w, ok := q.op.(sql.Watched); ok && q.Windowed {
		open := w.Open()
		f.Windows = &Windows{Open: open.Windows, Waiting: open.Rows, Closes: instant(open.Closes)}
	}
	q.figures.Store(f)
}

// Figures are the open windows as of the end of the last chunk, or of when the first of them opened.
func (q *Query) Figures() Figures {
	if f := q.figures.Load(); f != nil {
		return *f
	}
	return Figures{Memory: map[string]int64{}}
}

// Close lets go of an open file.
func (q *Query) Close() error {
	if q.parts == nil {
		return nil
	}
	return q.parts.drop()
}
