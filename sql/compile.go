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
	in      *column.Schema
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
	return &Expr{program: p, in: in, needs: names(in, p)}, nil
}

// Type of the expression's values.
func (e *Expr) Type() column.Type { return e.program.Type() }

// Needs is the top-level input columns that Eval reads.
func (e *Expr) Needs() []string { return e.needs }

// Paths is Needs with the fields within columns that are read (column.Within).
func (e *Expr) Paths() []string { return paths(e.in, e.program) }

// Reads is the places of what Eval reads: the index of a column, and of the fields within it.
func (e *Expr) Reads() [][]int { return e.program.Reads() }

// Eval computes the expression for the selected rows of b. The column is b.Rows long; only
// selected rows are meaningful. It is valid until the next Eval of the same Expr.
func (e *Expr) Eval(b *column.Batch) (*column.Column, error) { return e.program.Eval(b) }

// Predicate is a compiled condition. One goroutine uses it.
type Predicate struct {
	program *expr.Program
	in      *column.Schema
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
	return &Predicate{program: p, in: in, needs: names(in, p)}, nil
}

// Needs is the top-level input columns that Select reads.
func (p *Predicate) Needs() []string { return p.needs }

// Paths is Needs with the fields within columns that are read (column.Within).
func (p *Predicate) Paths() []string { return paths(p.in, p.program) }

// Select appends to dst the selected rows of b for which the condition is true, ascending. The
// result is never nil, which as a selection would mean all rows.
func (p *Predicate) Select(b *column.Batch, dst []int32) ([]int32, error) {
	return p.program.Select(b, dst)
}

// names is the fields that programs read, in the order of the schema. Programs may be nil.
func names(in *column.Schema, programs ...*expr.Program) []string {
	used := make([]bool, len(in.Fields))
	for _, p := range programs {
		if p == nil {
			continue
		}
		for _, i := range p.Needs() {
			used[i] = true
		}
	}
	var out []string
	for i, f := range in.Fields {
		if used[i] {
			out = append(out, f.Name)
		}
	}
	return out
}

// paths is names with the fields within them that programs read. Programs may be nil.
func paths(in *column.Schema, programs ...*expr.Program) []string {
	var out []string
	for _, p := range programs {
		if p == nil {
			continue
		}
		for _, at := range p.Reads() {
			f := in.Fields[at[0]]
			path := []string{f.Name}
			for _, i := range at[1:] {
				f = f.Type.Fields[i]
				path = append(path, f.Name)
			}
			if need := column.Within(path...); !slices.Contains(out, need) {
				out = append(out, need)
			}
		}
	}
	return out
}
