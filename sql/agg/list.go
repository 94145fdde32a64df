package agg

import (
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// list is the values of one group by ascending order.
type list struct {
	cells
	order []int64
	null  []bool
}

func (l *list) memory() int64 { return l.cells.memory() + int64(8*cap(l.order)+cap(l.null)) }

// lists keeps the values that come first, whatever the way in which they come.
type lists struct {
	spec Spec
	all  []list
	held int64
}

func (a *lists) grow(n int) {
	for len(a.all) < n {
		a.all = append(a.all, list{cells: cells{of: a.spec.Args[0]}})
	}
}

// listSize is that of a list without values.
const listSize = 176

func (a *lists) memory() int64 { return int64(listSize*cap(a.all)) + a.held }

func (a *lists) add(groups []uint32, args []*column.Column, rows []int32) {
	c, order := args[0], args[1]
	for k, g := range groups {
		r := int(rows[k])
		if order.IsNull(r) {
			continue
		}
		l := &a.all[g]
		before := l.memory()
		if at := l.room(order.Int64s[r], a.spec.Limit); at >= 0 {
			if l.null[at] = c.IsNull(r); !l.null[at] {
				l.put(uint32(at), c, r)
			}
		}
		a.held += l.memory() - before
	}
}

// room makes room behind the values of the same order and returns its place, or -1 if it would
// be beyond the limit.
func (l *list) room(order int64, limit int) int {
	at := len(l.order)
	for at > 0 && l.order[at-1] > order {
		at--
	}
	if at >= limit {
		return -1
	}
	if len(l.order) == limit {
		l.drop()
	}
	l.order, l.null = slices.Insert(l.order, at, order), slices.Insert(l.null, at, false)
	if l.text() {
		l.texts = slices.Insert(l.texts, at, nil)
	} else {
		l.words = slices.Insert(l.words, at, 0)
	}
	return at
}

// drop forgets the last value.
func (l *list) drop() {
	n := len(l.order) - 1
	l.order, l.null = l.order[:n], l.null[:n]
	if !l.text() {
		l.words = l.words[:n]
		return
	}
	l.held -= int64(cap(l.texts[n]))
	l.texts[n] = nil
	l.texts = l.texts[:n]
}

func (a *lists) merge(other accumulator, groups, into []uint32) {
	o := other.(*lists)
	for k, g := range into {
		from, l := &o.all[groups[k]], &a.all[g]
		before := l.memory()
		for i, order := range from.order {
			at := l.room(order, a.spec.Limit)
			if at < 0 {
				break
			}
			if l.null[at] = from.null[i]; !from.null[i] {
				l.copyFrom(uint32(at), &from.cells, uint32(i))
			}
		}
		a.held += l.memory() - before
	}
}

func (a *lists) result(g int, out *build.Column) {
	l := &a.all[g]
	for i, null := range l.null {
		if null {
			out.Elem().Null()
		} else {
			l.cells.result(i, out.Elem())
		}
	}
	out.EndList()
}

func (a *lists) append(dst []byte) []byte {
	for g := range a.all {
		l := &a.all[g]
		dst = appendUvarint(dst, len(l.order))
		for i, order := range l.order {
			dst = append(appendVarint(dst, order), flag(l.null[i]))
			if !l.null[i] {
				dst = l.cells.append(dst, i)
			}
		}
	}
	return dst
}

func (a *lists) read(r *Reader, n int) {
	for g := range n {
		values := r.Count("values")
		if r.err != nil {
			return
		}
		a.grow(g + 1)
		l := &a.all[g]
		for range values {
			order, null := r.Varint("order"), r.flag("flag")
			last := len(l.order) - 1
			if r.err != nil || last >= 0 && l.order[last] > order || last+1 >= a.spec.Limit {
				r.fail("values")
				return
			}
			at := l.room(order, a.spec.Limit)
			if l.null[at] = null; !null {
				l.cells.read(r, at)
			}
		}
		a.held += l.memory()
	}
}
