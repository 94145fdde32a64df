package sql

import (
	"fmt"
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
	return []reading{{input: p.input, columns: p.needs()}}
}

func (p *rowPlan) needs() []string {
	all := p.items
	if p.where != nil {
		all = append([]*expr.Program{p.where}, all...)
	}
	return names(p.in, all...)
}

func planRows(s *ast.Select, table *ast.Table, in Input) (single, error) {
	scope := scopeOf(table, in)
	scope.Hint = unseen(s, "SELECT")
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
	name, err := outputName(item)
	if err != nil {
		return err
	}
	program, err := expr.Compile(item.Expr, scope)
	if err != nil {
		return err
	}
	if i := program.Field(); i >= 0 && in.EventTime != "" && in.Schema.Fields[i].Name == in.EventTime && p.time == "" {
		p.time = name
	}
	p.items = append(p.items, program)
	return p.out.add(name, program.Type(), item.Pos)
}

func (p *rowPlan) operator() Operator {
	o := &rowOperator{plan: p, shards: make(map[record.ShardID][]*build.Column)}
	if p.where != nil {
		o.where = p.where.Clone()
	}
	for _, i := range p.items {
		o.items = append(o.items, i.Clone())
	}
	return o
}

// rowOperator holds the rows of the open chunk. Its snapshot is empty: rows that were not emitted
// belong to the open chunk, which is read again.
type rowOperator struct {
	plan   *rowPlan
	where  *expr.Program
	items  []*expr.Program
	shards map[record.ShardID][]*build.Column
	rows   int
	chosen []int32
	all    []int32 // 0, 1, 2, …
	view   column.Batch
	// direct takes the rows in place of shards if it is set, and sent is what it is given.
	direct func(*column.Batch)
	sent   column.Batch
}

// Add computes the output of the selected rows.
func (o *rowOperator) Add(b *column.Batch) (Taken, error) {
	o.view = *b
	taken := Taken{}
	if o.where != nil {
		var err error
		if o.chosen, err = o.where.Select(b, o.chosen[:0]); err != nil {
			return taken, fmt.Errorf("evaluate WHERE: %w", err)
		}
		taken.Filtered = int64(b.Selected() - len(o.chosen))
		o.view.Selection = o.chosen
	}
	if o.view.Selection == nil {
		for len(o.all) < b.Rows {
			o.all = append(o.all, int32(len(o.all)))
		}
		o.view.Selection = o.all[:b.Rows]
	}
	rows := o.view.Selection
	taken.Aggregated = int64(len(rows))
	if len(rows) == 0 {
		return taken, nil
	}
	if o.direct != nil {
		return taken, o.send()
	}
	out := o.shards[b.Origin.Shard]
	if out == nil {
		for _, f := range o.plan.out.schema.Fields {
			out = append(out, build.New(f.Type))
		}
		o.shards[b.Origin.Shard] = out
	}
	for i, p := range o.items {
		c, err := o.eval(i, p)
		if err != nil {
			return taken, err
		}
		out[i].Rows(c, rows)
	}
	o.rows += len(rows)
	return taken, nil
}

// eval computes an item of the select list for the rows in view.
func (o *rowOperator) eval(i int, p *expr.Program) (*column.Column, error) {
	c, err := p.Eval(&o.view)
	if err != nil {
		return nil, fmt.Errorf("evaluate column %q: %w", o.plan.out.schema.Fields[i].Name, err)
	}
	return c, nil
}

// Ready reports whether there are rows, whatever the watermark.
func (o *rowOperator) Ready(int64) bool { return o.rows > 0 }

// Emit returns all rows, by ascending shard and then in the order they came.
func (o *rowOperator) Emit(int64) (*column.Batch, error) {
	if o.rows == 0 {
		return nil, nil
	}
	ids := make([]record.ShardID, 0, len(o.shards))
	for id := range o.shards {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	all := o.shards[ids[0]]
	for _, id := range ids[1:] {
		part := build.Batch(o.plan.output(), o.shards[id])
		rows := make([]int32, part.Rows)
		for r := range rows {
			rows[r] = int32(r)
		}
		for i := range all {
			all[i].Rows(part.Columns[i], rows)
		}
	}
	o.shards, o.rows = make(map[record.ShardID][]*build.Column), 0
	return build.Batch(o.plan.output(), all), nil
}

// Snapshot is empty, see rowOperator.
func (o *rowOperator) Snapshot() ([]byte, error) { return nil, nil }

// Restore takes an empty snapshot.
func (o *rowOperator) Restore(snapshot []byte) error {
	if len(snapshot) > 0 {
		return fmt.Errorf("restore a query without windows: the snapshot is of another query")
	}
	o.shards, o.rows = make(map[record.ShardID][]*build.Column), 0
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
