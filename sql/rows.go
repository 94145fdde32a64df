package sql

import (
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/expr"
)

// rowPlan is a query without windows: WHERE and a select list, row by row.
type rowPlan struct {
	out  outputs
	in   *column.Schema
	time string
	// input is the number of what rows are of.
	input int
	where *expr.Program
	items []*expr.Program
}

func (p *rowPlan) output() *column.Schema { return &p.out.schema }
func (p *rowPlan) eventTime() string      { return p.time }

func (p *rowPlan) reads() []reading {
	return []reading{{input: p.input, needs: p.needs()}}
}

func (p *rowPlan) needs() []string {
	return needs(p.in, append([]*expr.Program{p.where}, p.items...)...)
}

func planRows(s *ast.Select, table *ast.Table, in Input) (single, error) {
	scope := scopeOf(table, in)
	scope.Hint, scope.Shared = unseen(s, "SELECT"), expr.NewShared()
	p := &rowPlan{in: in.Schema, input: in.number}
	var found ast.Found
	if s.Where != nil {
		var err error
		where := whereOf(s, scope)
		where.Alias = in.alias
		p.where, err = expr.Condition(s.Where, where, "WHERE")
		found.Add(err)
	}
	for _, item := range s.Items {
		if item.Expr == nil {
			items, err := starred(item, table, in)
			found.Add(err)
			for _, each := range items {
				found.Add(p.item(each, scope, in))
			}
		} else {
			found.Add(p.item(item, scope, in))
		}
	}
	return p, found.Err()
}

func (p *rowPlan) item(item ast.Item, scope *expr.Scope, in Input) error {
	program, name, err := p.out.item(item, scope)
	if err != nil {
		return err
	}
	if i := program.Field(); i >= 0 && in.EventTime != "" && in.Schema.Fields[i].Name == in.EventTime && p.time == "" {
		p.time = name
	}
	p.items = append(p.items, program)
	return nil
}

func (p *rowPlan) operator() Operator {
	o := &rowOperator{plan: p, shards: make(map[record.ShardID][]*build.Column)}
	o.selector = *o.newSelector()
	o.selectors = []*selector{&o.selector}
	return o
}

// rowOperator holds the rows of the open chunk. Its snapshot is empty: rows that were not emitted
// belong to the open chunk, which is read again.
type rowOperator struct {
	// selector is the first one of all of them.
	selector
	plan      *rowPlan
	shards    map[record.ShardID][]*build.Column
	selectors []*selector
	lanes     *lanes
	// direct takes the rows in place of shards if it is set.
	direct func(*column.Batch)
}

// selector computes rows of the output. It holds memory that is used again.
type selector struct {
	of     *rowOperator
	where  *expr.Program
	items  []*expr.Program
	rows   int // since the last Emit
	chosen []int32
	all    []int32 // 0, 1, 2, …
	view   column.Batch
	// sent is what direct is given.
	sent column.Batch
}

func (o *rowOperator) newSelector() *selector {
	all := expr.Together([]*expr.Program{o.plan.where}, o.plan.items)
	return &selector{of: o, where: all[0][0], items: all[1]}
}

// divide makes selectors with programs of their own.
func (o *rowOperator) divide(l *lanes) []Adder {
	o.lanes = l
	for _, s := range o.selectors[1:] {
		o.rows += s.rows
	}
	return adders(l, &o.selectors, o.newSelector)
}

// Add computes the output of the selected rows.
func (s *selector) Add(b *column.Batch) (Taken, error) {
	s.view = *b
	taken := Taken{}
	if s.where != nil {
		var err error
		if s.chosen, err = s.where.Select(b, s.chosen[:0]); err != nil {
			return taken, fmt.Errorf("evaluate WHERE: %w", err)
		}
		taken.Filtered = int64(b.Selected() - len(s.chosen))
		s.view.Selection, taken.chosen = s.chosen, s.chosen
	}
	if s.view.Selection == nil {
		for len(s.all) < b.Rows {
			s.all = append(s.all, int32(len(s.all)))
		}
		s.view.Selection = s.all[:b.Rows]
	}
	rows := s.view.Selection
	taken.Aggregated = int64(len(rows))
	if len(rows) == 0 {
		return taken, nil
	}
	if s.of.direct != nil {
		return taken, s.send()
	}
	out := s.of.columns(b.Origin.Shard)
	for i, p := range s.items {
		c, err := s.eval(i, p)
		if err != nil {
			return taken, err
		}
		out[i].Rows(c, rows)
	}
	s.rows += len(rows)
	return taken, nil
}

// eval computes an item of the select list for the rows in view.
func (s *selector) eval(i int, p *expr.Program) (*column.Column, error) {
	c, err := p.Eval(&s.view)
	if err != nil {
		return nil, fmt.Errorf("evaluate column %q: %w", s.of.plan.out.schema.Fields[i].Name, err)
	}
	return c, nil
}

// columns are those that take the rows of a shard.
func (o *rowOperator) columns(shard record.ShardID) []*build.Column {
	o.lanes.lock()
	defer o.lanes.unlock()
	out := o.shards[shard]
	if out == nil {
		out = builders(o.plan.output())
		o.shards[shard] = out
	}
	return out
}

// Ready reports whether there are rows, whatever the watermark.
func (o *rowOperator) Ready(int64) bool {
	return slices.ContainsFunc(o.selectors, func(s *selector) bool { return s.rows > 0 })
}

// Emit returns all rows, by ascending shard and then in the order they came.
func (o *rowOperator) Emit(watermark int64) (*column.Batch, error) {
	if !o.Ready(watermark) {
		return nil, nil
	}
	ids := slices.Sorted(maps.Keys(o.shards))
	all := o.shards[ids[0]]
	var rest []*column.Batch
	most := 0
	for _, id := range ids[1:] {
		part := build.Batch(o.plan.output(), o.shards[id])
		rest, most = append(rest, part), max(most, part.Rows)
	}
	rows := upTo(most)
	err := o.lanes.each(len(all), func(_, i int) error {
		for _, part := range rest {
			all[i].Rows(part.Columns[i], rows[:part.Rows])
		}
		return nil
	})
	o.empty()
	return build.Batch(o.plan.output(), all), err
}

// empty forgets all rows.
func (o *rowOperator) empty() {
	o.shards = make(map[record.ShardID][]*build.Column)
	for _, s := range o.selectors {
		s.rows = 0
	}
}

// Snapshot is empty, see rowOperator.
func (o *rowOperator) Snapshot() ([]byte, error) { return nil, nil }

// Restore takes an empty snapshot.
func (o *rowOperator) Restore(snapshot []byte) error {
	if len(snapshot) > 0 {
		return ErrChanged
	}
	o.empty()
	return nil
}

// Memory is the size of the rows held.
func (o *rowOperator) Memory() int64 {
	n := int64(0)
	for _, columns := range o.shards {
		for _, c := range columns {
			n += c.Bytes()
		}
	}
	return n
}
