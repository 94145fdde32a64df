package sql

import (
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
)

// instance is one window of one key.
type instance struct {
	key         uint32
	start, last int64
	rows        int64
	// shard and arrival are those of the first row.
	shard   record.ShardID
	arrival int64
	// done is set once it takes no row any more.
	done bool
}

// keyed is the windows of the keys of one group: SESSION, STAGGER and windows of rows.
type keyed struct {
	plan *windowPlan
	wait waiting

	// known are the keys; open has their windows that still take rows, by their start.
	known *agg.Table
	open  [][]uint32
	// sums has one group for each of windows, under a number of its own.
	sums    *agg.Table
	windows []instance
	next    int64
	// first is a time before which no open window began.
	first int64
	// complete are windows that are done and have not left, gone is how many have.
	complete []uint32
	gone     int
	// soon has the windows of time by when they can close at the earliest.
	soon endHeap
	// fresh are the windows that changed since they were last shown.
	fresh bits

	key agg.Batch
}

// keyedLayouts are the tables of keys and of windows.
type keyedLayouts struct{ keys, sums *agg.Layout }

func (p *windowPlan) keyedLayouts() keyedLayouts {
	number := []column.Type{{Kind: column.BigInt}}
	return keyedLayouts{keys: agg.NewLayout(p.layout.Keys, nil), sums: agg.NewLayout(number, p.layout.Aggs)}
}

func newKeyed(p *windowPlan) *sequenced {
	o := &sequenced{shape: p.shape(), timed: p.timed(), reach: p.reach()}
	if len(p.keys) > 0 {
		o.split = p.tables.keys
	}
	for _, programs := range [][]*expr.Program{p.keys, p.args} {
		for _, q := range programs {
			o.types = append(o.types, q.Type())
		}
	}
	o.evaluates = func() (stage, columnsOf) {
		return newStage(p), func(s *stage, _ *column.Batch) ([]*column.Column, error) {
			return append(slices.Clone(s.keyCols), s.argCols...), nil
		}
	}
	types := o.types
	o.fresh = func() unit {
		return &keyed{plan: p, first: math.MaxInt64, wait: newWaiting(types), known: p.tables.keys.New(), sums: p.tables.sums.New()}
	}
	o.result = func() *gathered { return &gathered{middle: builders(&p.middle)} }
	o.begin()
	return o
}

// end is when a window is over, if no further row comes.
func (o *keyed) end(w *instance) int64 {
	switch o.plan.window.Kind {
	case ast.Session:
		return w.last + o.plan.window.Size.Value.Micros
	case ast.Stagger:
		return w.start + o.plan.window.Size.Value.Micros
	}
	return w.last
}

// timed reports whether the watermark closes windows.
func (p *windowPlan) timed() bool { return p.window.Rows == 0 }

func (o *keyed) waits() *waiting { return &o.wait }

// take puts rows that were released into windows.
func (o *keyed) take(rows released) {
	if rows.n == 0 {
		return
	}
	keys, args := rows.columns[:len(o.plan.keys)], rows.columns[len(o.plan.keys):]
	o.plan.tables.keys.Prepare(&o.key, keys, rows.all, rows.n)
	of := o.known.Find(&o.key, rows.all, nil)
	for len(o.open) < o.known.Len() {
		o.open = append(o.open, nil)
	}
	// A row of an overlapping window of rows is folded in once for each.
	groups, from := make([]uint32, 0, rows.n), make([]int32, 0, rows.n)
	first := len(o.windows)
	for i := range rows.n {
		for _, w := range o.assign(of[i], rows.ranks[i]) {
			groups, from = append(groups, w), append(from, int32(i))
		}
	}
	o.number(len(o.windows) - first)
	o.sums.Add(groups, args, from)
	if o.plan.early() {
		o.fresh.set(groups)
	}
}

// assign counts a row in its windows and returns them.
func (o *keyed) assign(key uint32, row rank) []uint32 {
	at := row.at
	open := o.open[key]
	if o.plan.timed() {
		if len(open) == 1 && at >= o.end(&o.windows[open[0]]) {
			open = o.finish(key)
		}
		if len(open) == 0 {
			open = o.begin(key, row)
		}
		w := &o.windows[open[0]]
		w.last = at
		w.rows++
		return open
	}
	step := o.plan.window.Rows
	if o.plan.window.StepRows > 0 {
		step = o.plan.window.StepRows
	}
	// The last window to open tells how many rows the key had since.
	if n := len(open); n == 0 || o.windows[open[n-1]].rows == step {
		open = o.begin(key, row)
	}
	for _, i := range open {
		w := &o.windows[i]
		w.last = at
		w.rows++
	}
	all := open
	if o.windows[open[0]].rows == o.plan.window.Rows {
		o.finish(key)
	}
	return all
}

// begin opens a window of a key.
func (o *keyed) begin(key uint32, row rank) []uint32 {
	i := uint32(len(o.windows))
	o.first = min(o.first, row.at)
	o.windows = append(o.windows, instance{key: key, start: row.at, last: row.at, shard: row.shard, arrival: row.arrival})
	o.open[key] = append(o.open[key], i)
	if o.plan.timed() {
		o.soon.push(ending{at: o.end(&o.windows[i]), window: i})
	}
	return o.open[key]
}

// finish ends the oldest open window of a key.
func (o *keyed) finish(key uint32) []uint32 {
	i := o.open[key][0]
	o.windows[i].done = true
	o.complete = append(o.complete, i)
	// The slice may be in use by the caller, so it is not shifted.
	o.open[key] = o.open[key][1:]
	return o.open[key]
}

// number makes groups for n new windows.
func (o *keyed) number(n int) {
	if n == 0 {
		return
	}
	c := &column.Column{Type: column.Type{Kind: column.BigInt}, Len: n}
	rows := make([]int32, n)
	for i := range n {
		c.Int64s = append(c.Int64s, o.next)
		o.next++
		rows[i] = int32(i)
	}
	var key agg.Batch
	o.plan.tables.sums.Prepare(&key, []*column.Column{c}, rows, n)
	o.sums.Find(&key, rows, nil)
}

// compact drops the windows that are done and keys without windows.
func (o *keyed) compact() {
	var live, keys []uint32
	for i := range o.windows {
		if !o.windows[i].done {
			live = append(live, uint32(i))
		}
	}
	for key, open := range o.open {
		if len(open) > 0 {
			keys = append(keys, uint32(key))
		}
	}
	sums, table := o.plan.tables.sums.New(), o.plan.tables.keys.New()
	sums.MergeGroups(o.sums, live)
	renamed := make([]uint32, len(o.open))
	for i, g := range table.MergeGroups(o.known, keys) {
		renamed[keys[i]] = g
	}
	windows, fresh := make([]instance, len(live)), bits(nil)
	for i, old := range live {
		windows[i] = o.windows[old]
		windows[i].key = renamed[windows[i].key]
		if o.fresh.has(old) {
			fresh.set([]uint32{uint32(i)})
		}
	}
	o.sums, o.known, o.fresh = sums, table, fresh
	o.settle(windows)
}

// settle sets the windows, none of which is done.
func (o *keyed) settle(windows []instance) {
	o.windows, o.complete, o.gone = windows, nil, 0
	o.open = make([][]uint32, o.known.Len())
	o.soon, o.first = o.soon[:0], math.MaxInt64
	for i := range windows {
		key := windows[i].key
		o.first = min(o.first, windows[i].start)
		o.open[key] = append(o.open[key], uint32(i))
		if o.plan.timed() {
			o.soon.push(ending{at: o.end(&windows[i]), window: uint32(i)})
		}
	}
}

func (o *keyed) memory() int64 {
	return o.wait.memory() + o.known.Memory() + o.sums.Memory() + int64(64*cap(o.windows)+32*cap(o.open)+16*cap(o.soon)+8*cap(o.fresh))
}

func (o *keyed) opened() int64 { return int64(len(o.windows) - o.gone) }

func (o *keyed) empty() bool { return o.wait.n == 0 && len(o.windows) == 0 }

func (o *keyed) changed() bool { return len(o.fresh) > 0 }

func (o *keyed) ends() int64 {
	if len(o.soon) == 0 {
		return math.MaxInt64
	}
	return o.soon[0].at
}

func (o *keyed) earliest() int64 { return o.first }

func (o *keyed) begun() int64 {
	first := int64(math.MaxInt64)
	for i := range o.windows {
		if !o.windows[i].done {
			first = min(first, o.windows[i].start)
		}
	}
	return first
}

// ending is when a window can close at the earliest.
type ending struct {
	at     int64
	window uint32
}

// endHeap has the earliest first.
type endHeap []ending

func (h *endHeap) push(e ending) {
	*h = append(*h, e)
	s := *h
	for i := len(s) - 1; i > 0 && s[(i-1)/2].at > s[i].at; i = (i - 1) / 2 {
		s[i], s[(i-1)/2] = s[(i-1)/2], s[i]
	}
}

func (h *endHeap) pop() ending {
	s := *h
	top, n := s[0], len(s)-1
	s[0] = s[n]
	s = s[:n]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < n; child++ {
			if s[child].at < s[least].at {
				least = child
			}
		}
		if least == i {
			break
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
	*h = s
	return top
}
