package sql

import (
	"math"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
)

// joinStep is a JOIN with a reference table: each row goes on once for each row of the table that it
// matches, in the table's order. All programs are over the columns of both.
type joinStep struct {
	// table is the name of the reference table, left is set for a LEFT JOIN.
	table string
	left  bool
	// in is the columns of the stream, out those with the ones of the table behind them.
	in, out *column.Schema
	// keys and theirs are equal in rows that match.
	keys, theirs []*expr.Program
	layout       *agg.Layout
	// ours are conditions on the stream's row alone, only on the table's; rest are those on both. Nil for none.
	ours, only, rest *expr.Program
	// wanted are the columns of out that are read behind the join.
	wanted []bool
}

// join plans left JOIN table.
func (c *composer) join(j *ast.Join, known *withNames) (source, error) {
	if u, ok := j.Right.(*ast.Unnest); ok {
		return c.unnest(j, u, known)
	}
	table, in, err := c.table(j, known)
	if err != nil {
		return source{}, err
	}
	src, err := c.source(j.Left, known)
	if err != nil {
		return source{}, err
	}
	p := &joinPlanner{join: j, src: src, step: &joinStep{table: table.Name, left: j.Kind == ast.LeftJoin, in: src.in.Schema}}
	if err := p.inputs(table, in); err != nil {
		return source{}, err
	}
	if err := p.conditions(); err != nil {
		return source{}, err
	}
	src.in.Schema, src.in.parts = p.step.out, p.parts
	if src.below != nil && !fusable(src.below) && !mergeable(src.below) {
		src.below = &lookedPlan{below: src.below, step: p.step}
		return src, nil
	}
	src.joins = append(slices.Clip(src.joins), p.step)
	return src, nil
}

// table is the right side of a join.
func (c *composer) table(j *ast.Join, known *withNames) (*ast.Table, Input, error) {
	const cure = "the right side of a JOIN is a reference table (tables: in the pipeline file)"
	t, ok := j.Right.(*ast.Table)
	if !ok {
		return nil, Input{}, j.Right.Position().Errorf("a sub-query cannot be joined; %s", cure)
	}
	if known.find(t.Name) != nil {
		return nil, Input{}, t.Errorf("%q is a query of WITH, which cannot be joined; %s", t.Name, cure)
	}
	in, ok := c.resolve(t.Name)
	if !ok {
		return nil, Input{}, t.Errorf("unknown reference table %q; %s", t.Name, cure)
	}
	if l, ok := j.Left.(*ast.Table); ok && !in.Table {
		if other, ok := c.resolve(l.Name); ok && other.Table && known.find(l.Name) == nil {
			return nil, Input{}, l.Errorf("the reference table stands on the right side of a JOIN; write FROM %s JOIN %s", t.Name, l.Name)
		}
	}
	if !in.Table {
		return nil, Input{}, t.Errorf("%q is a stream, and two streams cannot be joined; %s", t.Name, cure)
	}
	if !slices.Contains(c.tables, t.Name) {
		c.tables = append(c.tables, t.Name)
	}
	return t, in, nil
}

// joinPlanner resolves one JOIN.
type joinPlanner struct {
	join  *ast.Join
	src   source
	step  *joinStep
	parts []expr.Part
	scope *expr.Scope
}

// inputs finds the columns of both sides and their names.
func (p *joinPlanner) inputs(t *ast.Table, in Input) error {
	p.parts = slices.Clip(p.src.in.parts)
	if p.parts == nil {
		p.parts = []expr.Part{{Name: nameOf(p.src.table), Fields: p.src.in.Schema.Fields}}
	}
	name := nameOf(t)
	for _, x := range p.parts {
		if strings.EqualFold(x.Name, name) {
			return t.Errorf("two inputs are called %q; give one another name: JOIN %s AS …", name, t.Name)
		}
	}
	out := beside(p.src.in.Schema, name, in.Schema.Fields)
	p.step.out = out
	p.parts = append(p.parts, expr.Part{Name: name, Fields: in.Schema.Fields, From: len(p.src.in.Schema.Fields)})
	p.scope = &expr.Scope{Schema: out, Parts: p.parts}
	return nil
}

// conditions takes ON or USING apart.
func (p *joinPlanner) conditions() error {
	var found ast.Found
	for _, n := range p.join.Using {
		found.Add(p.using(n))
	}
	var ours, only, rest []ast.Expr
	terms := []ast.Expr{}
	if l, ok := p.join.On.(*ast.Logic); ok && l.And {
		terms = l.Terms
	} else if p.join.On != nil {
		terms = append(terms, p.join.On)
	}
	for _, t := range terms {
		if key, err := p.key(t); err != nil || key {
			found.Add(err)
			continue
		}
		q, err := expr.Condition(t, p.scope, "ON")
		if err != nil {
			found.Add(err)
			continue
		}
		switch stream, table := p.sides(q); {
		case !table:
			ours = append(ours, t)
		case !stream:
			only = append(only, t)
		default:
			rest = append(rest, t)
		}
	}
	if err := found.Err(); err != nil {
		return err
	}
	if len(p.step.keys) == 0 {
		table := p.parts[len(p.parts)-1]
		return p.join.On.Position().Errorf("a join needs a column of %s that equals one of the stream, such as ON %s.%s = %s.%s; other conditions may stand beside that with AND",
			table.Name, p.parts[0].Name, table.Fields[0].Name, table.Name, table.Fields[0].Name)
	}
	var types []column.Type
	for _, k := range p.step.keys {
		types = append(types, k.Type())
	}
	p.step.layout = agg.NewLayout(types, nil)
	for _, x := range []struct {
		terms []ast.Expr
		to    **expr.Program
	}{{ours, &p.step.ours}, {only, &p.step.only}, {rest, &p.step.rest}} {
		if len(x.terms) == 0 {
			continue
		}
		q, err := expr.Condition(all(x.terms), p.scope, "ON")
		if err != nil {
			return err
		}
		*x.to = q
	}
	return nil
}

// all is the terms joined with AND.
func all(terms []ast.Expr) ast.Expr {
	if len(terms) == 1 {
		return terms[0]
	}
	return &ast.Logic{Pos: terms[0].Position(), And: true, Terms: terms}
}

// sides reports whether a program reads columns of the stream and of the table.
func (p *joinPlanner) sides(q *expr.Program) (stream, table bool) {
	for _, i := range q.Needs() {
		if i < len(p.step.in.Fields) {
			stream = true
		} else {
			table = true
		}
	}
	return stream, table
}

// key takes an equality between a value of the stream and one of the table; false if e is none.
func (p *joinPlanner) key(e ast.Expr) (bool, error) {
	b, ok := e.(*ast.Binary)
	if !ok || b.Op != "=" {
		return false, nil
	}
	l, r, err := expr.Equal(b.L, b.R, p.scope, e)
	if err != nil {
		return false, err
	}
	stream, other := p.sides(l)
	ours, table := p.sides(r)
	switch {
	case stream && !other && table && !ours:
	case other && !stream && ours && !table:
		l, r = r, l
	default:
		return false, nil
	}
	p.step.keys, p.step.theirs = append(p.step.keys, l), append(p.step.theirs, r)
	return true, nil
}

// using takes a column of USING.
func (p *joinPlanner) using(n ast.Name) error {
	table := &p.parts[len(p.parts)-1]
	for i, side := range []struct {
		name  string
		parts []expr.Part
	}{{p.parts[0].Name, p.parts[:len(p.parts)-1]}, {table.Name, p.parts[len(p.parts)-1:]}} {
		if !hasColumn(side.parts, n) {
			other := []string{table.Name, p.parts[0].Name}[i]
			return p.join.UsingPos.Errorf("USING takes a column of both sides, and %s has no %q; write ON and what equals %s.%s", side.name, n.Text, other, n.Text)
		}
	}
	right := &ast.Ident{Pos: p.join.UsingPos, Parts: []ast.Name{{Text: table.Name, Quoted: true}, n}}
	q, err := expr.Compile(right, p.scope)
	if err != nil {
		return err
	}
	// The name alone is the column of the inputs before.
	table.Using = append(slices.Clip(table.Using), table.Fields[q.Field()-table.From].Name)
	left := &ast.Ident{Pos: p.join.UsingPos, Parts: []ast.Name{n}}
	if _, err := p.key(&ast.Binary{Pos: p.join.UsingPos, Op: "=", L: left, R: right}); err != nil {
		return err
	}
	return nil
}

// hasColumn reports whether one of some inputs may have a column of that name.
func hasColumn(parts []expr.Part, n ast.Name) bool {
	for _, p := range parts {
		for _, f := range p.Fields {
			if strings.EqualFold(f.Name, n.Text) {
				return true
			}
		}
	}
	return false
}

func (p *joinStep) needs() []string {
	out := needs(p.in, append([]*expr.Program{p.ours}, p.keys...)...)
	for i, f := range p.in.Fields {
		if p.wanted == nil || p.wanted[i] || p.rest != nil && slices.Contains(p.rest.Needs(), i) {
			out = with(out, f.Name)
		}
	}
	return out
}

func (p *joinStep) needed(of []string) step {
	out, tops := *p, column.Tops(of)
	out.wanted = make([]bool, len(p.out.Fields))
	for i, f := range p.out.Fields {
		out.wanted[i] = slices.Contains(tops, f.Name)
	}
	return &out
}

// lookedPlan joins a table to rows that leave windows.
type lookedPlan struct {
	below plan
	step  *joinStep
}

func (p *lookedPlan) output() *column.Schema { return p.step.out }
func (p *lookedPlan) eventTime() string      { return p.below.eventTime() }
func (p *lookedPlan) reads() []reading       { return p.below.reads() }

func (p *lookedPlan) operator() Operator {
	return &looked{wrapped: wrapped{p.below.operator()}, join: newJoiner(p.step)}
}

// looked runs a lookedPlan.
type looked struct {
	wrapped
	join *joiner
}

// Emit returns the rows of the operator below with those of the table.
func (o *looked) Emit(watermark int64) (*column.Batch, error) {
	b, err := o.Operator.Emit(watermark)
	if err != nil || b == nil {
		return nil, err
	}
	out, _, err := o.join.match(b, math.MaxInt)
	if err != nil {
		return nil, err
	}
	return compact(out), nil
}

// mergeable reports whether a plan is a union that a SELECT on top of it can be merged with.
func mergeable(p plan) bool { return pieces(p) != nil }
