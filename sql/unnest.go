package sql

import (
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
)

// unnestStep is a join with UNNEST: each row goes on once for each element of a list of its own, in the
// order of the list.
type unnestStep struct {
	list *expr.Program
	// left is set for a LEFT JOIN, which keeps rows whose list has no elements.
	left bool
	// fields is set if the elements are structs whose fields become columns.
	fields, ordinality bool
	// in is the columns of the row, out those with the ones of the elements behind them.
	in, out *column.Schema
	// wanted are the columns of out that are read behind the join.
	wanted []bool
}

// unnest plans left JOIN UNNEST(list).
func (c *composer) unnest(j *ast.Join, u *ast.Unnest, known *withNames) (source, error) {
	if b, ok := j.On.(*ast.Bool); j.On != nil && (!ok || !b.Value) || len(j.Using) > 0 {
		return source{}, u.Errorf("a join with UNNEST has no condition; write ON TRUE, and the condition into WHERE")
	}
	src, err := c.source(j.Left, known)
	if err != nil {
		return source{}, err
	}
	p := &unnestStep{left: j.Kind == ast.LeftJoin, in: src.in.Schema, ordinality: u.Ordinality}
	if p.list, err = expr.Compile(u.X, scopeOf(src.table, src.in)); err != nil {
		return source{}, err
	}
	of := p.list.Type()
	if of.Kind != column.List {
		return source{}, u.X.Position().Errorf("UNNEST needs a list, but this is of type %s", of)
	}
	fields, err := p.columns(u, *of.Elem)
	if err != nil {
		return source{}, err
	}
	parts := slices.Clip(src.in.parts)
	if parts == nil {
		parts = []expr.Part{{Name: nameOf(src.table), Fields: src.in.Schema.Fields}}
	}
	for _, x := range parts {
		if strings.EqualFold(x.Name, u.Alias) {
			return source{}, u.Errorf("two inputs are called %q; give this one another name: UNNEST(…) AS …", u.Alias)
		}
	}
	src.in.parts = append(parts, expr.Part{Name: u.Alias, Fields: fields, From: len(p.in.Fields)})
	p.out = beside(p.in, u.Alias, fields)
	src.in.Schema = p.out
	if src.below != nil && !fusable(src.below) && !mergeable(src.below) {
		src.below = &unnestedPlan{below: src.below, step: p}
		return src, nil
	}
	src.joins = append(slices.Clip(src.joins), p)
	return src, nil
}

// columns are those of the elements: the names behind the alias, or those of the fields of structs and
// the alias itself for other elements. One name for structs of several fields is that of the whole struct.
func (p *unnestStep) columns(u *ast.Unnest, elem column.Type) ([]column.Field, error) {
	fields := []column.Field{{Name: u.Alias, Type: elem}}
	names := u.Columns
	if p.ordinality && len(names) > 1 {
		names = names[:len(names)-1]
	}
	if elem.Kind == column.Struct && (len(u.Columns) == 0 || len(names) == len(elem.Fields)) {
		p.fields, fields = true, slices.Clone(elem.Fields)
	}
	if len(u.Columns) > 0 && len(names) != len(fields) {
		return nil, u.Errorf("%d columns are named, but UNNEST of %s has %d", len(names), p.list.Type(), len(fields))
	}
	for i := range names {
		fields[i].Name = names[i].Text
	}
	if p.ordinality {
		name := "ordinality"
		switch {
		case len(u.Columns) > len(names):
			name = u.Columns[len(names)].Text
		case len(u.Columns) > 0:
			return nil, u.Errorf("WITH ORDINALITY adds a column; name it too: %s(%s, …)", u.Alias, names[0].Text)
		}
		fields = append(fields, column.Field{Name: name, Type: column.Type{Kind: column.BigInt}})
	}
	for i, f := range fields {
		if slices.ContainsFunc(fields[:i], func(o column.Field) bool { return o.Name == f.Name }) {
			return nil, u.Errorf("two columns of UNNEST are called %q; name them all: UNNEST(…) AS %s(…)", f.Name, u.Alias)
		}
	}
	return fields, nil
}

// beside is a schema with the columns of another input behind it, under names that nobody could write.
func beside(in *column.Schema, name string, fields []column.Field) *column.Schema {
	out := &column.Schema{Fields: slices.Clone(in.Fields)}
	for _, f := range fields {
		f.Name = name + "." + f.Name
		for out.Index(f.Name) >= 0 {
			f.Name = "#" + f.Name
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}

func (p *unnestStep) needs() []string {
	out := needs(p.in, p.list)
	for i, f := range p.in.Fields {
		if p.wanted == nil || p.wanted[i] {
			out = with(out, f.Name)
		}
	}
	return out
}

func (p *unnestStep) needed(of []string) step {
	out, tops := *p, column.Tops(of)
	out.wanted = make([]bool, len(p.out.Fields))
	for i, f := range p.out.Fields {
		out.wanted[i] = slices.Contains(tops, f.Name)
	}
	return &out
}

func (p *unnestStep) runner() runner { return newUnnester(p) }

// unnestedPlan is a join with UNNEST over rows that leave windows.
type unnestedPlan struct {
	below plan
	step  *unnestStep
}

// needed is the plan for a SELECT that reads some of its columns: the others, the list itself above all,
// are not repeated.
func (p *unnestedPlan) needed(of []string) plan {
	out := &unnestedPlan{below: p.below, step: p.step.needed(of).(*unnestStep)}
	if u, ok := p.below.(*unnestedPlan); ok {
		out.below = u.needed(out.step.needs())
	}
	return out
}

func (p *unnestedPlan) output() *column.Schema { return p.step.out }
func (p *unnestedPlan) eventTime() string      { return p.below.eventTime() }
func (p *unnestedPlan) reads() []reading       { return p.below.reads() }

func (p *unnestedPlan) operator() Operator {
	return &unnested{wrapped: wrapped{p.below.operator()}, list: newUnnester(p.step)}
}

// unnested runs an unnestedPlan.
type unnested struct {
	wrapped
	list *unnester
}

// Emit returns the rows of the operator below once for each element, valid until the next call.
func (o *unnested) Emit(watermark int64) (*column.Batch, error) {
	b, err := o.Operator.Emit(watermark)
	if err != nil || b == nil {
		return nil, err
	}
	out, err := o.list.spread(b)
	if err != nil || out.Rows == 0 {
		return nil, err
	}
	return out, nil
}
