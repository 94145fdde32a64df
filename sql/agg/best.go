package agg

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// best is the value of the row with the smallest or largest order. The value is the order itself
// when there is only one argument.
type best struct {
	largest bool
	// later takes the last of rows that are in the same place, not the first.
	later bool
	value *cells
	order cells
	seen  []bool
}

func newBest(s Spec) *best {
	b := &best{
		largest: s.Func == Max || s.Func == MaxBy || s.Func == Last,
		later:   s.Func == Last,
		order:   cells{of: s.Args[len(s.Args)-1]},
	}
	if len(s.Args) > 1 {
		b.value = &cells{of: s.Args[0]}
	}
	return b
}

func (a *best) grow(n int) {
	a.order.grow(n)
	if a.value != nil {
		a.value.grow(n)
	}
	a.seen = extend(a.seen, n)
}

func (a *best) memory() int64 {
	n := a.order.memory() + int64(cap(a.seen))
	if a.value != nil {
		n += a.value.memory()
	}
	return n
}

// better reports whether a value that compares with the best so far like this takes its place.
func (a *best) better(compared int) bool {
	if compared == 0 {
		return a.later
	}
	return (compared < 0) == a.largest
}

func (a *best) add(groups []uint32, args []*column.Column, rows []int32) {
	value, order := args[0], args[0]
	if a.value != nil {
		order = args[1]
	}
	for k, g := range groups {
		r := int(rows[k])
		if value.IsNull(r) || order.IsNull(r) || a.seen[g] && !a.better(a.order.compareRow(g, order, r)) {
			continue
		}
		a.seen[g] = true
		a.order.put(g, order, r)
		if a.value != nil {
			a.value.put(g, value, r)
		}
	}
}

func (a *best) merge(other accumulator, groups, into []uint32) {
	o := other.(*best)
	for k, g := range into {
		from := groups[k]
		if !o.seen[from] || a.seen[g] && !a.better(a.order.compare(g, &o.order, from)) {
			continue
		}
		a.seen[g] = true
		a.order.copyFrom(g, &o.order, from)
		if a.value != nil {
			a.value.copyFrom(g, o.value, from)
		}
	}
}

func (a *best) result(g int, out *build.Column) {
	switch {
	case !a.seen[g]:
		out.Null()
	case a.value != nil:
		a.value.result(uint32(g), out)
	default:
		a.order.result(uint32(g), out)
	}
}

func (a *best) append(dst []byte) []byte {
	for g, seen := range a.seen {
		dst = append(dst, flag(seen))
		if !seen {
			continue
		}
		dst = a.order.append(dst, uint32(g))
		if a.value != nil {
			dst = a.value.append(dst, uint32(g))
		}
	}
	return dst
}

func (a *best) read(r *Reader, n int) {
	a.grow(n)
	for g := range n {
		if a.seen[g] = r.flag("flag"); !a.seen[g] {
			continue
		}
		a.order.read(r, uint32(g))
		if a.value != nil && r.err == nil {
			a.value.read(r, uint32(g))
		}
	}
}
