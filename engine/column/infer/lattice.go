package infer

import (
	"slices"

	"github.com/millrace-io/millrace/engine/column"
)

// typ is the narrowest type that takes all values of n: boolean; bigint < double < string; a
// timestamp, date or uuid if every text is one; a struct or list of what is in them; json for objects
// or lists beside anything else. ok is false while nothing but nulls and empty values were seen.
func (n *node) typ(m Mixed) (t column.Type, ok bool) {
	scalars := n.bools + n.ints + n.doubles + n.texts
	switch {
	case n.crowded, n.objects > 0 && n.lists > 0, scalars > 0 && n.objects+n.lists > 0:
		return column.Type{Kind: column.JSON}, true
	case n.objects > 0:
		fields := n.columns(m)
		return column.Type{Kind: column.Struct, Fields: fields}, len(fields) > 0
	case n.lists > 0:
		return n.listType(m)
	case scalars == 0:
		return column.Type{}, false
	}
	return column.Type{Kind: n.scalar(m, scalars)}, true
}

func (n *node) listType(m Mixed) (column.Type, bool) {
	if n.elem == nil {
		return column.Type{}, false
	}
	elem, ok := n.elem.typ(m)
	return column.Type{Kind: column.List, Elem: &elem}, ok
}

// scalar is the kind of values that are all scalars.
func (n *node) scalar(m Mixed, all int64) column.Kind {
	numbers := n.ints + n.doubles
	switch {
	case n.bools == all:
		return column.Boolean
	case numbers == all && !n.huge && n.doubles == 0:
		return column.BigInt
	case numbers == all && !n.huge && !n.long:
		return column.Double
	case n.texts == all && n.timestamps == all:
		return column.Timestamp
	case n.texts == all && n.dates == all:
		return column.Date
	case n.texts == all && n.ids == all:
		return column.UUID
	case n.texts == all || m == MixedText:
		return column.String
	}
	return column.JSON
}

// columns are the fields of objects that have a type.
func (n *node) columns(m Mixed) []column.Field {
	var fields []column.Field
	for _, f := range n.ordered() {
		if t, ok := f.typ(m); ok {
			fields = append(fields, column.Field{Name: f.name, Type: t})
		}
	}
	return fields
}

// Join widens a column's type so that it takes values of another: int < bigint < double < string,
// any other two scalars to string, lists by their elements and structs by their fields, with add also
// by new ones. What has no such type in common (an object for a number) leaves have as it is, and so
// do the types that only a person chooses: decimal, binary, time and json.
func Join(have, seen column.Type, add bool) column.Type {
	switch {
	case have.Kind == column.Struct && seen.Kind == column.Struct:
		return joinStructs(have, seen, add)
	case have.Kind == column.List && seen.Kind == column.List:
		elem := Join(*have.Elem, *seen.Elem, add)
		return column.Type{Kind: column.List, Elem: &elem}
	case !widens(have.Kind) || !widens(seen.Kind) || have.Kind == seen.Kind:
		return have
	}
	a, b := rank(have.Kind), rank(seen.Kind)
	if a == 0 || b == 0 {
		return column.Type{Kind: column.String}
	}
	// A float beside an integer loses digits of both.
	kind := numbers[max(a, b)-1]
	if kind == column.Float {
		kind = column.Double
	}
	return column.Type{Kind: kind}
}

func joinStructs(have, seen column.Type, add bool) column.Type {
	out := column.Type{Kind: column.Struct, Fields: slices.Clone(have.Fields)}
	for _, f := range seen.Fields {
		switch i := (&column.Schema{Fields: out.Fields}).Index(f.Name); {
		case i >= 0:
			out.Fields[i].Type = Join(out.Fields[i].Type, f.Type, add)
		case add:
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

// widens reports whether a scalar of a kind may become another kind.
func widens(k column.Kind) bool {
	switch k {
	case column.Boolean, column.String, column.Date, column.Timestamp, column.UUID:
		return true
	}
	return rank(k) > 0
}

// numbers are the kinds of numbers, each wider than the one before.
var numbers = [...]column.Kind{column.Int, column.BigInt, column.Float, column.Double}

func rank(k column.Kind) int {
	for i, n := range numbers {
		if n == k {
			return i + 1
		}
	}
	return 0
}
