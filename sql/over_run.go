package sql

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/expr"
)

// over runs an overPlan. Rows are taken by event time once the watermark has passed them, so that
// nothing depends on shards; rows behind their shard's watermark are late.
type over struct {
	plan *overPlan
	stage
	inputs []int
	frames []*frameState
	wait   waiting
	closed int64
	taken  []int32
}

// frameState is what one frame knows of earlier rows.
type frameState struct {
	*overFrame
	keys, args []*expr.Program
	// table has a group for each partition, and the parallel list what else is known of it.
	table *agg.Table
	parts []partition
	// kept are rows that frames and LAG look back at: their times and arguments.
	times []int64
	rows  []*build.Column
	// live is how many there were when the others were last dropped.
	live int
	key  agg.Batch
}

// partition is the rows of one key.
type partition struct {
	// count is how many rows it had.
	count int64
	// kept are places in frameState.times, oldest first.
	kept []int32
}

func (p *overPlan) operator() Operator { return newOver(p) }

func newOver(p *overPlan) *over {
	s := newStage(&windowPlan{in: p.in, event: p.event, where: p.where, items: p.items, having: p.qualify, lateness: p.lateness})
	s.plan.middleSchema(p.middle, p.out)
	o := &over{plan: p, stage: s, inputs: p.inputs, closed: math.MinInt64}
	var types []column.Type
	for _, i := range p.inputs {
		types = append(types, p.in.Fields[i].Type)
	}
	for _, f := range p.frames {
		st := f.state()
		for _, q := range slices.Concat(st.keys, st.args) {
			types = append(types, q.Type())
		}
		o.frames = append(o.frames, st)
	}
	o.wait = newWaiting(types)
	return o
}

func (p *windowPlan) middleSchema(middle column.Schema, out outputs) { p.middle, p.out = middle, out }

// state is an empty one.
func (f *overFrame) state() *frameState {
	st := &frameState{overFrame: f, table: f.partitions.New()}
	for _, k := range f.keys {
		st.keys = append(st.keys, k.Clone())
	}
	for _, a := range f.args {
		st.args = append(st.args, a.Clone())
		st.rows = append(st.rows, build.New(a.Type()))
	}
	return st
}

// Add keeps the selected rows of b until the watermark has passed them.
func (o *over) Add(b *column.Batch) (Taken, error) {
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
	columns := make([]*column.Column, 0, len(o.wait.types))
	for _, i := range o.inputs {
		columns = append(columns, b.Columns[i])
	}
	for _, f := range o.frames {
		for _, p := range slices.Concat(f.keys, f.args) {
			c, err := p.Eval(&o.view)
			if err != nil {
				return taken, fmt.Errorf("evaluate a part of OVER: %w", err)
			}
			columns = append(columns, c)
		}
	}
	o.taken = o.onTime(b, event, o.closed, &taken, o.taken[:0])
	o.wait.add(b.Origin.Shard, event.Int64s, columns, o.taken)
	taken.Aggregated = int64(len(o.taken))
	return taken, nil
}

// Ready reports whether the watermark has passed rows that wait.
func (o *over) Ready(watermark int64) bool {
	return o.wait.n > 0 && o.wait.low < minus(watermark, o.plan.lateness)
}

// Emit returns the rows that the watermark has passed, by event time, then shard, then arrival.
func (o *over) Emit(watermark int64) (*column.Batch, error) {
	if !o.Ready(watermark) {
		return nil, nil
	}
	through := minus(watermark, o.plan.lateness)
	rows := o.wait.release(through)
	middle := &column.Batch{Schema: &o.plan.middle, Rows: rows.n, Columns: make([]*column.Column, len(o.plan.middle.Fields))}
	for n, i := range o.inputs {
		middle.Columns[i] = rows.columns[n]
	}
	rest := rows.columns[len(o.inputs):]
	for _, f := range o.frames {
		keys, args := rest[:len(f.keys)], rest[len(f.keys):len(f.keys)+len(f.args)]
		rest = rest[len(f.keys)+len(f.args):]
		f.run(rows, keys, args, middle.Columns)
		f.forget(through)
	}
	if watermark == column.MaxWatermark {
		through = rows.times[rows.n-1] + 1
	}
	o.closed = max(o.closed, through)
	return o.projectBatch(middle)
}

// run computes the calls of the frame for rows that follow those it has seen.
func (f *frameState) run(rows released, keys, args, out []*column.Column) {
	f.partitions.Prepare(&f.key, keys, rows.all, rows.n)
	of := f.table.Find(&f.key, rows.all, nil)
	for len(f.parts) < f.table.Len() {
		f.parts = append(f.parts, partition{})
	}
	// pos is a row's place among those its partition keeps.
	pos := make([]int, rows.n)
	number := build.New(column.Type{Kind: column.BigInt})
	base := len(f.times)
	looks := f.moves() || len(f.lags) > 0
	for i, g := range of {
		p := &f.parts[g]
		p.count++
		number.Int(p.count)
		if looks {
			pos[i] = len(p.kept)
			p.kept = append(p.kept, int32(base+i))
		}
	}
	if f.number >= 0 {
		out[f.number] = number.Finish()
	}
	if looks {
		f.times = append(f.times, rows.times...)
		for i, a := range args {
			f.rows[i].Rows(a, rows.all)
		}
	}
	switch {
	case len(f.aggs) == 0:
	case f.running:
		f.runRunning(rows, of, args, out)
	default:
		f.runMoving(rows, of, pos, out)
	}
	f.runLags(of, pos, args, out)
}

func (f *frameState) results() []*build.Column {
	var out []*build.Column
	for _, s := range f.aggs {
		out = append(out, build.New(s.Out))
	}
	return out
}

func (f *frameState) finish(results []*build.Column, out []*column.Column) {
	for i, b := range results {
		out[f.aggFields[i]] = b.Finish()
	}
}

// runRunning folds rows in one after another. In RANGE frames those with the same time count in
// each other's results.
func (f *frameState) runRunning(rows released, of []uint32, args, out []*column.Column) {
	results := f.results()
	for from := 0; from < rows.n; {
		to := from + 1
		for !f.byRows && to < rows.n && rows.times[to] == rows.times[from] {
			to++
		}
		f.table.Add(of[from:to], args, rows.all[from:to])
		for ; from < to; from++ {
			for i := range results {
				f.table.Result(i, []int{int(of[from])}, results[i])
			}
		}
	}
	f.finish(results, out)
}

// foldAtOnce is how many rows are folded in before results are taken.
const foldAtOnce = 1 << 16

// runMoving folds the rows of each frame anew: a sum of a sliding frame has no error that grows.
func (f *frameState) runMoving(rows released, of []uint32, pos []int, out []*column.Column) {
	results := f.results()
	args := make([]*column.Column, len(f.args))
	for i, b := range f.rows {
		args[i] = b.View()
	}
	var groups []uint32
	var from []int32
	first := 0
	for i, g := range of {
		kept := f.parts[g].kept
		low, high := f.bounds(kept, pos[i], rows.times[i])
		for _, r := range kept[low:high] {
			groups, from = append(groups, uint32(i-first)), append(from, r)
		}
		if len(groups) >= foldAtOnce || i == rows.n-1 {
			f.fold(i+1-first, groups, from, args, results)
			groups, from, first = groups[:0], from[:0], i+1
		}
	}
	f.finish(results, out)
}

// bounds is the frame of the row at a place among those of its partition.
func (f *frameState) bounds(kept []int32, pos int, at int64) (low, high int) {
	if f.byRows {
		return max(pos-f.back, 0), pos + 1
	}
	start := minus(at, f.span)
	low = sort.Search(pos, func(i int) bool { return f.times[kept[i]] >= start })
	high = pos + 1
	for high < len(kept) && f.times[kept[high]] == at {
		high++
	}
	return low, high
}

// fold appends the results of n frames.
func (f *frameState) fold(n int, groups []uint32, from []int32, args []*column.Column, results []*build.Column) {
	t, numbers := f.moving.New(), &column.Column{Type: column.Type{Kind: column.BigInt}, Len: n}
	all, order := make([]int32, n), make([]int, n)
	for i := range n {
		numbers.Int64s = append(numbers.Int64s, int64(i))
		all[i], order[i] = int32(i), i
	}
	var key agg.Batch
	f.moving.Prepare(&key, []*column.Column{numbers}, all, n)
	t.Find(&key, all, nil)
	t.Add(groups, args, from)
	for i := range results {
		t.Result(i, order, results[i])
	}
}

// runLags looks back by rows.
func (f *frameState) runLags(of []uint32, pos []int, args, out []*column.Column) {
	first := len(f.args) - 2*len(f.lags)
	for n, back := range f.lags {
		value, fallback := f.rows[first+2*n].View(), args[first+2*n+1]
		b := build.New(f.args[first+2*n].Type())
		for i, g := range of {
			if at := pos[i] - back; at >= 0 {
				b.Rows(value, []int32{f.parts[g].kept[at]})
			} else {
				b.Rows(fallback, []int32{int32(i)})
			}
		}
		out[f.lagFields[n]] = b.Finish()
	}
}

// forget drops what rows to come cannot see, once that may be half of what is kept.
func (f *frameState) forget(through int64) {
	if len(f.times) >= max(1024, 2*f.live) {
		f.trim(through)
		f.compact()
	}
}

// trim shortens what partitions keep.
func (f *frameState) trim(through int64) {
	old, n := f.forgets(through), f.keeps()
	for i := range f.parts {
		p := &f.parts[i]
		drop := max(len(p.kept)-n, 0)
		if f.ranges() {
			drop = min(drop, sort.Search(len(p.kept), func(i int) bool { return f.times[p.kept[i]] >= old }))
		}
		p.kept = p.kept[drop:]
	}
}

// compact rebuilds the rows that are kept, partition by partition. Partitions that are of no use to
// rows to come go.
func (f *frameState) compact() {
	if f.ranges() && len(f.lags) == 0 && f.number < 0 {
		f.drop()
	}
	var order []int32
	for i := range f.parts {
		p := &f.parts[i]
		from := len(order)
		order = append(order, p.kept...)
		p.kept = p.kept[:0:0]
		for k := from; k < len(order); k++ {
			p.kept = append(p.kept, int32(k))
		}
	}
	times := make([]int64, len(order))
	for i, r := range order {
		times[i] = f.times[r]
	}
	for i, b := range f.rows {
		fresh := build.New(f.args[i].Type())
		fresh.Rows(b.View(), order)
		f.rows[i] = fresh
	}
	f.times, f.live = times, len(order)
}

// drop removes partitions that keep no row.
func (f *frameState) drop() {
	var groups []uint32
	var parts []partition
	for i, p := range f.parts {
		if len(p.kept) > 0 {
			groups, parts = append(groups, uint32(i)), append(parts, p)
		}
	}
	if len(parts) == len(f.parts) {
		return
	}
	table := f.partitions.New()
	table.MergeGroups(f.table, groups)
	f.table, f.parts = table, parts
}

// Memory is the size of the rows that wait and of those that are kept.
func (o *over) Memory() int64 {
	n := o.wait.memory()
	for _, f := range o.frames {
		n += f.table.Memory() + int64(40*cap(f.parts)+12*cap(f.times))
		for _, b := range f.rows {
			n += b.Bytes()
		}
	}
	return n
}

// Open counts the rows whose turn has not come.
func (o *over) Open() Open { return Open{Rows: int64(o.wait.n)} }

// shape tells snapshots of different queries apart.
func (o *over) shape() []byte {
	out := []byte{'o'}
	for _, t := range o.wait.types {
		out = append(out, byte(t.Kind), byte(t.Precision), byte(t.Scale))
	}
	for _, f := range o.frames {
		parts := slices.Clone(f.spec.PartitionBy)
		for _, c := range f.known {
			parts = append(parts, c)
		}
		out = append(append(out, meaning(parts)...), flag(f.running), flag(f.byRows))
		out = binary.AppendVarint(binary.AppendUvarint(out, uint64(f.back)), f.span)
		for _, back := range f.lags {
			out = binary.AppendUvarint(out, uint64(back))
		}
		out = append(append(out, f.partitions.Shape()...), f.moving.Shape()...)
	}
	return out
}

// Snapshot encodes the rows that wait and those that are kept.
func (o *over) Snapshot() ([]byte, error) {
	shape := o.shape()
	out := append(binary.AppendUvarint([]byte{snapshotVersion}, uint64(len(shape))), shape...)
	out = o.wait.append(binary.AppendVarint(out, o.closed))
	for _, f := range o.frames {
		f.trim(o.closed)
		f.compact()
		out = f.table.Append(out)
		for i := range f.parts {
			p := &f.parts[i]
			out = binary.AppendUvarint(out, uint64(p.count))
			out = binary.AppendUvarint(out, uint64(len(p.kept)))
			for _, r := range p.kept {
				out = binary.AppendVarint(out, f.times[r])
				for _, b := range f.rows {
					out = appendCell(out, b.View(), int(r))
				}
			}
		}
	}
	return out, nil
}

// Restore sets the state to a snapshot; see panes.Restore.
func (o *over) Restore(snapshot []byte) error {
	fresh := newOver(o.plan)
	if len(snapshot) > 0 {
		if err := fresh.read(snapshot); err != nil {
			return fmt.Errorf("restore the windows of a query: %w", err)
		}
	}
	*o = *fresh
	return nil
}

func (o *over) read(snapshot []byte) error {
	r := agg.NewReader(snapshot)
	if err := checkHeader(r, o.shape()); err != nil {
		return err
	}
	o.closed = r.Varint("closed")
	if err := o.wait.read(r); err != nil {
		return err
	}
	for _, f := range o.frames {
		f.table = f.partitions.Read(r)
		for range f.table.Len() {
			p := partition{count: int64(min(r.Uvarint("count"), math.MaxInt64))}
			for range r.Count("rows") {
				p.kept = append(p.kept, int32(len(f.times)))
				f.times = append(f.times, r.Varint("time"))
				for i, b := range f.rows {
					readCell(r, f.args[i].Type(), b)
				}
				if err := r.Err(); err != nil {
					return err
				}
			}
			f.parts = append(f.parts, p)
		}
		f.live = len(f.times)
	}
	return ended(r)
}
