package column

import (
	"slices"
	"strings"
)

// Within names a field within a struct column for NewDecoder: the column, the field in it, and so on. Needed
// with the name of one column it is that column.
func Within(path ...string) string { return strings.Join(path, within) }

// within is no UTF-8, so it is in no name.
const within = "\xff"

// Top is the column of what Within made, or of a name.
func Top(need string) string {
	top, _, _ := strings.Cut(need, within)
	return top
}

// Tops are the columns of needs, each once.
func Tops(needs []string) []string {
	var out []string
	for _, n := range needs {
		if top := Top(n); !slices.Contains(out, top) {
			out = append(out, top)
		}
	}
	return out
}

// wants are the fields that are wanted, each with those within it; nil means all.
type wants map[string]wants

func newWants(needs []string, whole bool) wants {
	if needs == nil {
		return nil
	}
	out := wants{}
	for _, n := range needs {
		if whole {
			n = Top(n)
		}
		out.add(strings.Split(n, within))
	}
	return out
}

func (w wants) add(path []string) {
	inner, known := w[path[0]]
	switch {
	case known && inner == nil:
	case len(path) == 1:
		w[path[0]] = nil
	default:
		if !known {
			inner = wants{}
			w[path[0]] = inner
		}
		inner.add(path[1:])
	}
}

// of is what is wanted of a field.
func (w wants) of(name string) (within wants, wanted bool) {
	if w == nil {
		return nil, true
	}
	within, wanted = w[name]
	return within, wanted
}

// nothing is n rows of a field that nobody reads.
func (b *builder) nothing(n int) *Column {
	c := &b.out
	*c = Column{Type: b.typ, Len: n, Nulls: n, Unread: true, Children: c.Children[:0]}
	b.valid = zeros(b.valid, (n+7)>>3)
	c.Valid = b.valid
	switch b.typ.Kind {
	case Boolean:
		c.Bools = c.Valid
	case Int, Date:
		b.i32 = zeros(b.i32, n)
		c.Int32s = b.i32
	case Float:
		b.f32 = zeros(b.f32, n)
		c.Float32s = b.f32
	case Double:
		b.f64 = zeros(b.f64, n)
		c.Float64s = b.f64
	case String, Binary, JSON, List:
		b.offsets = zeros(b.offsets, n+1)
		c.Offsets = b.offsets
	case UUID:
		b.fixed = zeros(b.fixed, 16*n)
		c.Fixed = b.fixed
	case Decimal:
		if b.typ.Wide() {
			b.fixed = zeros(b.fixed, 16*n)
			c.Fixed = b.fixed
			break
		}
		fallthrough
	default:
		if b.typ.Kind != Struct {
			b.i64 = zeros(b.i64, n)
			c.Int64s = b.i64
		}
	}
	for _, child := range b.children {
		rows := n
		if b.typ.Kind == List {
			rows = 0
		}
		c.Children = append(c.Children, child.nothing(rows))
	}
	return c
}

// zeros is s with n values, all zero as those that it had.
func zeros[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
