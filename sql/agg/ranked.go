package agg

import "slices"

// ranked are values of many groups, those of each group in an order. A value has a slot; that of one which
// is dropped is used again.
type ranked struct {
	value cells
	// groups are the slots of each group, and held is the memory that the lists take.
	groups [][]uint32
	held   int64
	slots  uint32
}

func (a *ranked) grow(n int) { a.groups = extend(a.groups, n) }

func (a *ranked) memory() int64 { return int64(24*cap(a.groups)) + a.held + a.value.memory() }

// room makes room at a place of group g and returns the slot; ok is false if the place is beyond the limit. The
// last value is dropped if the group has as many as it may.
func (a *ranked) room(g uint32, at, limit int) (slot uint32, ok bool) {
	all := a.groups[g]
	n := len(all)
	switch {
	case at >= limit:
		return 0, false
	case n == limit:
		slot = all[n-1]
		copy(all[at+1:], all[at:n-1])
		all[at] = slot
		return slot, true
	}
	slot = a.slots
	a.slots++
	a.value.grow(int(a.slots))
	before := cap(all)
	a.groups[g] = slices.Insert(all, at, slot)
	a.held += int64(4 * (cap(a.groups[g]) - before))
	return slot, true
}

// frame appends the values of each group behind how many they are. write appends those of some slots.
func (a *ranked) frame(dst []byte, write func(dst []byte, slots []uint32) []byte) []byte {
	for _, all := range a.groups {
		dst = write(appendUvarint(dst, len(all)), all)
	}
	return dst
}

// unframe takes what frame wrote for n groups of up to limit values. take reads so many values into group g, and
// tells r what it finds wrong.
func (a *ranked) unframe(r *Reader, n, limit int, take func(g uint32, values int)) {
	for g := range n {
		values := r.Count("values")
		if values > limit {
			r.fail("values")
		}
		if r.err != nil {
			return
		}
		a.grow(g + 1)
		take(uint32(g), values)
	}
}
