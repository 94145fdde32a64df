package sql

import (
	"math"
	"sync"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql/agg"
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
	// divider is the first one of all of them.
	divider
	dividers []*divider
	lanes    *lanes
	// evaluates makes what a divider computes with; the columns that decide on the key group begin at first.
	evaluates func() (stage, columnsOf)
	first     int
	split     *agg.Layout // nil when the state is one group
	types     []column.Type
	shape     []byte
	fresh     func() unit
	result    func() *gathered
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
	// locks are nil without lanes.
	locks *groupLocks
}

// columnsOf is what the rows that s has chosen of b are taken with.
type columnsOf func(s *stage, b *column.Batch) ([]*column.Column, error)

// divider divides rows by key groups. It holds memory that is used again.
type divider struct {
	stage
	of      *sequenced
	columns columnsOf
	// from is the group that it begins with, so that the lanes do not wait for one another.
	from   int
	taken  []int32
	byPart [][]int32
}

// groupLocks guard what is shared while rows are added: the groups, and the number of the next row.
type groupLocks struct {
	groups []sync.Mutex
	number sync.Mutex
}

// rowsHeld is how many rows that the watermark has passed may wait for a window to close.
const rowsHeld = 1 << 16

// begin makes the groups and the first divider.
func (o *sequenced) begin() {
	o.start()
	o.divider = *o.newDivider()
	o.dividers = []*divider{&o.divider}
}

// start empties the groups.
func (o *sequenced) start() {
	n := agg.KeyGroups
	if o.split == nil {
		n = 1
	}
	o.groups = make([]*group, n)
	o.closed, o.shown = math.MinInt64, math.MinInt64
}

func (o *sequenced) newDivider() *divider {
	d := &divider{of: o, byPart: make([][]int32, len(o.groups))}
	d.stage, d.columns = o.evaluates()
	return d
}

// divide makes dividers with programs of their own.
func (o *sequenced) divide(l *lanes) []Adder {
	o.lanes, o.keep = l, l.guard(o.keep)
	o.locks = &groupLocks{groups: make([]sync.Mutex, len(o.groups))}
	out := adders(l, &o.dividers, o.newDivider)
	for i, d := range o.dividers {
		d.from = i * len(o.groups) / l.n
	}
	return out
}

// Add keeps the selected rows of b until the watermark has passed them.
func (d *divider) Add(b *column.Batch) (Taken, error) {
	o := d.of
	var taken Taken
	event, err := d.admit(b, &taken)
	if err != nil || event == nil {
		return taken, err
	}
	columns, err := d.columns(&d.stage, b)
	if err != nil {
		return taken, err
	}
	d.taken = d.onTime(b, event, o.closed, &taken, d.taken[:0])
	taken.Aggregated = int64(len(d.taken))
	parts, arrival := d.parts(columns), o.number(b.Rows)
	for k := range parts {
		if g := (d.from + k) % len(parts); len(parts[g]) > 0 {
			o.hand(g, b.Origin.Shard, arrival, event.Int64s, columns, parts[g])
		}
	}
	return taken, nil
}

// number is the one under which the first of some rows arrives.
func (o *sequenced) number(rows int) int64 {
	if o.locks != nil {
		o.locks.number.Lock()
		defer o.locks.number.Unlock()
	}
	first := o.arrival
	o.arrival += int64(rows)
	return first
}

// hand gives rows to a group.
func (o *sequenced) hand(g int, shard record.ShardID, arrival int64, times []int64, columns []*column.Column, rows []int32) {
	if o.locks != nil {
		o.locks.groups[g].Lock()
		defer o.locks.groups[g].Unlock()
	}
	if o.groups[g] == nil {
		o.groups[g] = newGroup(o.fresh())
	}
	o.groups[g].add(shard, arrival, times, columns, rows)
}

// parts is the rows of d.taken by key group.
func (d *divider) parts(columns []*column.Column) [][]int32 {
	o := d.of
	if o.split == nil {
		d.byPart[0] = d.taken
		return d.byPart
	}
	for g := range d.byPart {
		d.byPart[g] = d.byPart[g][:0]
	}
	keys := columns[o.first : o.first+len(o.split.Keys)]
	for _, r := range d.taken {
		g := o.split.KeyGroup(keys, int(r))
		d.byPart[g] = append(d.byPart[g], r)
	}
	return d.byPart
}

// onTime appends the rows of s.view that are not behind their shard's watermark or closed.
func (s *stage) onTime(b *column.Batch, event *column.Column, closed int64, taken *Taken, dst []int32) []int32 {
	// Windows need room behind their last row.
	limit := math.MaxInt64 - s.plan.reach()
	for _, r := range s.view.Selection {
		switch at := event.Int64s[r]; {
		case event.IsNull(int(r)), at >= limit:
			taken.noTime(r)
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
	open := Open{Windows: sum.windows, Rows: sum.rows, Closes: column.MaxWatermark}
	if o.timed {
		// A row that waits may begin a window.
		open.Closes = plus(min(sum.end, plus(sum.low, o.reach)), o.plan.lateness)
	}
	return open
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
