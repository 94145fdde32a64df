package column

import (
	"slices"
	"weak"
)

// Remaps are tables from the ids of decoders' dictionaries to those of one's own. A dictionary is not kept
// alive by its table. The zero Remaps is empty. One goroutine uses it.
type Remaps struct {
	list []Remap
	// next is the table that makes place for that of another dictionary.
	next int
}

// Remap is the table for one dictionary.
type Remap struct {
	from weak.Pointer[Dict]
	ids  []int32
	// Used is for counting how often the dictionary was met.
	Used int
}

// maxRemaps is how many dictionaries are followed at once: one a shard.
const maxRemaps = 8

// Of is the table for a dictionary. It is valid until the next call.
func (m *Remaps) Of(d *Dict) *Remap {
	from := weak.Make(d)
	for i := range m.list {
		if m.list[i].from == from {
			return &m.list[i]
		}
	}
	if len(m.list) < maxRemaps {
		m.list = append(m.list, Remap{from: from})
		return &m.list[len(m.list)-1]
	}
	r := &m.list[m.next%maxRemaps]
	m.next++
	*r = Remap{from: from, ids: r.ids[:0]}
	return r
}

// Table has a place for each of the first n ids; those that were not there before are zero.
func (r *Remap) Table(n int) []int32 {
	if have := len(r.ids); have < n {
		r.ids = slices.Grow(r.ids, n-have)[:n]
		clear(r.ids[have:])
	}
	return r.ids
}

// Forget makes all places zero.
func (m *Remaps) Forget() {
	for i := range m.list {
		m.list[i].ids, m.list[i].Used = m.list[i].ids[:0], 0
	}
}

// Shrink lets go of the tables with more than so many places.
func (m *Remaps) Shrink(most int) {
	for i := range m.list {
		if cap(m.list[i].ids) > most {
			m.list[i].ids, m.list[i].Used = nil, 0
		}
	}
}

// Memory is what the tables take, in bytes.
func (m *Remaps) Memory() int64 {
	n := int64(0)
	for i := range m.list {
		n += 4*int64(cap(m.list[i].ids)) + 48
	}
	return n
}
