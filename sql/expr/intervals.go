package expr

import (
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
)

// interval is the type of spans of time within expressions, in Int64s, microseconds. No column has
// it: months are only in literals next to a timestamp, and a result must be made a number first.
var interval = column.Type{Kind: column.Kind(200)}

func isInterval(n node) bool { return n.typ().Kind == interval.Kind }

func isMoment(n node) bool { return n.typ().Kind == column.Timestamp || n.typ().Kind == column.Date }

// nameOf is how messages call a type.
func nameOf(t column.Type) string {
	switch t.Kind {
	case interval.Kind:
		return "interval"
	case column.Invalid:
		return "null"
	}
	return t.String()
}

// one is the name of a type with its article.
func one(name string) string {
	if strings.HasPrefix(name, "int") {
		return "an " + name
	}
	return "a " + name
}

// spans compiles arithmetic with times; ok is false when neither operand is one.
func (c *compiler) spans(op string, l, r node, at ast.Expr) (n node, ok bool, err error) {
	pos := at.Position()
	t := interval
	switch {
	case op == "-" && l.typ().Kind == column.Date && r.typ().Kind == column.Date:
		t = bigint
	case op == "-" && isMoment(l) && isMoment(r):
		if l, err = coerce(l, timestamp, pos); err != nil {
			return nil, true, err
		}
		if r, err = coerce(r, timestamp, pos); err != nil {
			return nil, true, err
		}
	case (op == "+" || op == "-") && isMoment(l) && isInterval(r):
		t = timestamp
		l, err = coerce(l, timestamp, pos)
	case op == "+" && isInterval(l) && isMoment(r):
		t = timestamp
		r, err = coerce(r, timestamp, pos)
	case (op == "+" || op == "-") && isInterval(l) && isInterval(r):
	case op == "*" && isInterval(l) && isInteger(r.typ()):
		r, err = coerce(r, bigint, pos)
	case op == "*" && isInteger(l.typ()) && isInterval(r):
		l, err = coerce(l, bigint, pos)
	default:
		return nil, false, nil
	}
	if err != nil {
		return nil, true, err
	}
	if t.Kind == column.BigInt {
		l, _ = coerce(l, bigint, pos)
		r, _ = coerce(r, bigint, pos)
	}
	return fold(&arithmetic{op: op[0], t: t, l: l, r: r}, l, r), true, nil
}
