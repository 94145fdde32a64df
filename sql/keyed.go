package sql

import (
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
)

// instance is one window of one key.
type instance struct {
	key         uint32
	start, last int64
	rows        int64
	// done is set once it takes no row any more.
	done bool
}

// keyed runs a windowPlan whose windows differ from key to key: SESSION, STAGGER and windows of rows.
// Its rows are taken in the order of their event times, so that neither the shards that they came in
// nor the order in which shards were read decide where a window begins. Rows behind their shard's
// watermark are late.
type keyed struct {
	stage
	wait   waiting
	closed int64
	shown  int64

	// known are the keys; open has their windows that still take rows, by their start.
	known *agg.Table
	open  [][]uint32
	// sums has one group for each of windows, under a number of its own.
	sums    *agg.Table
	windows []instance
	next    int64
	// complete are windows that are done and have not left, gone is how many have.
	complete []uint32
	gone     int
	// ends has the windows of time by when they can close at the earliest.
	ends endHeap
	// fresh are the windows that changed since they were last shown.
	fresh bits

	taken []int32
	key   agg.Batch
}

// rowsHeld is how many rows that the watermark has passed may wait for a window to close.
const rowsHeld = 1 << 16

// keyedLayouts are the tables of keys and of windows.
type keyedLayouts struct{ keys, sums *agg.Layout }

func (p *windowPlan) keyedLayouts() keyedLayouts {
	number := []column.Type{{Kind: column.BigInt}}
	return keyedLayouts{keys: agg.NewLayout(p.layout.Keys, nil), sums: agg.NewLayout(number, p.layout.Aggs)}
}

func newKeyed(p *windowPlan) *keyed {
	s := newStage(p)
	var types []column.Type
	for _, programs := range [][]*expr.Program{s.keys, s.args} {
		for _, q := range programs {
			types = append(types, q.Type())
		}
	}
	return &keyed{stage: s, wait: newWaiting(types), closed: math.MinInt64, shown: math.MinInt64,
		known: p.tables.keys.New(), sums: p.tables.sums.New()}
}

// Add keeps the selected rows of b until the watermark has passed them.
func (o *keyed) Add(b *column.Batch) (Taken, error) {
	var taken Taken
	if err := o.choose(b, &taken); err != nil {
		return taken, err
	}
	if len(o.view.Selection) == 0 {
		return taken, nil
	}
	event, err := o.times(b)
	if err != nil {
		return taken, err
	}
	if err := o.evaluate(); err != nil {
		return taken, err
	}
	o.taken = o.onTime(b, event, o.closed, &taken, o.taken[:0])
	o.wait.add(b.Origin.Shard, event.Int64s, append(slices.Clone(o.keyCols), o.argCols...), o.taken)
	taken.Aggregated = int64(len(o.taken))
	return taken, nil
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
func (o *keyed) timed() bool { return o.plan.window.Rows == 0 }

// take puts rows that were released into windows.
func (o *keyed) take(rows released) {
	if rows.n == 0 {
		return
	}
	keys, args := rows.columns[:len(o.keys)], rows.columns[len(o.keys):]
	o.plan.tables.keys.Prepare(&o.key, keys, rows.all, rows.n)
	of := o.known.Find(&o.key, rows.all, nil)
	for len(o.open) < o.known.Len() {
		o.open = append(o.open, nil)
	}
	// A row of an overlapping window of rows is folded in once for each.
	groups, from := make([]uint32, 0, rows.n), make([]int32, 0, rows.n)
	first := len(o.windows)
	for i := range rows.n {
		for _, w := range o.assign(of[i], rows.times[i]) {
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
func (o *keyed) assign(key uint32, at int64) []uint32 {
	open := o.open[key]
	if o.timed() {
		if len(open) == 1 && at >= o.end(&o.windows[open[0]]) {
			open = o.finish(key)
		}
		if len(open) == 0 {
			open = o.begin(key, at)
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
		open = o.begin(key, at)
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
func (o *keyed) begin(key uint32, at int64) []uint32 {
	i := uint32(len(o.windows))
	o.windows = append(o.windows, instance{key: key, start: at, last: at})
	o.open[key] = append(o.open[key], i)
	if o.timed() {
		o.ends.push(ending{at: o.end(&o.windows[i]), window: i})
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
	o.ends = o.ends[:0]
	for i := range windows {
		key := windows[i].key
		o.open[key] = append(o.open[key], uint32(i))
		if o.timed() {
			o.ends.push(ending{at: o.end(&windows[i]), window: uint32(i)})
		}
	}
}

// Memory is the size of the rows that wait and of the open windows.
func (o *keyed) Memory() int64 {
	return o.wait.memory() + o.known.Memory() + o.sums.Memory() + int64(48*cap(o.windows)+32*cap(o.open)+16*cap(o.ends)+8*cap(o.fresh))
}

// Open counts the windows of all keys.
func (o *keyed) Open() Open {
	return Open{Windows: int64(len(o.windows) - o.gone), Rows: int64(o.wait.n)}
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
