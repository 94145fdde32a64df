package sql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/expr"
)

// numberPlan is ROW_NUMBER, RANK and DENSE_RANK over the rows of windows, which leave together: it
// puts a column behind those of the sub-query for each different call.
type numberPlan struct {
	below  plan
	schema column.Schema
	calls  []numbering
}

// numbering is one call.
type numbering struct {
	name      string
	partition []*expr.Program
	order     []*expr.Program
	orders    []ast.Order
	layout    *agg.Layout
}

func (p *numberPlan) output() *column.Schema { return &p.schema }
func (p *numberPlan) eventTime() string      { return p.below.eventTime() }
func (p *numberPlan) reads() []reading       { return p.below.reads() }

// numbered puts a numberPlan between a SELECT and its sub-query. The calls of the SELECT that it returns
// stand for columns, and QUALIFY is its WHERE.
func (c *composer) numbered(src *source, s *ast.Select) (*ast.Select, error) {
	p := &numberPlan{below: src.below}
	p.schema.Fields = slices.Clone(src.in.Schema.Fields)
	scope := scopeOf(src.table, src.in)
	var met []*ast.Call
	var found ast.Found
	for _, call := range oversOf(s) {
		if slices.ContainsFunc(met, func(o *ast.Call) bool { return sameNumbering(o, call, scope) }) {
			continue
		}
		n, err := planNumbering(call, s, *src, scope)
		found.Add(err)
		met, p.calls = append(met, call), append(p.calls, n)
		p.schema.Fields = append(p.schema.Fields, column.Field{Name: fmt.Sprintf("#n%d", len(met)), Type: column.Type{Kind: column.BigInt}})
	}
	out := *s
	out.Items = nil
	for _, item := range s.Items {
		if item.Expr == nil {
			stars, err := starred(item, src.table, src.in)
			found.Add(err)
			out.Items = append(out.Items, stars...)
			continue
		}
		out.Items = append(out.Items, item)
	}
	out.Where, out.Qualify, out.Windows = s.Qualify, nil, nil
	if s.Where != nil {
		found.Add(s.Where.Position().Errorf("WHERE is asked before rows are numbered; write this condition in the sub-query, or number the rows in a sub-query of their own"))
	}
	if err := found.Err(); err != nil {
		return nil, err
	}
	src.below = p
	src.in.Schema = &p.schema
	src.in.alias = aliases(s, scope)
	src.in.replace = func(e ast.Expr) (int, error) {
		c, ok := e.(*ast.Call)
		if !ok || c.Over == nil {
			return -1, nil
		}
		i := slices.IndexFunc(met, func(o *ast.Call) bool { return sameNumbering(o, c, scope) })
		return len(p.schema.Fields) - len(met) + i, nil
	}
	return &out, nil
}

// specOf is the OVER of a call, with the window that it names.
func specOf(c *ast.Call, s *ast.Select) (*ast.Over, error) {
	if c.Over.Name == "" {
		return c.Over, nil
	}
	for _, w := range s.Windows {
		if strings.EqualFold(w.Name, c.Over.Name) {
			return w.Spec, nil
		}
	}
	return nil, unknownWindow(c.Over, s)
}

func sameNumbering(a, b *ast.Call, scope *expr.Scope) bool {
	if a.Name != b.Name || a.Over.Name != b.Over.Name || len(a.Over.PartitionBy) != len(b.Over.PartitionBy) || len(a.Over.OrderBy) != len(b.Over.OrderBy) {
		return false
	}
	for i := range a.Over.PartitionBy {
		if !same(a.Over.PartitionBy[i], b.Over.PartitionBy[i], scope) {
			return false
		}
	}
	for i, x := range a.Over.OrderBy {
		y := b.Over.OrderBy[i]
		if x.Desc != y.Desc || x.NullsFirst != y.NullsFirst || !same(x.Expr, y.Expr, scope) {
			return false
		}
	}
	return true
}

// planNumbering checks a call. Its partitions must be parts of windows, or they would have no end.
func planNumbering(c *ast.Call, s *ast.Select, src source, scope *expr.Scope) (numbering, error) {
	n := numbering{name: c.Name}
	spec, err := specOf(c, s)
	if err != nil {
		return n, err
	}
	switch {
	case c.Name != "row_number" && c.Name != "rank" && c.Name != "dense_rank":
		return n, c.Errorf("%s … OVER over the rows of windows is not supported; ROW_NUMBER, RANK and DENSE_RANK are", strings.ToUpper(c.Name))
	case len(c.Args) > 0:
		return n, c.Errorf("%s takes no arguments", strings.ToUpper(c.Name))
	case spec.Frame != nil:
		return n, spec.Errorf("%s has no use for ROWS or RANGE; leave it out", strings.ToUpper(c.Name))
	case len(spec.OrderBy) == 0:
		return n, spec.Errorf("%s needs ORDER BY in OVER", strings.ToUpper(c.Name))
	}
	var types []column.Type
	windows := false
	for _, e := range spec.PartitionBy {
		q, err := expr.Compile(e, scope)
		if err != nil {
			return n, err
		}
		if !agg.Groupable(q.Type()) {
			return n, e.Position().Errorf("PARTITION BY a %s is not supported", q.Type())
		}
		if f := q.Field(); f >= 0 && src.in.Schema.Fields[f].Name == src.in.EventTime {
			windows = true
		}
		n.partition, types = append(n.partition, q), append(types, q.Type())
	}
	if !windows {
		name := src.in.EventTime
		if name == "" {
			name = "window_start (select it in the sub-query)"
		}
		return n, spec.Errorf("PARTITION BY needs %s here, since a partition without a window has no end", name)
	}
	for _, o := range spec.OrderBy {
		q, err := expr.Compile(o.Expr, scope)
		if err != nil {
			return n, err
		}
		if !ordered(q.Type()) {
			return n, o.Errorf("ORDER BY a %s is not supported", q.Type())
		}
		n.order = append(n.order, q)
	}
	n.orders, n.layout = spec.OrderBy, agg.NewLayout(types, nil)
	return n, nil
}

func (p *numberPlan) operator() Operator {
	o := &numbered{wrapped: wrapped{p.below.operator()}, plan: p}
	for _, n := range p.calls {
		n.partition, n.order = clones(n.partition), clones(n.order)
		o.calls = append(o.calls, n)
	}
	return o
}

func clones(programs []*expr.Program) []*expr.Program {
	out := make([]*expr.Program, len(programs))
	for i, p := range programs {
		out[i] = p.Clone()
	}
	return out
}

// numbered runs a numberPlan.
type numbered struct {
	wrapped
	plan  *numberPlan
	calls []numbering
}

// Emit numbers the rows of windows that are complete.
func (o *numbered) Emit(watermark int64) (*column.Batch, error) {
	b, err := o.Operator.Emit(watermark)
	if err != nil || b == nil {
		return nil, err
	}
	out := &column.Batch{Schema: &o.plan.schema, Rows: b.Rows, Columns: slices.Clone(b.Columns)}
	for i := range o.calls {
		c, err := o.calls[i].number(b)
		if err != nil {
			return nil, err
		}
		out.Columns = append(out.Columns, c)
	}
	return out, nil
}

// number is the column of a call.
func (n *numbering) number(b *column.Batch) (*column.Column, error) {
	evaluate := func(programs []*expr.Program, what string) ([]*column.Column, error) {
		var out []*column.Column
		for _, p := range programs {
			c, err := p.Eval(b)
			if err != nil {
				return nil, fmt.Errorf("evaluate %s: %w", what, err)
			}
			out = append(out, c)
		}
		return out, nil
	}
	keys, err := evaluate(n.partition, "PARTITION BY")
	if err != nil {
		return nil, err
	}
	orders, err := evaluate(n.order, "ORDER BY")
	if err != nil {
		return nil, err
	}
	rows := upTo(b.Rows)
	var batch agg.Batch
	n.layout.Prepare(&batch, keys, rows, b.Rows)
	groups := n.layout.New().Find(&batch, rows, nil)
	slices.SortStableFunc(rows, func(x, y int32) int {
		if groups[x] != groups[y] {
			return int(groups[x]) - int(groups[y])
		}
		return compareBy(n.orders, orders, int(x), int(y))
	})
	numbers := make([]int64, b.Rows)
	var row, rank, dense int64
	for k, r := range rows {
		switch {
		case k == 0 || groups[r] != groups[rows[k-1]]:
			row, rank, dense = 1, 1, 1
		default:
			row++
			if compareBy(n.orders, orders, int(rows[k-1]), int(r)) != 0 {
				rank, dense = row, dense+1
			}
		}
		switch numbers[r] = row; n.name {
		case "rank":
			numbers[r] = rank
		case "dense_rank":
			numbers[r] = dense
		}
	}
	c := build.New(column.Type{Kind: column.BigInt})
	for _, v := range numbers {
		c.Int(v)
	}
	return c.Finish(), nil
}
