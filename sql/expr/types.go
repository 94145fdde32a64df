package expr

import (
	"maps"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/decimal"
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
		return t, true
	case t.Kind == column.Invalid || s.Equal(t):
		return s, true
	case isInteger(s) && isInteger(t):
		return bigint, true
	case isDecimal(s) || isDecimal(t):
		if x, y, ok := exact(a, b); ok {
			return meetDecimals(x, y), true
		}
		return double, isNumber(s) && isNumber(t)
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

func withText(t column.Type, other node) (column.Type, bool) {
	switch t.Kind {
	case column.Date, column.Timestamp, column.Time:
		return t, isConstant(other)
	case column.UUID:
		if isConstant(other) {
			return uuid, true
		}
		return text, true
	case column.JSON:
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
	case interval.Kind:
		return interval, true
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
	if c, ok := n.(*constant); ok && c.exact != "" && t.Kind == column.Decimal {
		if d, ok := decimal.Parse([]byte(c.exact), t.Precision, t.Scale); ok {
			return &constant{t: t, d: d, i: int64(d.Lo)}, nil
		}
	}
	if t.Kind == column.BigInt && (from.Kind == column.Date || from.Kind == column.Time) {
		return fold(&convert{x: n, to: t}, n), nil
	}
	if !castable(from.Kind, t.Kind) {
		return nil, at.Errorf("a value of type %s cannot be used as %s", nameOf(from), nameOf(t))
	}
	out := fold(&convert{x: n, to: t}, n)
	if c, ok := out.(*constant); ok && c.null && from.Kind == column.String {
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
	"binary": binary, "varbinary": binary, "bytea": binary, "blob": binary, "bytes": binary,
	"uuid": uuid, "json": jsonText, "jsonb": jsonText,
	"time": clock, "time without time zone": clock,
	"timestamptz": timestamp, "timestamp with time zone": timestamp,
	"date": date, "timestamp": timestamp, "datetime": timestamp, "timestamp without time zone": timestamp,
}

// knownTypes are the names of types in a fixed order.
func knownTypes() []string {
	return append(slices.Sorted(maps.Keys(typeNames)), "decimal", "numeric")
}

// typeOf resolves the type of a CAST.
func typeOf(n ast.TypeName) (column.Type, error) {
	if n.Elem != nil {
		elem, err := typeOf(*n.Elem)
		return column.Type{Kind: column.List, Elem: &elem}, err
	}
	switch n.Name {
	case "decimal", "numeric", "dec":
		return decimalOf(n)
	}
	t, ok := typeNames[n.Name]
	switch {
	case !ok && config.Suggest(n.Name, knownTypes()) != "":
		return t, n.Errorf("unknown type %q; did you mean %q?", n.Name, config.Suggest(n.Name, knownTypes()))
	case !ok:
		return t, n.Errorf("unknown type %q; use boolean, int, bigint, float, double, decimal(p, s), varchar, binary, date, time, timestamp, uuid or json", n.Name)
	case len(n.Params) > 0 && t.Kind == column.String:
		return t, n.Errorf("a text has no length limit; write %s without it, or use SUBSTR", n.Name)
	case len(n.Params) > 0 && t.Kind != column.Timestamp && t.Kind != column.Time:
		return t, n.Errorf("the type %s has no length", n.Name)
	}
	return t, nil
}

func decimalOf(n ast.TypeName) (column.Type, error) {
	t := column.Type{Kind: column.Decimal}
	switch len(n.Params) {
	case 1:
		t.Precision = n.Params[0]
	case 2:
		t.Precision, t.Scale = n.Params[0], n.Params[1]
	default:
		return t, n.Errorf("a decimal has a number of digits and of decimals: decimal(18, 2)")
	}
	if t.Precision < 1 || t.Precision > decimal.MaxDigits || t.Scale < 0 || t.Scale > t.Precision {
		return t, n.Errorf("%s is no type: a decimal has 1 to 38 digits, and no more decimals than digits", n)
	}
	return t, nil
}
