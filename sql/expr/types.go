package expr

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
)

func isInteger(t column.Type) bool { return t.Kind == column.Int || t.Kind == column.BigInt }

func isNumber(t column.Type) bool {
	return isInteger(t) || t.Kind == column.Float || t.Kind == column.Double || t.Kind == column.Decimal
}

// common is the type that values of two types meet in; ok is false when there is none.
// A text literal takes the type of the other side where that is a time.
func common(a, b node) (column.Type, bool) {
	s, t := a.typ(), b.typ()
	switch {
	case s.Kind == column.Invalid:
		return met(t), true
	case t.Kind == column.Invalid || s.Equal(t):
		return met(s), true
	case isInteger(s) && isInteger(t):
		return bigint, true
	case isNumber(s) && isNumber(t):
		return double, true
	case s.Kind == column.Date && t.Kind == column.Timestamp, s.Kind == column.Timestamp && t.Kind == column.Date:
		return timestamp, true
	case t.Kind == column.String:
		return withText(s, b)
	case s.Kind == column.String:
		return withText(t, a)
	}
	return column.Type{}, false
}

// met is what values of type t alone become where branches meet.
func met(t column.Type) column.Type {
	switch t.Kind {
	case column.Decimal:
		return double
	case column.UUID:
		return text
	}
	return t
}

func withText(t column.Type, other node) (column.Type, bool) {
	switch t.Kind {
	case column.Date, column.Timestamp:
		return t, isConstant(other)
	case column.UUID, column.JSON:
		return text, true
	}
	return column.Type{}, false
}

// comparableType is the type that kernels compare values of type t in; ok is false for lists and structs.
func comparableType(t column.Type) (column.Type, bool) {
	switch t.Kind {
	case column.Int, column.Boolean, column.Date, column.Time:
		return bigint, true
	case column.Float, column.Decimal:
		return double, true
	case column.UUID:
		return text, true
	case column.List, column.Struct:
		return t, false
	}
	return t, true
}

// coerce makes n a value of type t, which castable allows or which n already has.
func coerce(n node, t column.Type, at ast.Pos) (node, error) {
	from := n.typ()
	if from.Equal(t) {
		return n, nil
	}
	if c, ok := n.(*constant); ok && c.null {
		return &constant{t: t, null: true}, nil
	}
	if t.Kind == column.BigInt && (from.Kind == column.Date || from.Kind == column.Time) {
		return fold(&convert{x: n, to: t}, n), nil
	}
	if !castable(from.Kind, t.Kind) {
		return nil, at.Errorf("a value of type %s cannot be used as %s", from, t)
	}
	out := fold(&convert{x: n, to: t}, n)
	if c, ok := out.(*constant); ok && c.null {
		return nil, at.Errorf("'%s' is not of type %s", n.(*constant).s, t)
	}
	return out, nil
}

var typeNames = map[string]column.Type{
	"boolean": boolean, "bool": boolean,
	"tinyint": integer, "smallint": integer, "int": integer, "integer": integer, "int4": integer,
	"bigint": bigint, "int8": bigint, "long": bigint, "signed": bigint,
	"real": {Kind: column.Float}, "float": {Kind: column.Float}, "float4": {Kind: column.Float},
	"double": double, "double precision": double, "float8": double,
	"varchar": text, "string": text, "text": text, "char": text, "character varying": text, "character": text,
	"date": date, "timestamp": timestamp, "datetime": timestamp, "timestamp without time zone": timestamp,
}

// typeOf resolves the type of a CAST.
func typeOf(n ast.TypeName) (column.Type, error) {
	if n.Name == "decimal" || n.Name == "numeric" {
		return column.Type{}, n.Errorf("CAST to decimal is not supported yet; cast to double")
	}
	t, ok := typeNames[n.Name]
	if !ok {
		return t, n.Errorf("unknown type %q; use boolean, int, bigint, float, double, varchar, date or timestamp", n.Name)
	}
	if len(n.Params) > 0 && t.Kind != column.String {
		return t, n.Errorf("the type %s has no length", n.Name)
	}
	if len(n.Params) > 0 {
		return t, n.Errorf("a text has no length limit; write %s without it, or use SUBSTR", n.Name)
	}
	return t, nil
}
