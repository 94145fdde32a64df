package sql

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/expr"
	"github.com/millrace-io/millrace/sql/temporal"
)

// window is the groups of one window in one shard.
type window struct {
	start, end int64
	table      *agg.Table
	// touch is the place in tumble.touched if mark is the number of the current batch.
	mark  int64
	touch int
}

// touched is a window that the current batch has rows for.
type touched struct {
	window *window
	rows   []int32
}

// tumble runs a windowPlan. Each shard has windows of its own: the rows of a shard arrive in
// order, so its sums depend on nothing else; Emit adds the shards up in the order of their ids.
type tumble struct {
	plan   *windowPlan
	where  *expr.Program
	keys   []*expr.Program
	args   []*expr.Program
	having *expr.Program
	items  []*expr.Program

	// shards has the open windows by ascending start.
	shards map[record.ShardID][]*window
	// closed is the end of what was emitted: rows of windows that end by then are late.
	closed int64

	// What follows is memory used again from batch to batch.
	batches int64
	touched []touched
	view    column.Batch
	chosen  []int32
	all     []int32 // 0, 1, 2, …
	groups  []uint32
	keyCols []*column.Column
	argCols []*column.Column
	key     agg.Batch
}

func (p *windowPlan) operator() Operator {
	o := &tumble{plan: p, shards: make(map[record.ShardID][]*window), closed: math.MinInt64}
	clone := func(programs []*expr.Program) []*expr.Program {
		out := make([]*expr.Program, len(programs))
		for i, q := range programs {
			if q != nil {
				out[i] = q.Clone()
			}
		}
		return out
	}
	o.keys, o.args, o.items = clone(p.keys), clone(p.args), clone(p.items)
	pair := clone([]*expr.Program{p.where, p.having})
	o.where, o.having = pair[0], pair[1]
	o.keyCols, o.argCols = make([]*column.Column, len(o.keys)), make([]*column.Column, len(o.args))
	return o
}

// Add folds the selected rows of b into the windows of their shard.
func (o *tumble) Add(b *column.Batch) (Taken, error) {
	var taken Taken
	if err := o.choose(b, &taken); err != nil {
		return taken, err
	}
	if len(o.view.Selection) == 0 {
		return taken, nil
	}
	// Whatever can go wrong does so before a window changes.
	if err := o.evaluate(); err != nil {
		return taken, err
	}
	if err := o.place(b, &taken); err != nil {
		return taken, err
	}
	o.plan.layout.Prepare(&o.key, o.keyCols, o.view.Selection, b.Rows)
	for i := range o.touched {
		t := &o.touched[i]
		o.groups = t.window.table.Find(&o.key, t.rows, o.groups[:0])
		t.window.table.Add(o.groups, o.argCols, t.rows)
		taken.Aggregated += int64(len(t.rows))
	}
	return taken, nil
}

// evaluate computes the keys and arguments of the rows of o.view.
func (o *tumble) evaluate() error {
	for i, p := range o.keys {
		c, err := p.Eval(&o.view)
		if err != nil {
			return fmt.Errorf("evaluate key %d of GROUP BY: %w", i+1, err)
		}
		o.keyCols[i] = c
	}
	for i, p := range o.args {
		if p == nil {
			continue
		}
		c, err := p.Eval(&o.view)
		if err != nil {
			return fmt.Errorf("evaluate argument of aggregate %d: %w", i+1, err)
		}
		o.argCols[i] = c
	}
	return nil
}

// choose sets o.view to b with the rows that pass WHERE.
func (o *tumble) choose(b *column.Batch, taken *Taken) error {
	o.view = *b
	switch {
	case o.where != nil:
		var err error
		if o.chosen, err = o.where.Select(b, o.chosen[:0]); err != nil {
			return fmt.Errorf("evaluate WHERE: %w", err)
		}
		taken.Filtered = int64(b.Selected() - len(o.chosen))
		o.view.Selection = o.chosen
	case b.Selection == nil:
		for len(o.all) < b.Rows {
			o.all = append(o.all, int32(len(o.all)))
		}
		o.view.Selection = o.all[:b.Rows]
	}
	return nil
}

// place sorts the rows of o.view into o.touched by window.
func (o *tumble) place(b *column.Batch, taken *Taken) error {
	o.batches++
	o.touched = o.touched[:0]
	if o.plan.event >= len(b.Columns) || b.Columns[o.plan.event] == nil {
		return fmt.Errorf("column %q is not in the batch", o.plan.in.Fields[o.plan.event].Name)
	}
	event, marks := b.Columns[o.plan.event], b.Watermarks
	times, size, closed := event.Int64s, o.plan.size, o.closed
	// The window of the last row, its place in touched or -1, and its rows so far.
	start, end, at := int64(0), int64(0), -1
	var rows []int32
	for _, r := range o.view.Selection {
		if event.Valid != nil && !event.Valid.Get(int(r)) {
			taken.Filtered++
			continue
		}
		if ts := times[r]; ts < start || ts >= end {
			if at >= 0 {
				o.touched[at].rows = rows
				at = -1
			}
			var fits, ends bool
			start, fits = temporal.Floor(ts, size)
			if end, ends = temporal.AddInt(start, size); !fits || !ends {
				start, end = 0, 0
				taken.Filtered++
				continue
			}
		}
		if end <= closed || marks != nil && end <= marks[r] {
			taken.Late = append(taken.Late, r)
			continue
		}
		if at < 0 {
			at = o.touch(b.Origin.Shard, start, end)
			rows = o.touched[at].rows
		}
		rows = append(rows, r)
	}
	if at >= 0 {
		o.touched[at].rows = rows
	}
	return nil
}

// touch is the place in o.touched of a window, which is opened if need be.
func (o *tumble) touch(shard record.ShardID, start, end int64) int {
	windows := o.shards[shard]
	i, found := slices.BinarySearchFunc(windows, start, func(w *window, start int64) int {
		switch {
		case w.start < start:
			return -1
		case w.start > start:
			return 1
		}
		return 0
	})
	if !found {
		w := &window{start: start, end: end, table: o.plan.layout.New()}
		windows = slices.Insert(windows, i, w)
		o.shards[shard] = windows
	}
	w := windows[i]
	if w.mark != o.batches {
		w.mark, w.touch = o.batches, len(o.touched)
		if w.touch < cap(o.touched) {
			o.touched = o.touched[:w.touch+1]
			o.touched[w.touch].rows = o.touched[w.touch].rows[:0]
		} else {
			o.touched = append(o.touched, touched{})
		}
		o.touched[w.touch].window = w
	}
	return w.touch
}

// Ready reports whether a window ends by the watermark.
func (o *tumble) Ready(watermark int64) bool {
	for _, windows := range o.shards {
		if windows[0].end <= watermark {
			return true
		}
	}
	return false
}

// Emit returns the rows of the windows that end by the watermark, by window and then by key.
// Without such a window it changes nothing, not even what is late.
func (o *tumble) Emit(watermark int64) (*column.Batch, error) {
	if !o.Ready(watermark) {
		return nil, nil
	}
	middle := make([]*build.Column, len(o.plan.middle.Fields))
	for i, f := range o.plan.middle.Fields {
		middle[i] = build.New(f.Type)
	}
	through := watermark
	closing := o.closing(watermark)
	for _, w := range closing {
		if watermark == column.MaxWatermark {
			through = w.end
		}
		table := w.tables[0]
		for i, t := range w.tables[1:] {
			if i == 0 {
				table = o.plan.layout.New()
				table.Merge(w.tables[0])
			}
			table.Merge(t)
		}
		o.results(w.window, table, middle)
	}
	out, err := o.project(build.Batch(&o.plan.middle, middle))
	if err != nil {
		return nil, err
	}
	o.forget(watermark)
	o.closed = max(o.closed, through)
	return out, nil
}

// closing is a window that closes, with its tables by ascending shard.
type closing struct {
	*window
	tables []*agg.Table
}

func (o *tumble) closing(watermark int64) []closing {
	byStart := make(map[int64]int)
	var out []closing
	for _, id := range slices.Sorted(maps.Keys(o.shards)) {
		for _, w := range o.shards[id] {
			if w.end > watermark {
				break
			}
			i, ok := byStart[w.start]
			if !ok {
				i = len(out)
				byStart[w.start] = i
				out = append(out, closing{window: w})
			}
			out[i].tables = append(out[i].tables, w.table)
		}
	}
	slices.SortFunc(out, func(a, b closing) int {
		if a.start < b.start {
			return -1
		}
		return 1
	})
	return out
}

// results appends the groups of a window to the middle columns.
func (o *tumble) results(w *window, t *agg.Table, middle []*build.Column) {
	groups := t.Sorted()
	for range groups {
		middle[windowStart].Int(w.start)
		middle[windowEnd].Int(w.end)
	}
	for i := range o.plan.keys {
		t.Key(i, groups, middle[firstKey+i])
	}
	for i := range o.plan.args {
		t.Result(i, groups, middle[firstKey+len(o.plan.keys)+i])
	}
}

// project applies HAVING and the select list.
func (o *tumble) project(middle *column.Batch) (*column.Batch, error) {
	rows := make([]int32, 0, middle.Rows)
	if o.having == nil {
		for r := range int32(middle.Rows) {
			rows = append(rows, r)
		}
	} else {
		var err error
		if rows, err = o.having.Select(middle, rows); err != nil {
			return nil, fmt.Errorf("evaluate HAVING: %w", err)
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	middle.Selection = rows
	out := &column.Batch{Schema: o.plan.output(), Rows: len(rows)}
	for i, p := range o.items {
		if f := p.Field(); f >= 0 && len(rows) == middle.Rows {
			out.Columns = append(out.Columns, middle.Columns[f])
			continue
		}
		c, err := p.Eval(middle)
		if err != nil {
			return nil, fmt.Errorf("evaluate column %q: %w", out.Schema.Fields[i].Name, err)
		}
		b := build.New(p.Type())
		b.Rows(c, rows)
		out.Columns = append(out.Columns, b.Finish())
	}
	return out, nil
}

func (o *tumble) forget(watermark int64) {
	for id, windows := range o.shards {
		n := 0
		for n < len(windows) && windows[n].end <= watermark {
			n++
		}
		if n == len(windows) {
			delete(o.shards, id)
			continue
		}
		o.shards[id] = slices.Delete(windows, 0, n)
	}
	o.untouch()
}

// untouch lets go of closed windows in memory that is used again.
func (o *tumble) untouch() {
	for i := range o.touched[:cap(o.touched)] {
		o.touched[:cap(o.touched)][i].window = nil
	}
	o.touched = o.touched[:0]
}

// Memory is the size of the open windows.
func (o *tumble) Memory() int64 {
	n := int64(0)
	for _, windows := range o.shards {
		for _, w := range windows {
			n += w.table.Memory()
		}
	}
	return n
}
