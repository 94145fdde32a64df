package sql

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/build"
)

// shapePlan is DISTINCT, ORDER BY and LIMIT. They are of each window: all rows of one leave together,
// so nothing has to be kept. The plan below has columns behind those that leave: what marks the
// windows, then what rows are ordered by.
type shapePlan struct {
	below    plan
	schema   column.Schema
	distinct bool
	// marks is how many columns mark the window; rows with the same ones belong together.
	marks         int
	orders        []ast.Order
	limit, offset int64 // limit is -1 without LIMIT
	layout        *agg.Layout
}

func (p *shapePlan) output() *column.Schema { return &p.schema }
func (p *shapePlan) reads() []reading       { return p.below.reads() }

func (p *shapePlan) eventTime() string {
	if name := p.below.eventTime(); p.schema.Index(name) >= 0 {
		return name
	}
	return ""
}

// planShape plans a SELECT with DISTINCT, ORDER BY or LIMIT.
func planShape(q *ast.Query, s *ast.Select, src source) (plan, error) {
	p := &shapePlan{distinct: s.Distinct, orders: q.OrderBy, limit: -1}
	at, what := s.Pos, "SELECT DISTINCT"
	switch {
	case len(q.OrderBy) > 0:
		at, what = q.OrderBy[0].Pos, "ORDER BY"
	case q.Limit != nil:
		at, what = q.Limit.Pos, "LIMIT"
	}
	if q.Limit != nil {
		p.limit, p.offset = q.Limit.Count, q.Limit.Offset
	}
	if q.Emit != nil && q.Emit.Kind != ast.EmitOnClose {
		return nil, q.Emit.Errorf("%s is of all rows of a window, which leave together when it closes; leave EMIT out", what)
	}
	marks, err := p.windowMarks(s, src, at, what)
	if err != nil {
		return nil, err
	}
	wide := *s
	wide.Distinct = false
	wide.Items = slices.Clone(s.Items)
	hide := func(e ast.Expr) {
		wide.Items = append(wide.Items, ast.Item{Pos: e.Position(), Expr: e, Alias: fmt.Sprintf("#%d", len(wide.Items))})
	}
	for _, m := range marks {
		hide(m)
	}
	p.marks = len(marks)
	for _, o := range q.OrderBy {
		e, err := orderBy(o.Expr, s)
		if err != nil {
			return nil, err
		}
		hide(e)
	}
	if p.below, err = planSelect(q, &wide, src); err != nil {
		return nil, err
	}
	all := p.below.output().Fields
	visible := len(all) - p.marks - len(p.orders)
	p.schema.Fields = all[:visible:visible]
	for i, o := range p.orders {
		if t := all[visible+p.marks+i].Type; !ordered(t) {
			return nil, o.Errorf("ORDER BY a %s is not supported", t)
		}
	}
	return p, p.distinctKeys(s)
}

func (p *shapePlan) distinctKeys(s *ast.Select) error {
	if !p.distinct {
		return nil
	}
	var types []column.Type
	for _, f := range p.schema.Fields {
		if !agg.Groupable(f.Type) {
			return s.Errorf("SELECT DISTINCT with column %q of type %s is not supported; leave the column out", f.Name, f.Type)
		}
		types = append(types, f.Type)
	}
	p.layout = agg.NewLayout(types, nil)
	return nil
}

// windowMarks are expressions that differ between windows.
func (p *shapePlan) windowMarks(s *ast.Select, src source, at ast.Pos, what string) ([]ast.Expr, error) {
	name := func(n string) ast.Expr { return &ast.Ident{Pos: s.Pos, Parts: []ast.Name{{Text: n, Quoted: true}}} }
	switch {
	case windowed(s) && s.Window != nil:
		return []ast.Expr{name(pseudo[windowEnd]), name(pseudo[windowStart])}, nil
	case windowed(s):
		// What is missing is said by the planner.
		return nil, nil
	case src.below == nil || !whole(src.below):
		return nil, at.Errorf("%s needs a window, since a stream has no end; add GROUP BY TUMBLE(…), or read it from a sub-query with one", what)
	case src.in.EventTime == "":
		return nil, at.Errorf("%s is of each window; select window_start in the sub-query, so that they can be told apart", what)
	}
	marks := []ast.Expr{name(src.in.EventTime)}
	if i := src.in.Schema.Index(pseudo[windowEnd]); i >= 0 && src.in.Schema.Fields[i].Type.Kind == column.Timestamp {
		marks = append(marks, name(pseudo[windowEnd]))
	}
	return marks, nil
}

// orderBy is what an entry of ORDER BY means, which may be the alias of an item.
func orderBy(e ast.Expr, s *ast.Select) (ast.Expr, error) {
	if n, ok := e.(*ast.Number); ok {
		return nil, n.Errorf("ORDER BY a position is not supported; repeat the expression or its alias")
	}
	id, ok := e.(*ast.Ident)
	if !ok || len(id.Parts) != 1 {
		return e, nil
	}
	for _, item := range s.Items {
		if item.Alias != "" && item.Expr != nil && (item.Alias == id.Parts[0].Text || !id.Parts[0].Quoted && strings.EqualFold(item.Alias, id.Parts[0].Text)) {
			return item.Expr, nil
		}
	}
	return e, nil
}

func (p *shapePlan) operator() Operator {
	return &shaped{wrapped: wrapped{p.below.operator()}, plan: p}
}

// shaped runs a shapePlan.
type shaped struct {
	wrapped
	plan *shapePlan
}

// Emit returns the rows that are left of each window, in their order.
func (o *shaped) Emit(watermark int64) (*column.Batch, error) {
	b, err := o.Operator.Emit(watermark)
	if err != nil || b == nil {
		return nil, err
	}
	visible := len(o.plan.schema.Fields)
	marks, orders := b.Columns[visible:visible+o.plan.marks], b.Columns[visible+o.plan.marks:]
	var rows []int32
	for _, run := range runs(marks, b.Rows) {
		if o.plan.distinct {
			run = o.distinct(b.Columns[:visible], run, b.Rows)
		}
		slices.SortStableFunc(run, func(x, y int32) int { return compareBy(o.plan.orders, orders, int(x), int(y)) })
		run = run[min(int64(len(run)), o.plan.offset):]
		if o.plan.limit >= 0 {
			run = run[:min(int64(len(run)), o.plan.limit)]
		}
		rows = append(rows, run...)
	}
	if rows == nil {
		return nil, nil
	}
	return compact(&column.Batch{Schema: &o.plan.schema, Columns: b.Columns[:visible], Rows: b.Rows, Selection: rows}), nil
}

// distinct is the first row of each different one.
func (o *shaped) distinct(columns []*column.Column, rows []int32, n int) []int32 {
	var batch agg.Batch
	o.plan.layout.Prepare(&batch, columns, rows, n)
	t := o.plan.layout.New()
	var out []int32
	for k, g := range t.Find(&batch, rows, nil) {
		if int(g) == len(out) {
			out = append(out, rows[k])
		}
	}
	return out
}

// runs are the rows with the same marks, in the order in which these first come.
func runs(marks []*column.Column, n int) [][]int32 {
	var out [][]int32
	places := make(map[[2]int64]int)
	for r := range int32(n) {
		var key [2]int64
		for i, m := range marks {
			if !m.IsNull(int(r)) {
				key[i] = m.Int64s[r]
			}
		}
		i, ok := places[key]
		if !ok {
			i = len(out)
			places[key] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], r)
	}
	return out
}

// compareBy orders two rows.
func compareBy(orders []ast.Order, columns []*column.Column, x, y int) int {
	for i, o := range orders {
		c := columns[i]
		a, b := c.IsNull(x), c.IsNull(y)
		switch {
		case a && b:
			continue
		case a != b:
			if a == o.NullsFirst {
				return -1
			}
			return 1
		}
		if order := compareValues(c, x, y); order != 0 {
			if o.Desc {
				return -order
			}
			return order
		}
	}
	return 0
}

// compareValues orders two values of an ordered type that are not null.
func compareValues(c *column.Column, x, y int) int {
	switch c.Type.Kind {
	case column.Boolean:
		return cmp.Compare(flag(c.Bools.Get(x)), flag(c.Bools.Get(y)))
	case column.Int, column.Date:
		return cmp.Compare(c.Int32s[x], c.Int32s[y])
	case column.Float:
		return cmp.Compare(c.Float32s[x], c.Float32s[y])
	case column.Double:
		return cmp.Compare(c.Float64s[x], c.Float64s[y])
	case column.String:
		return bytes.Compare(c.Text(x), c.Text(y))
	}
	if c.Fixed == nil {
		return cmp.Compare(c.Int64s[x], c.Int64s[y])
	}
	a, b := c.Fixed[16*x:16*x+16], c.Fixed[16*y:16*y+16]
	if c.Type.Kind == column.Decimal && (a[0]^b[0])&0x80 != 0 {
		// Two's complement: what has the sign bit is smaller.
		return cmp.Compare(b[0], a[0])
	}
	return bytes.Compare(a, b)
}

// builders makes empty columns of a schema.
func builders(s *column.Schema) []*build.Column {
	out := make([]*build.Column, len(s.Fields))
	for i, f := range s.Fields {
		out[i] = build.New(f.Type)
	}
	return out
}
