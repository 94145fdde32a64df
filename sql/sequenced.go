package sql

import (
	"fmt"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/build"
)

// unit is what an operator that takes rows by event time knows of the keys of one group: the rows whose
// turn has not come, and what it made of the others.
type unit interface {
	waits() *waiting
	// pass takes the rows before a time and lets go of what is over by then. What leaves goes to out
	// unless that is nil, with shows also open windows that changed.
	pass(through int64, shows bool, out *gathered)
	// ends is a time before which no window ends, opened how many are open and begun when the first one
	// began; changed reports whether one did since it was shown.
	ends() int64
	opened() int64
	begun() int64
	// earliest is a time before which none of them began, without looking at all of them.
	earliest() int64
	changed() bool
	// empty reports whether a new unit is the same.
	empty() bool
	memory() int64
	append(dst []byte) []byte
	read(r *agg.Reader) error
}

// sequenced is SESSION, STAGGER, windows of rows and OVER. Its rows are taken in the order of their event
// times, so that neither the shards that they came in nor the order in which shards were read decide where
// a window begins. Rows behind their shard's watermark are late. Its state is in key groups, each of which
// can be in memory or in parts.
type sequenced struct {
	stage
	// columns are what rows are taken with; those that decide on the key group begin at first.
	columns func(b *column.Batch) ([]*column.Column, error)
	first   int
	split   *agg.Layout // nil when the state is one group
	types   []column.Type
	shape   []byte
	fresh   func() unit
	result  func() *gathered
	// timed is set if the watermark closes windows, reach is their length.
	timed bool
	reach int64

	// groups are nil where there is no key.
	groups  []*group
	closed  int64
	shown   int64
	arrival int64
	keep    Parts
	room    int64
	limit   int

	taken  []int32
	byPart [][]int32
}

// rowsHeld is how many rows that the watermark has passed may wait for a window to close.
const rowsHeld = 1 << 16

// start makes the groups.
func (o *sequenced) start() {
	n := agg.KeyGroups
	if o.split == nil {
		n = 1
	}
	o.groups, o.byPart = make([]*group, n), make([][]int32, n)
	o.closed, o.shown = math.MinInt64, math.MinInt64
}

// Add keeps the selected rows of b until the watermark has passed them.
func (o *sequenced) Add(b *column.Batch) (Taken, error) {
	var taken Taken
	event, err := o.admit(b, &taken)
	if err != nil || event == nil {
		return taken, err
	}
	columns, err := o.columns(b)
	if err != nil {
		return taken, err
	}
	o.taken = o.onTime(b, event, o.closed, &taken, o.taken[:0])
	taken.Aggregated = int64(len(o.taken))
	for g, rows := range o.divide(columns) {
		if len(rows) > 0 {
			if o.groups[g] == nil {
				o.groups[g] = newGroup(o.fresh())
			}
			o.groups[g].add(o, b.Origin.Shard, event.Int64s, columns, rows)
		}
	}
	o.arrival += int64(b.Rows)
	return taken, nil
}

// divide is the rows of o.taken by key group.
func (o *sequenced) divide(columns []*column.Column) [][]int32 {
	if o.split == nil {
		o.byPart[0] = o.taken
		return o.byPart
	}
	for g := range o.byPart {
		o.byPart[g] = o.byPart[g][:0]
	}
	keys := columns[o.first : o.first+len(o.split.Keys)]
	for _, r := range o.taken {
		g := o.split.KeyGroup(keys, int(r))
		o.byPart[g] = append(o.byPart[g], r)
	}
	return o.byPart
}

// onTime appends the rows of s.view that are not behind their shard's watermark or closed.
func (s *stage) onTime(b *column.Batch, event *column.Column, closed int64, taken *Taken, dst []int32) []int32 {
	// Windows need room behind their last row.
	limit := math.MaxInt64 - s.plan.reach()
	for _, r := range s.view.Selection {
		switch at := event.Int64s[r]; {
		case event.IsNull(int(r)), at >= limit:
			taken.Filtered++
		case at < closed, b.Watermarks != nil && at < minus(b.Watermarks[r], s.plan.lateness):
			taken.Late = append(taken.Late, r)
		default:
			dst = append(dst, r)
		}
	}
	return dst
}

// sum is what is open in all groups.
func (o *sequenced) sum() summary {
	out := nothing
	for _, g := range o.groups {
		if g == nil {
			continue
		}
		out.low, out.end = min(out.low, g.sum.low), min(out.end, g.sum.end)
		out.rows, out.windows = out.rows+g.sum.rows, out.windows+g.sum.windows
		out.changed = out.changed || g.sum.changed
	}
	return out
}

// Ready reports whether rows that wait, or windows, are due at the watermark. Rows that only make open
// windows grow are left until there are rowsHeld of them.
func (o *sequenced) Ready(watermark int64) bool {
	through, sum := minus(watermark, o.plan.lateness), o.sum()
	if through == column.MaxWatermark {
		return sum.rows > 0 || sum.windows > 0
	}
	passed := sum.rows > 0 && sum.low < through
	if !o.plan.changes && o.tight() {
		return o.worth(through, sum) || o.shows(watermark, sum)
	}
	switch {
	case passed && (!o.timed || sum.rows >= rowsHeld || sum.low+o.reach <= through):
		return true
	case sum.end <= through:
		return true
	}
	return o.shows(watermark, sum)
}

// worth reports whether it is time to bring groups back to memory: for many rows, or once something has
// been due for a while. For each row that comes, the state of all keys would be read and written.
func (o *sequenced) worth(through int64, sum summary) bool {
	due := sum.end
	if sum.rows > 0 {
		due = min(due, plus(sum.low, o.reach)+1)
		if sum.low < through && sum.rows >= max(rowsHeld, sum.windows/4) {
			return true
		}
	}
	return plus(due, min(max(o.reach/16, 1_000_000), 60_000_000)) <= through
}

// shows reports whether open windows are to be shown.
func (o *sequenced) shows(watermark int64, sum summary) bool {
	passed := sum.rows > 0 && sum.low < minus(watermark, o.plan.lateness)
	switch {
	case !o.plan.early() || !passed && !sum.changed:
		return false
	case o.plan.changes:
		return true
	}
	return watermark != column.MinWatermark && o.plan.tick(watermark) > o.shown
}

// gathered is rows of the middle schema that leave, and their order.
type gathered struct {
	middle []*build.Column // nil for those that nothing reads
	order  []order
	// last is when the latest of them is over.
	last int64
}

// order is the place of a row: final ones first, then by end and start of the window and its first row.
type order struct {
	open  bool
	start int64
	rank
}

func (o order) compare(p order) int {
	switch {
	case o.open != p.open:
		return int(flag(o.open)) - int(flag(p.open))
	case o.at != p.at || o.start == p.start:
		return o.rank.compare(p.rank)
	case o.start < p.start:
		return -1
	}
	return 1
}

// batch is the rows in their order.
func (g *gathered) batch(schema *column.Schema) *column.Batch {
	out := &column.Batch{Schema: schema, Rows: len(g.order), Columns: make([]*column.Column, len(g.middle))}
	var rows []int32
	if !slices.IsSortedFunc(g.order, order.compare) {
		rows = upTo(len(g.order))
		slices.SortFunc(rows, func(a, b int32) int { return g.order[a].compare(g.order[b]) })
	}
	for i, b := range g.middle {
		switch {
		case b == nil:
		case rows == nil:
			out.Columns[i] = b.Finish()
		default:
			sorted := build.New(schema.Fields[i].Type)
			sorted.Rows(b.View(), rows)
			out.Columns[i] = sorted.Finish()
			g.middle[i] = nil
		}
	}
	return out
}

// Emit takes the rows that the watermark has passed. It returns those of windows that are complete, or of
// OVER, in their order, and behind them open windows that are to be shown. Of very many it returns some
// and stays Ready.
func (o *sequenced) Emit(watermark int64) (*column.Batch, error) {
	if !o.Ready(watermark) {
		return nil, nil
	}
	through := minus(watermark, o.plan.lateness)
	shows, all := o.shows(watermark, o.sum()), true
	out := o.result()
	out.last = math.MinInt64
	held := o.Memory()
	for i, g := range o.groups {
		if g == nil || !g.sum.due(through, shows) {
			continue
		}
		if all = o.limit == 0 || len(out.order) < o.limit; !all {
			break
		}
		held -= g.memory()
		if err := o.load(i); err != nil {
			return nil, err
		}
		g.pass(through, shows, out)
		if g.unit.empty() {
			o.groups[i] = nil
			continue
		}
		if o.keep != nil && held+g.memory() > o.room {
			if err := o.evict(g); err != nil {
				return nil, fmt.Errorf("write key group %d: %w", i, err)
			}
		}
		held += g.memory()
	}
	if through == column.MaxWatermark {
		through = out.last
	}
	o.closed = max(o.closed, through)
	if shows && all && o.plan.every > 0 {
		o.shown = max(o.shown, o.plan.tick(watermark))
	}
	return o.projectBatch(out.batch(&o.plan.middle))
}

// Limit sets after how many rows Emit leaves the rest for the next one.
func (o *sequenced) Limit(rows int) { o.limit = rows }

// Memory is the size of the groups that are in memory.
func (o *sequenced) Memory() int64 {
	n := int64(0)
	for _, g := range o.groups {
		if g != nil {
			n += g.memory()
		}
	}
	return n
}

// Open counts the windows of all keys.
func (o *sequenced) Open() Open {
	sum := o.sum()
	return Open{Windows: sum.windows, Rows: sum.rows}
}

// frontier is the start of the first window that is still open, or of the first row that waits.
func (o *sequenced) frontier(watermark int64) int64 {
	least := minus(watermark, o.plan.lateness)
	for _, g := range o.groups {
		if g != nil {
			least = min(least, g.sum.low, g.begun())
		}
	}
	return least
}

func (o *sequenced) leave(watermark int64) {
	o.closed = max(o.closed, minus(watermark, o.plan.lateness))
}
