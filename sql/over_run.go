package sql

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/expr"
)

// over is the partitions of one key group of a query with OVER.
type over struct {
	plan   *overPlan
	frames []*frameState
	wait   waiting
	// passed is the time that was passed last.
	passed int64
}

// frameState is what one frame knows of earlier rows.
type frameState struct {
	*overFrame
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

func newOver(p *overPlan) *sequenced {
	o := &sequenced{first: len(p.inputs), split: p.split(), result: p.gathered, evaluates: p.evaluates}
	for _, i := range p.inputs {
		o.types = append(o.types, p.in.Fields[i].Type)
	}
	for _, f := range p.frames {
		for _, q := range slices.Concat(f.keys, f.args) {
			o.types = append(o.types, q.Type())
		}
	}
	types := o.types
	o.shape = p.shape(types)
	o.fresh = func() unit {
		u := &over{plan: p, wait: newWaiting(types), passed: math.MinInt64}
		for _, f := range p.frames {
			u.frames = append(u.frames, f.state())
		}
		return u
	}
	o.begin()
	return o
}

// evaluates makes what computes the columns that rows wait with: those of the input that are read, and the
// keys and arguments of each frame in turn.
func (p *overPlan) evaluates() (stage, columnsOf) {
	s := newStage(&windowPlan{in: p.in, event: p.event, where: p.where, items: p.items, having: p.qualify, lateness: p.lateness})
	s.plan.middleSchema(p.middle, p.out)
	var programs []*expr.Program
	for _, f := range p.frames {
		programs = append(programs, clones(slices.Concat(f.keys, f.args))...)
	}
	return s, func(s *stage, b *column.Batch) ([]*column.Column, error) {
		columns := make([]*column.Column, 0, len(p.inputs)+len(programs))
		for _, i := range p.inputs {
			columns = append(columns, b.Columns[i])
		}
		for _, q := range programs {
			c, err := q.Eval(&s.view)
			if err != nil {
				return nil, fmt.Errorf("evaluate a part of OVER: %w", err)
			}
			columns = append(columns, c)
		}
		return columns, nil
	}
}

// split is the keys that all frames have, or nil if these differ or there are none: then the partitions
// of one frame cannot be told apart by those of another.
func (p *overPlan) split() *agg.Layout {
	first := p.frames[0]
	for _, f := range p.frames {
		if len(f.keys) == 0 || !bytes.Equal(meaning(f.spec.PartitionBy), meaning(first.spec.PartitionBy)) {
			return nil
		}
	}
	return first.partitions
}

// gathered has the columns that are read of the middle schema.
func (p *overPlan) gathered() *gathered {
	g := &gathered{middle: make([]*build.Column, len(p.middle.Fields))}
	fields := slices.Clone(p.inputs)
	for _, f := range p.frames {
		fields = append(append(fields, f.aggFields...), f.lagFields...)
		if f.number >= 0 {
			fields = append(fields, f.number)
		}
	}
	for _, i := range fields {
		g.middle[i] = build.New(p.middle.Fields[i].Type)
	}
	return g
}

func (p *windowPlan) middleSchema(middle column.Schema, out outputs) { p.middle, p.out = middle, out }

// state is an empty one.
func (f *overFrame) state() *frameState {
	st := &frameState{overFrame: f, table: f.partitions.New()}
	for _, a := range f.args {
		st.rows = append(st.rows, build.New(a.Type()))
	}
	return st
}

func (o *over) waits() *waiting { return &o.wait }

// pass computes the calls for the rows before a time, which leave.
func (o *over) pass(through int64, _ bool, out *gathered) {
	rows := o.wait.release(through)
	o.passed = through
	if rows.n == 0 {
		return
	}
	columns := make([]*column.Column, len(o.plan.middle.Fields))
	for n, i := range o.plan.inputs {
		columns[i] = rows.columns[n]
	}
	rest := rows.columns[len(o.plan.inputs):]
	for _, f := range o.frames {
		keys, args := rest[:len(f.keys)], rest[len(f.keys):len(f.keys)+len(f.args)]
		rest = rest[len(f.keys)+len(f.args):]
		f.run(rows, keys, args, columns)
		f.forget(through)
	}
	if out == nil {
		return
	}
	out.last = max(out.last, rows.ranks[rows.n-1].at+1)
	for _, r := range rows.ranks {
		out.order = append(out.order, order{rank: r})
	}
	for i, b := range out.middle {
		if b != nil {
			b.Rows(columns[i], rows.all)
		}
	}
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
		for _, r := range rows.ranks {
			f.times = append(f.times, r.at)
		}
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
		for !f.byRows && to < rows.n && rows.ranks[to].at == rows.ranks[from].at {
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
		low, high := f.bounds(kept, pos[i], rows.ranks[i].at)
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

func (o *over) memory() int64 {
	n := o.wait.memory()
	for _, f := range o.frames {
		n += f.table.Memory() + int64(40*cap(f.parts)+12*cap(f.times))
		for _, b := range f.rows {
			n += b.Bytes()
		}
	}
	return n
}

func (o *over) empty() bool {
	for _, f := range o.frames {
		if f.table.Len() > 0 {
			return false
		}
	}
	return o.wait.n == 0
}

// Rows leave as their time comes, so no window is open.
func (o *over) opened() int64   { return 0 }
func (o *over) changed() bool   { return false }
func (o *over) ends() int64     { return math.MaxInt64 }
func (o *over) begun() int64    { return math.MaxInt64 }
func (o *over) earliest() int64 { return math.MaxInt64 }

// shape tells snapshots of different queries apart.
func (p *overPlan) shape(types []column.Type) []byte {
	out := []byte{'o'}
	// Rows that wait have columns of the input, of which names tell more than types.
	var names []ast.Expr
	for _, i := range p.inputs {
		names = append(names, &ast.Ident{Parts: []ast.Name{{Text: p.in.Fields[i].Name, Quoted: true}}})
	}
	out = append(out, meaning(names)...)
	for _, t := range types {
		out = append(out, byte(t.Kind), byte(t.Precision), byte(t.Scale))
	}
	for _, f := range p.frames {
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

// append encodes the rows that wait and those that are kept.
func (o *over) append(out []byte) []byte {
	out = o.wait.append(out)
	for _, f := range o.frames {
		f.trim(o.passed)
		f.compact()
		out = f.table.Append(out)
		for i := range f.parts {
			p := &f.parts[i]
			out = binary.AppendUvarint(out, uint64(p.count))
			out = binary.AppendUvarint(out, uint64(len(p.kept)))
			for _, r := range p.kept {
				out = binary.AppendVarint(out, f.times[r])
				for _, b := range f.rows {
					out = agg.AppendCell(out, b.View(), int(r))
				}
			}
		}
	}
	return out
}

func (o *over) read(r *agg.Reader) error {
	if err := o.wait.read(r); err != nil {
		return err
	}
	for _, f := range o.frames {
		f.table = f.partitions.Read(r)
		for range f.table.Len() {
			p := partition{count: readNumber(r, "count")}
			for range r.Count("rows") {
				p.kept = append(p.kept, int32(len(f.times)))
				f.times = append(f.times, r.Varint("time"))
				for i, b := range f.rows {
					agg.ReadCell(r, f.args[i].Type(), b)
				}
				if err := r.Err(); err != nil {
					return err
				}
			}
			f.parts = append(f.parts, p)
		}
		f.live = len(f.times)
	}
	return r.Err()
}
