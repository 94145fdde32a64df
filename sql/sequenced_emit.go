package sql

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// Emit takes the rows that the watermark has passed. It returns those of windows that are complete, or of
// OVER, in their order, and behind them open windows that are to be shown. Of very many it returns some
// and stays Ready.
func (o *sequenced) Emit(watermark int64) (*column.Batch, error) {
	if !o.Ready(watermark) {
		return nil, nil
	}
	p := o.passing(watermark)
	for len(p.due) > 0 && (o.limit == 0 || p.rows() < int64(o.limit)) {
		n := p.together()
		if err := p.pass(p.due[:n]); err != nil {
			return nil, err
		}
		p.due = p.due[n:]
	}
	through := p.through
	if through == column.MaxWatermark {
		through = slices.MaxFunc(p.out, func(a, b *gathered) int { return cmp.Compare(a.last, b.last) }).last
	}
	o.closed = max(o.closed, through)
	if p.shows && len(p.due) == 0 && o.plan.every > 0 {
		o.shown = max(o.shown, o.plan.tick(watermark))
	}
	rows, err := o.ordered(p.out)
	if err != nil {
		return nil, err
	}
	return o.projectBatch(rows)
}

// passing is an Emit on its way through the groups.
type passing struct {
	*sequenced
	through int64
	shows   bool
	// due are the groups in which something happens, in their order.
	due []int
	// out has what leaves, by lane.
	out []*gathered
	// held is the memory that all groups take, as far as those that had their turn are done with.
	held int64
}

func (o *sequenced) passing(watermark int64) *passing {
	p := &passing{sequenced: o, through: minus(watermark, o.plan.lateness), shows: o.shows(watermark, o.sum()), held: o.Memory()}
	for i, g := range o.groups {
		if g != nil && g.sum.due(p.through, p.shows) {
			p.due = append(p.due, i)
		}
	}
	for range o.lanes.count() {
		out := o.result()
		out.last = math.MinInt64
		p.out = append(p.out, out)
	}
	return p
}

// rows is how many leave so far.
func (p *passing) rows() int64 {
	n := int64(0)
	for _, out := range p.out {
		n += int64(len(out.order))
	}
	return n
}

// together is how many of the groups that are due may pass at once: as many as would pass one after the
// other whatever leaves of each, so that the same rows leave with any number of lanes. No more can leave a
// group than wait in it and windows are open in it.
func (p *passing) together() int {
	if p.lanes.count() == 1 {
		return 1
	}
	most := p.rows()
	for n, i := range p.due {
		if n > 0 && p.limit > 0 && most >= int64(p.limit) {
			return n
		}
		sum := &p.groups[i].sum
		most += sum.rows + sum.windows
	}
	return len(p.due)
}

// pass lets groups pass.
func (p *passing) pass(groups []int) error {
	if len(groups) == 1 {
		return p.group(groups[0], p.out[0], turn{})
	}
	turns := make([]chan struct{}, len(groups)+1)
	for i := range turns {
		turns[i] = make(chan struct{})
	}
	close(turns[0])
	return p.lanes.each(len(groups), func(lane, i int) error {
		return p.group(groups[i], p.out[lane], turn{mine: turns[i], next: turns[i+1]})
	})
}

// turn is the place of a group among those that pass at once: which of them stay in memory is decided in
// their order. The zero value is that of the only one.
type turn struct{ mine, next chan struct{} }

func (t turn) await() {
	if t.mine != nil {
		<-t.mine
	}
}

func (t turn) done() {
	if t.next != nil {
		close(t.next)
	}
}

// awayMemory is what a group takes that is not in memory, in bytes, roughly.
const awayMemory = 1 << 10

// group lets group i pass, which has to be there in memory then and leaves it again if there is no room.
func (p *passing) group(i int, out *gathered, t turn) error {
	g := p.groups[i]
	before := g.memory()
	err := p.load(i)
	if err == nil {
		g.pass(p.through, p.shows, out)
	}
	after := g.memory()
	t.await()
	p.held -= before
	empty := err == nil && g.unit.empty()
	leaves := err == nil && !empty && p.keep != nil && p.held+after > p.room
	switch {
	case leaves:
		p.held += awayMemory
	case !empty:
		p.held += after
	}
	t.done()
	switch {
	case empty:
		p.groups[i] = nil
	case leaves:
		if err := p.evict(g); err != nil {
			return fmt.Errorf("write key group %d: %w", i, err)
		}
	}
	return err
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
		rows = g.sorted()
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

// ordered is the rows that left in all lanes, in their order.
func (o *sequenced) ordered(all []*gathered) (*column.Batch, error) {
	first := all[0]
	all = slices.DeleteFunc(all, func(g *gathered) bool { return g != first && len(g.order) == 0 })
	if len(all) == 1 {
		return first.batch(&o.plan.middle), nil
	}
	// Each lane sorts its own.
	sorted := make([][]int32, len(all))
	err := o.lanes.each(len(all), func(_, i int) error {
		sorted[i] = all[i].sorted()
		return nil
	})
	if err != nil {
		return nil, err
	}
	from, rows := interleave(all, sorted)
	out := &column.Batch{Schema: &o.plan.middle, Rows: len(rows), Columns: make([]*column.Column, len(o.plan.middle.Fields))}
	return out, o.lanes.each(len(out.Columns), func(_, c int) error {
		if all[0].middle[c] == nil {
			return nil
		}
		var views []*column.Column
		for _, g := range all {
			views = append(views, g.middle[c].View())
		}
		to := build.New(out.Schema.Fields[c].Type)
		for k := 0; k < len(rows); {
			end := k + 1
			for end < len(rows) && from[end] == from[k] {
				end++
			}
			to.Rows(views[from[k]], rows[k:end])
			k = end
		}
		out.Columns[c] = to.Finish()
		return nil
	})
}

// sorted is the rows in their order.
func (g *gathered) sorted() []int32 {
	rows := upTo(len(g.order))
	slices.SortFunc(rows, func(a, b int32) int { return g.order[a].compare(g.order[b]) })
	return rows
}

// interleave is the rows of all in their order, and which of all each is of.
func interleave(all []*gathered, sorted [][]int32) (from []int, rows []int32) {
	for {
		least := -1
		for i, s := range sorted {
			if len(s) > 0 && (least < 0 || all[i].order[s[0]].compare(all[least].order[sorted[least][0]]) < 0) {
				least = i
			}
		}
		if least < 0 {
			return from, rows
		}
		from, rows = append(from, least), append(rows, sorted[least][0])
		sorted[least] = sorted[least][1:]
	}
}
