package sql

import (
	"errors"

	"github.com/millrace-io/millrace/engine/column"
)

var errNotBuilt = errors.New("the SQL compiler is not built in")

// Expr is a compiled expression. One goroutine uses it.
type Expr struct{}

// CompileExpr compiles a scalar expression over the columns of in.
func CompileExpr(text string, in *column.Schema) (*Expr, error) { return nil, errNotBuilt }

// Type of the expression's values.
func (e *Expr) Type() column.Type { return column.Type{} }

// Needs is the top-level input columns that Eval reads.
func (e *Expr) Needs() []string { return nil }

// Eval computes the expression for the selected rows of b. The column is b.Rows long; only
// selected rows are meaningful. It is valid until the next Eval.
func (e *Expr) Eval(b *column.Batch) (*column.Column, error) { return nil, errNotBuilt }

// Predicate is a compiled condition. One goroutine uses it.
type Predicate struct{}

// CompilePredicate compiles a condition over the columns of in.
func CompilePredicate(text string, in *column.Schema) (*Predicate, error) { return nil, errNotBuilt }

// Needs is the top-level input columns that Select reads.
func (p *Predicate) Needs() []string { return nil }

// Select appends to dst the selected rows of b for which the condition is true.
func (p *Predicate) Select(b *column.Batch, dst []int32) ([]int32, error) { return nil, errNotBuilt }

// Query is a compiled SELECT statement.
type Query struct{}

// CompileQuery compiles a SELECT statement; resolve finds its input by name.
func CompileQuery(text string, resolve func(name string) (Input, bool)) (*Query, error) {
	return nil, errNotBuilt
}

// Names is the inputs that a query reads, for ordering the graph before schemas are known.
func Names(text string) ([]string, error) { return nil, errNotBuilt }

// From is the input the query reads.
func (q *Query) From() string { return "" }

// Output is the schema of the rows that the query emits.
func (q *Query) Output() *column.Schema { return nil }

// OutputEventTime is the output column that later windows can go by, or "".
func (q *Query) OutputEventTime() string { return "" }

// Needs is the top-level input columns that the query reads.
func (q *Query) Needs() []string { return nil }

// Windowed reports whether rows leave only when a window closes.
func (q *Query) Windowed() bool { return false }

// New returns an operator with empty state.
func (q *Query) New() Operator { return nil }
