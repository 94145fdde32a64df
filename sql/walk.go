package sql

import (
	"reflect"
	"slices"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
)

// aggregatesIn are the aggregate calls in e, outermost first.
func aggregatesIn(e ast.Expr) []*ast.Call {
	if e == nil {
		return nil
	}
	if c, ok := e.(*ast.Call); ok && slices.Contains(expr.Aggregates, c.Name) {
		return []*ast.Call{c}
	}
	var out []*ast.Call
	for _, child := range ast.Children(e) {
		out = append(out, aggregatesIn(child)...)
	}
	return out
}

// same reports whether two trees are equal but for their places in the text and the ways to
// write the same column.
func same(a, b ast.Expr, scope *expr.Scope) bool {
	x, y := ast.Children(a), ast.Children(b)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if !same(x[i], y[i], scope) {
			return false
		}
	}
	switch a := a.(type) {
	case *ast.Ident:
		b, ok := b.(*ast.Ident)
		return ok && sameColumn(a, b, scope)
	case *ast.Number:
		b, ok := b.(*ast.Number)
		return ok && a.Integer == b.Integer && a.Int == b.Int && a.Float == b.Float
	case *ast.String:
		b, ok := b.(*ast.String)
		return ok && a.Value == b.Value
	case *ast.Bool:
		b, ok := b.(*ast.Bool)
		return ok && a.Value == b.Value
	case *ast.Null:
		_, ok := b.(*ast.Null)
		return ok
	case *ast.Interval:
		b, ok := b.(*ast.Interval)
		return ok && a.Value == b.Value
	case *ast.Date:
		b, ok := b.(*ast.Date)
		return ok && a.Days == b.Days
	case *ast.Timestamp:
		b, ok := b.(*ast.Timestamp)
		return ok && a.Micros == b.Micros
	case *ast.Clock:
		b, ok := b.(*ast.Clock)
		return ok && a.Micros == b.Micros
	case *ast.Bytes:
		b, ok := b.(*ast.Bytes)
		return ok && string(a.Value) == string(b.Value)
	}
	return sameOperator(a, b)
}

// sameOperator compares what nodes with operands have beside them.
func sameOperator(a, b ast.Expr) bool {
	switch a := a.(type) {
	case *ast.Negate:
		_, ok := b.(*ast.Negate)
		return ok
	case *ast.Binary:
		b, ok := b.(*ast.Binary)
		return ok && a.Op == b.Op
	case *ast.Logic:
		b, ok := b.(*ast.Logic)
		return ok && a.And == b.And
	case *ast.Not:
		_, ok := b.(*ast.Not)
		return ok
	case *ast.IsNull:
		b, ok := b.(*ast.IsNull)
		return ok && a.Not == b.Not
	case *ast.IsBool:
		b, ok := b.(*ast.IsBool)
		return ok && a.Not == b.Not && a.Value == b.Value
	case *ast.Between:
		b, ok := b.(*ast.Between)
		return ok && a.Not == b.Not
	case *ast.In:
		b, ok := b.(*ast.In)
		return ok && a.Not == b.Not
	case *ast.Like:
		b, ok := b.(*ast.Like)
		return ok && a.Not == b.Not && a.Fold == b.Fold && sameEscape(a.Escape, b.Escape)
	case *ast.Regexp:
		b, ok := b.(*ast.Regexp)
		return ok && a.Not == b.Not
	case *ast.Distinct:
		b, ok := b.(*ast.Distinct)
		return ok && a.Not == b.Not
	case *ast.Array, *ast.Index:
		return reflect.TypeOf(a) == reflect.TypeOf(b)
	case *ast.Member:
		b, ok := b.(*ast.Member)
		return ok && a.Name == b.Name
	case *ast.JSON:
		b, ok := b.(*ast.JSON)
		return ok && a.Text == b.Text
	case *ast.Zoned:
		b, ok := b.(*ast.Zoned)
		return ok && a.Zone == b.Zone
	case *ast.Cast:
		b, ok := b.(*ast.Cast)
		return ok && a.To.Name == b.To.Name && slices.Equal(a.To.Params, b.To.Params)
	case *ast.Call:
		b, ok := b.(*ast.Call)
		return ok && a.Name == b.Name && a.Star == b.Star && a.Distinct == b.Distinct &&
			len(a.Args) == len(b.Args) && (a.Filter == nil) == (b.Filter == nil) && a.Over == nil && b.Over == nil && a.Within == nil && b.Within == nil
	case *ast.Case:
		b, ok := b.(*ast.Case)
		return ok && (a.Operand == nil) == (b.Operand == nil) && (a.Else == nil) == (b.Else == nil)
	}
	return false
}

// sameEscape compares what ESCAPE has, which must be a literal.
func sameEscape(a, b ast.Expr) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	x, ok := a.(*ast.String)
	y, also := b.(*ast.String)
	return ok && also && x.Value == y.Value
}

func sameColumn(a, b *ast.Ident, scope *expr.Scope) bool {
	x, err := expr.Resolve(a, scope)
	if err != nil {
		return false
	}
	y, err := expr.Resolve(b, scope)
	return err == nil && slices.Equal(x, y)
}
