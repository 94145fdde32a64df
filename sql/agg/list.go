package agg

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// lists keeps the values that come first, whatever the way in which they come; those of a group are by
// ascending order.
type lists struct {
	spec Spec
	ranked
	order []int64
	null  []bool
}

func newLists(s Spec) *lists { return &lists{spec: s, ranked: ranked{value: cells{of: s.Args[0]}}} }

func (a *lists) memory() int64 {
	return a.ranked.memory() + int64(8*cap(a.order)+cap(a.null))
}

func (a *lists) add(groups []uint32, args []*column.Column, rows []int32) {
	c, order := args[0], args[1]
	for k, g := range groups {
		r := int(rows[k])
		if order.IsNull(r) {
			continue
		}
		if slot, ok := a.enter(g, order.Int64s[r], c.IsNull(r)); ok && !a.null[slot] {
			a.value.put(slot, c, r)
		}
	}
}

// enter makes room behind the values of the same order; false if that is beyond the limit.
func (a *lists) enter(g uint32, order int64, null bool) (slot uint32, ok bool) {
	all := a.groups[g]
	at := len(all)
	for at > 0 && a.order[all[at-1]] > order {
		at--
	}
	if slot, ok = a.room(g, at, a.spec.Limit); !ok {
		return slot, false
	}
	a.order, a.null = extend(a.order, int(a.slots)), extend(a.null, int(a.slots))
	a.order[slot], a.null[slot] = order, null
	return slot, true
}

func (a *lists) merge(other accumulator, groups, into []uint32) {
	o := other.(*lists)
	for k, g := range into {
		for _, theirs := range o.groups[groups[k]] {
			slot, ok := a.enter(g, o.order[theirs], o.null[theirs])
			if !ok {
				break
			}
			if !a.null[slot] {
				a.value.copyFrom(slot, &o.value, theirs)
			}
		}
	}
}

func (a *lists) result(g int, out *build.Column) {
	for _, slot := range a.groups[g] {
		if a.null[slot] {
			out.Elem().Null()
		} else {
			a.value.result(slot, out.Elem())
		}
	}
	out.EndList()
}

func (a *lists) append(dst []byte) []byte {
	return a.frame(dst, func(dst []byte, slots []uint32) []byte {
		for _, slot := range slots {
			dst = append(appendVarint(dst, a.order[slot]), flag(a.null[slot]))
			if !a.null[slot] {
				dst = a.value.append(dst, slot)
			}
		}
		return dst
	})
}

func (a *lists) read(r *Reader, n int) {
	a.unframe(r, n, a.spec.Limit, func(g uint32, values int) {
		for i := range values {
			order, null := r.Varint("order"), r.flag("flag")
			if all := a.groups[g]; r.err != nil || i > 0 && a.order[all[i-1]] > order {
				r.fail("values")
				return
			}
			if slot, _ := a.enter(g, order, null); !null {
				a.value.read(r, slot)
			}
		}
	})
}
