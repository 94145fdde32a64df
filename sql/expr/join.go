package expr

import (
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
)

// Part is one input of a join: some fields of the schema, in a row, under the names of that input.
type Part struct {
	// Name that the input goes by.
	Name string
	// Fields are those of the input. The first one is the schema's field From.
	Fields []column.Field
	From   int
	// Using are columns that equal one of the same name in an input before, which the name alone means.
	Using []string
}

// joined resolves a column of one of several inputs.
func (c *compiler) joined(id *ast.Ident) (node, error) {
	if len(id.Parts) > 1 {
		for _, p := range c.scope.Parts {
			if named(id.Parts[0], p.Name) {
				return c.path(p.Fields, p.From, id.Parts[1:], id)
			}
		}
	}
	name, at := id.Parts[0], -1
	var all []column.Field
	for i, p := range c.scope.Parts {
		all = append(all, p.Fields...)
		f := find(p.Fields, name)
		if f < 0 && f != -2 || f >= 0 && slices.Contains(p.Using, p.Fields[f].Name) {
			continue
		}
		if at >= 0 {
			a, b := c.scope.Parts[at].Name, p.Name
			return nil, id.Errorf("column %q is in both %s and %s; write %s.%s or %s.%s", name.Text, a, b, a, name.Text, b, name.Text)
		}
		at = i
	}
	if at < 0 {
		return nil, c.unknown(all, name, -1, id, "column")
	}
	p := c.scope.Parts[at]
	return c.path(p.Fields, p.From, id.Parts, id)
}

// Equal compiles the two sides of l = r to values of one type that are equal when l = r is true. at is
// the place for errors, which are *ast.Error.
func Equal(l, r ast.Expr, s *Scope, at ast.Expr) (left, right *Program, err error) {
	ours, theirs := &compiler{scope: s}, &compiler{scope: s}
	a, err := ours.expr(l)
	if err != nil {
		return nil, nil, err
	}
	b, err := theirs.expr(r)
	if err != nil {
		return nil, nil, err
	}
	if a, b, err = (&compiler{scope: s}).pair(a, b, at); err != nil {
		return nil, nil, err
	}
	return ours.program(a), theirs.program(b), nil
}
