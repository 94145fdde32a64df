package sql

import (
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
)

// composer builds the plan of a statement from those of its SELECTs. They run in one task, one behind
// the other; see docs/decisions/0015.
type composer struct {
	resolve func(name string) (Input, bool)
	// inputs are the streams met.
	inputs []string
	// tables are the reference tables met.
	tables []string
	// left bounds how many SELECTs a statement may come to when names of WITH are used again and again.
	left int
}

// maxSelects is how many SELECTs a statement may come to.
const maxSelects = 256

// withNames are the queries that WITH clauses name, the innermost first.
type withNames struct {
	cte   *ast.CTE
	outer *withNames
}

func (n *withNames) find(name string) *withNames {
	for ; n != nil; n = n.outer {
		if n.cte.Name == name {
			return n
		}
	}
	return nil
}

// source is what a SELECT reads.
type source struct {
	table *ast.Table
	in    Input
	// below is the plan of a sub-query; nil for a stream.
	below plan
	// joins are what rows of the stream or sub-query go through before the SELECT sees them.
	joins []step
}

func (c *composer) query(q *ast.Query, known *withNames) (plan, error) {
	for i := range q.With {
		known = &withNames{cte: &q.With[i], outer: known}
	}
	switch b := q.Body.(type) {
	case *ast.Select:
		return c.core(q, b, known)
	case *ast.Union:
		if err := bare(q, "the terms of UNION ALL"); err != nil {
			return nil, err
		}
		return c.union(b, known)
	case *ast.Query:
		if err := bare(q, "a query in parentheses"); err != nil {
			return nil, err
		}
		return c.query(b, known)
	}
	return nil, q.Errorf("expected SELECT")
}

// bare refuses clauses behind a body that is no SELECT.
func bare(q *ast.Query, what string) error {
	var at ast.Pos
	switch {
	case len(q.OrderBy) > 0:
		at = q.OrderBy[0].Pos
	case q.Limit != nil:
		at = q.Limit.Pos
	case q.Emit != nil:
		at = q.Emit.Pos
	case q.Lateness != nil:
		at = q.Lateness.Pos
	default:
		return nil
	}
	return at.Errorf("this clause cannot stand behind %s; write it in the SELECT that it is for", what)
}

// inner plans a sub-query.
func (c *composer) inner(q *ast.Query, known *withNames) (plan, error) {
	switch {
	case q.Into != nil:
		return nil, q.Into.Errorf("INSERT INTO stands before the whole statement, not in a sub-query")
	case q.Emit != nil && q.Emit.Kind != ast.EmitOnClose:
		return nil, q.Emit.Errorf("a sub-query gives the final rows of its windows; EMIT is for the outermost SELECT")
	case q.Late != nil:
		return nil, q.Late.Errorf("LATE ROWS INTO is for the outermost SELECT")
	}
	return c.query(q, known)
}

func (c *composer) core(q *ast.Query, s *ast.Select, known *withNames) (plan, error) {
	if c.left--; c.left < 0 {
		return nil, s.Errorf("this statement comes to more than %d SELECTs; give a part of it a query of its own", maxSelects)
	}
	src, err := c.source(s.From, known)
	if err != nil {
		return nil, err
	}
	if src.below != nil && whole(src.below) && hasOver(s) {
		if s, err = c.numbered(&src, s); err != nil {
			return nil, err
		}
	}
	if s.Distinct || len(q.OrderBy) > 0 || q.Limit != nil {
		return planShape(q, s, src)
	}
	return planSelect(q, s, src)
}

// planSelect plans one SELECT over its source.
func planSelect(q *ast.Query, s *ast.Select, src source) (plan, error) {
	if src.joins != nil && s.Where != nil {
		var err error
		if src.joins, err = filtered(s, src); err != nil {
			return nil, err
		}
		rest := *s
		rest.Where = nil
		s = &rest
	}
	outer, err := planOne(q, s, src.table, src.in)
	switch {
	case err != nil:
		return nil, err
	case src.below == nil && src.joins == nil:
		return outer, nil
	case src.below == nil:
		return fuse(src.in.number, src.joins, outer), nil
	}
	return stack(src, outer)
}

// planOne plans one SELECT over an input.
func planOne(q *ast.Query, s *ast.Select, table *ast.Table, in Input) (single, error) {
	switch {
	case hasOver(s) && in.replace == nil:
		return planOver(q, s, table, in)
	case windowed(s):
		return planWindows(q, s, table, in)
	}
	if err := rowsOnly(q, s); err != nil {
		return nil, err
	}
	return planRows(s, table, in)
}

// source resolves what stands behind FROM.
func (c *composer) source(f ast.From, known *withNames) (source, error) {
	switch f := f.(type) {
	case *ast.Table:
		if n := known.find(f.Name); n != nil {
			below, err := c.inner(n.cte.Query, n.outer)
			if err != nil {
				return source{}, err
			}
			if below, err = rename(below, n.cte.Columns, n.cte.Pos); err != nil {
				return source{}, err
			}
			return subquery(below, f), nil
		}
		return c.stream(f)
	case *ast.Derived:
		below, err := c.inner(f.Query, known)
		if err != nil {
			return source{}, err
		}
		return subquery(below, &ast.Table{Pos: f.Pos, Name: f.Alias}), nil
	case *ast.Join:
		return c.join(f, known)
	case *ast.Unnest:
		return source{}, f.Errorf("UNNEST takes lists of the rows of a stream; write FROM stream CROSS JOIN UNNEST(…)")
	}
	return source{}, f.Position().Errorf("expected a stream or a sub-query behind FROM")
}

func subquery(below plan, t *ast.Table) source {
	in := Input{Schema: below.output(), EventTime: below.eventTime(), number: noInput}
	if in.EventTime == "" {
		in.untimed = untimed(below)
	}
	return source{table: t, in: in, below: below}
}

// stream is a stream, a transform or another query.
func (c *composer) stream(t *ast.Table) (source, error) {
	in, ok := c.resolve(t.Name)
	switch {
	case !ok:
		return source{}, t.Errorf("unknown stream %q; FROM takes the id of a stream, transform or query of the file", t.Name)
	case in.Table:
		return source{}, t.Errorf("%q is a reference table, of which no rows come by themselves; read a stream and join it: FROM stream JOIN %s ON …", t.Name, t.Name)
	}
	var err error
	in.number, err = c.number(t)
	in.arrival = true
	return source{table: t, in: in}, err
}

// stateless reports whether a plan passes rows on one by one.
func stateless(p plan) bool {
	switch p := p.(type) {
	case *unionPlan:
		return !slices.ContainsFunc(p.terms, func(t plan) bool { return !stateless(t) })
	case *mergedPlan:
		return stateless(p.last)
	case *fusedPlan:
		return stateless(p.last)
	case *renamedPlan:
		return stateless(p.plan)
	}
	_, ok := p.(*rowPlan)
	return ok
}

// fusable reports whether the rows of a plan are those of the stream, row by row: each becomes none or
// one, or with joins several.
func fusable(p plan) bool {
	switch p := p.(type) {
	case *fusedPlan:
		return fusable(p.last)
	case *renamedPlan:
		return fusable(p.plan)
	}
	_, ok := p.(*rowPlan)
	return ok
}

// whole reports whether all rows of a window leave a plan together.
func whole(p plan) bool {
	switch p := p.(type) {
	case *windowPlan:
		return !p.early()
	case *fusedPlan:
		return whole(p.last)
	case *afterPlan:
		return whole(p.below)
	case *lookedPlan:
		return whole(p.below)
	case *unnestedPlan:
		return whole(p.below)
	case *renamedPlan:
		return whole(p.plan)
	case *chainedPlan:
		return whole(p.last)
	case *mergedPlan:
		return whole(p.last)
	case *shapePlan, *numberPlan:
		return true
	}
	return false
}

// stack puts a SELECT on top of its sub-query.
func stack(src source, outer single) (plan, error) {
	if fusable(src.below) {
		return fuse(src.below.reads()[0].input, append(stagesOf(src.below), src.joins...), outer), nil
	}
	if src.joins != nil {
		outer = fuse(noInput, src.joins, outer)
	}
	if merged, ok := merge(src.below, outer); ok {
		return merged, nil
	}
	if u, ok := src.below.(*unnestedPlan); ok {
		src.below = u.needed(outer.needs())
	}
	if rows, ok := outer.(*rowPlan); ok {
		return &afterPlan{below: src.below, rows: rows}, nil
	}
	if src.in.EventTime == "" || frontierOf(src.below.operator()) == nil {
		return nil, src.table.Errorf("the rows of this sub-query are in no order of time that windows could go by; select window_start in it, or make it a query of its own")
	}
	return &chainedPlan{below: src.below, last: outer}, nil
}

// needed is the programs of a SELECT without windows for the columns that are read of it.
func (p *rowPlan) needed(of []string) step {
	out, tops := *p, column.Tops(of)
	out.items = make([]*expr.Program, len(p.items))
	for i, f := range p.out.schema.Fields {
		if slices.Contains(tops, f.Name) {
			out.items[i] = p.items[i]
		}
	}
	return &out
}
