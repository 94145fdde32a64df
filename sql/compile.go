package sql

import (
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/expr"
	"github.com/millrace-io/millrace/sql/parse"
)

// Expr is a compiled expression. One goroutine uses it.
type Expr struct {
	program *expr.Program
	needs   []string
}

// CompileExpr compiles a scalar expression over the columns of in. Errors are *Error.
func CompileExpr(text string, in *column.Schema) (*Expr, error) {
	tree, err := parse.Expr(text)
	if err != nil {
		return nil, err
	}
	p, err := expr.Compile(tree, &expr.Scope{Schema: in})
	if err != nil {
		return nil, err
	}
	return &Expr{program: p, needs: needs(in, p)}, nil
}

// Type of the expression's values.
func (e *Expr) Type() column.Type { return e.program.Type() }

// Needs is what Eval reads: input columns, or fields within them (column.Within).
func (e *Expr) Needs() []string { return e.needs }

// Reads is the places of what Eval reads: the index of a column, and of the fields within it.
func (e *Expr) Reads() [][]int { return e.program.Reads() }

// Eval computes the expression for the selected rows of b. The column is b.Rows long; only
// selected rows are meaningful. It is valid until the next Eval of the same Expr.
func (e *Expr) Eval(b *column.Batch) (*column.Column, error) { return e.program.Eval(b) }

// Predicate is a compiled condition. One goroutine uses it.
type Predicate struct {
	program *expr.Program
	needs   []string
}

// CompilePredicate compiles a condition over the columns of in. Errors are *Error.
func CompilePredicate(text string, in *column.Schema) (*Predicate, error) {
	tree, err := parse.Expr(text)
	if err != nil {
		return nil, err
	}
	p, err := expr.Condition(tree, &expr.Scope{Schema: in}, "a filter")
	if err != nil {
		return nil, err
	}
	return &Predicate{program: p, needs: needs(in, p)}, nil
}

// Needs is what Select reads: input columns, or fields within them (column.Within).
func (p *Predicate) Needs() []string { return p.needs }

// Select appends to dst the selected rows of b for which the condition is true, ascending. The
// result is never nil, which as a selection would mean all rows.
func (p *Predicate) Select(b *column.Batch, dst []int32) ([]int32, error) {
	return p.program.Select(b, dst)
}

// needs is what programs read of in: columns, or fields within them (column.Within), in the order of the schema.
// Programs may be nil.
func needs(in *column.Schema, programs ...*expr.Program) []string {
	var places [][]int
	for _, p := range programs {
		if p != nil {
			places = append(places, p.Reads()...)
		}
	}
	slices.SortFunc(places, slices.Compare)
	var out []string
	var last []int
	for _, at := range places {
		if last != nil && len(at) >= len(last) && slices.Equal(at[:len(last)], last) {
			continue // it is within what is read already
		}
		last = at
		f := in.Fields[at[0]]
		path := []string{f.Name}
		for _, i := range at[1:] {
			f = f.Type.Fields[i]
			path = append(path, f.Name)
		}
		out = append(out, column.Within(path...))
	}
	return out
}
