package agg

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// rankings keeps the values of the rows with the smallest or largest orders, the best one of a group first.
type rankings struct {
	spec Spec
	ranked
	order cells
	// times decide between equal orders: the earlier one is better.
	times []int64
}

func newRankings(s Spec) *rankings {
	return &rankings{spec: s, ranked: ranked{value: cells{of: s.Args[0]}}, order: cells{of: s.Args[1]}}
}

func (a *rankings) memory() int64 {
	return a.ranked.memory() + a.order.memory() + int64(8*cap(a.times))
}

func (a *rankings) add(groups []uint32, args []*column.Column, rows []int32) {
	value, order, time := args[0], args[1], args[2]
	for k, g := range groups {
		r := int(rows[k])
		if value.IsNull(r) || order.IsNull(r) || time.IsNull(r) {
			continue
		}
		at := a.place(g, time.Int64s[r], func(slot uint32) int { return a.order.compareRow(slot, order, r) })
		if slot, ok := a.enter(g, at, time.Int64s[r]); ok {
			a.order.put(slot, order, r)
			a.value.put(slot, value, r)
		}
	}
}

// place is where a value belongs, behind those that are better or the same.
func (a *rankings) place(g uint32, time int64, compared func(slot uint32) int) int {
	all := a.groups[g]
	at := len(all)
	for at > 0 {
		c := compared(all[at-1])
		if a.spec.Func == MaxsBy {
			c = -c
		}
		if c < 0 || c == 0 && a.times[all[at-1]] <= time {
			break
		}
		at--
	}
	return at
}

// sorted reports whether a value is behind the one before it.
func (a *rankings) sorted(before, slot uint32) bool {
	c := a.order.compare(before, &a.order, slot)
	if a.spec.Func == MaxsBy {
		c = -c
	}
	return c < 0 || c == 0 && a.times[before] <= a.times[slot]
}

// enter makes room at a place for a value of a time; false if it is beyond the limit.
func (a *rankings) enter(g uint32, at int, time int64) (slot uint32, ok bool) {
	if slot, ok = a.room(g, at, a.spec.Limit); !ok {
		return slot, false
	}
	a.order.grow(int(a.slots))
	a.times = extend(a.times, int(a.slots))
	a.times[slot] = time
	return slot, true
}

func (a *rankings) merge(other accumulator, groups, into []uint32) {
	o := other.(*rankings)
	for k, g := range into {
		for _, theirs := range o.groups[groups[k]] {
			at := a.place(g, o.times[theirs], func(slot uint32) int { return a.order.compare(slot, &o.order, theirs) })
			slot, ok := a.enter(g, at, o.times[theirs])
			if !ok {
				break
			}
			a.order.copyFrom(slot, &o.order, theirs)
			a.value.copyFrom(slot, &o.value, theirs)
		}
	}
}

// result is NULL for a group without values, as of MinBy.
func (a *rankings) result(g int, out *build.Column) {
	if len(a.groups[g]) == 0 {
		out.Null()
		return
	}
	for _, slot := range a.groups[g] {
		a.value.result(slot, out.Elem())
	}
	out.EndList()
}

func (a *rankings) append(dst []byte) []byte {
	return a.frame(dst, func(dst []byte, slots []uint32) []byte {
		for _, slot := range slots {
			dst = a.order.append(appendVarint(dst, a.times[slot]), slot)
			dst = a.value.append(dst, slot)
		}
		return dst
	})
}

func (a *rankings) read(r *Reader, n int) {
	a.unframe(r, n, a.spec.Limit, func(g uint32, values int) {
		for i := 0; i < values && r.err == nil; i++ {
			slot, _ := a.enter(g, i, r.Varint("time"))
			if a.order.read(r, slot); r.err != nil {
				return
			}
			if a.value.read(r, slot); r.err == nil && i > 0 && !a.sorted(a.groups[g][i-1], slot) {
				r.fail("order of values")
			}
		}
	})
}
