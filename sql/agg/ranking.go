package agg

import (
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// ranking is the best values of one group, the best one first.
type ranking struct {
	value, order cells
	// times decide between equal orders: the earlier one is better.
	times []int64
}

func (l *ranking) memory() int64 { return l.value.memory() + l.order.memory() + int64(8*cap(l.times)) }

// rankings keeps the values of the rows with the smallest or largest orders.
type rankings struct {
	spec Spec
	all  []ranking
	held int64
}

func (a *rankings) grow(n int) {
	for len(a.all) < n {
		a.all = append(a.all, ranking{value: cells{of: a.spec.Args[0]}, order: cells{of: a.spec.Args[1]}})
	}
}

// rankingSize is that of a ranking without values.
const rankingSize = 280

func (a *rankings) memory() int64 { return int64(rankingSize*cap(a.all)) + a.held }

func (a *rankings) add(groups []uint32, args []*column.Column, rows []int32) {
	value, order, time := args[0], args[1], args[2]
	for k, g := range groups {
		r := int(rows[k])
		if value.IsNull(r) || order.IsNull(r) || time.IsNull(r) {
			continue
		}
		l := &a.all[g]
		before := l.memory()
		at := a.place(l, time.Int64s[r], func(i int) int { return l.order.compareRow(uint32(i), order, r) })
		if l.room(at, a.spec.Limit, time.Int64s[r]) {
			l.order.put(uint32(at), order, r)
			l.value.put(uint32(at), value, r)
		}
		a.held += l.memory() - before
	}
}

// place is where a value belongs, behind those that are better or the same.
func (a *rankings) place(l *ranking, time int64, compared func(i int) int) int {
	at := len(l.times)
	for at > 0 {
		c := compared(at - 1)
		if a.spec.Func == MaxsBy {
			c = -c
		}
		if c < 0 || c == 0 && l.times[at-1] <= time {
			break
		}
		at--
	}
	return at
}

// sorted reports whether value i is behind the one before it.
func (a *rankings) sorted(l *ranking, i int) bool {
	c := l.order.compare(uint32(i-1), &l.order, uint32(i))
	if a.spec.Func == MaxsBy {
		c = -c
	}
	return c < 0 || c == 0 && l.times[i-1] <= l.times[i]
}

// room makes room at a place; false if it is beyond the limit.
func (l *ranking) room(at, limit int, time int64) bool {
	if at >= limit {
		return false
	}
	n := len(l.times)
	if n == limit {
		n--
		l.times = l.times[:n]
	}
	l.times = slices.Insert(l.times, at, time)
	l.value.insert(at, n)
	l.order.insert(at, n)
	return true
}

func (a *rankings) merge(other accumulator, groups, into []uint32) {
	o := other.(*rankings)
	for k, g := range into {
		from, l := &o.all[groups[k]], &a.all[g]
		before := l.memory()
		for i, time := range from.times {
			at := a.place(l, time, func(at int) int { return l.order.compare(uint32(at), &from.order, uint32(i)) })
			if !l.room(at, a.spec.Limit, time) {
				break
			}
			l.order.copyFrom(uint32(at), &from.order, uint32(i))
			l.value.copyFrom(uint32(at), &from.value, uint32(i))
		}
		a.held += l.memory() - before
	}
}

// result is NULL for a group without values, as of MinBy.
func (a *rankings) result(g int, out *build.Column) {
	l := &a.all[g]
	if len(l.times) == 0 {
		out.Null()
		return
	}
	for i := range l.times {
		l.value.result(i, out.Elem())
	}
	out.EndList()
}

func (a *rankings) append(dst []byte) []byte {
	for g := range a.all {
		l := &a.all[g]
		dst = appendUvarint(dst, len(l.times))
		for i, time := range l.times {
			dst = l.order.append(appendVarint(dst, time), i)
			dst = l.value.append(dst, i)
		}
	}
	return dst
}

func (a *rankings) read(r *Reader, n int) {
	for g := range n {
		values := r.Count("values")
		if r.err != nil {
			return
		}
		a.grow(g + 1)
		l := &a.all[g]
		for i := range values {
			time := r.Varint("time")
			if r.err != nil || i >= a.spec.Limit {
				r.fail("values")
				return
			}
			l.room(i, a.spec.Limit, time)
			l.order.read(r, i)
			if r.err == nil {
				l.value.read(r, i)
			}
			if r.err != nil {
				return
			}
			if i > 0 && !a.sorted(l, i) {
				r.fail("order of values")
				return
			}
		}
		a.held += l.memory()
	}
}
