// Package agg is hash aggregation over columns: groups by key, and accumulators per group.
//
// The invariant to remember: what a Table holds follows from the rows it was given in their
// order, so folding the same rows in other batches gives the same bits, also for sums of floats.
package agg

import (
	"hash/maphash"
	"sync"

	"github.com/millrace-io/millrace/engine/column"
)

// Layout is what the tables of a query have in common. It does not change.
type Layout struct {
	Keys []column.Type
	Aggs []Spec

	// leads are the places of the aggregates that hold the values of others, -1 for their own.
	leads []int
	seed  maphash.Seed
	salt  uint64
	// spare has *part, the rows that pass a condition of FILTER.
	spare sync.Pool
}

// NewLayout makes a layout. Keys are of scalar types.
func NewLayout(keys []column.Type, aggs []Spec) *Layout {
	l := &Layout{Keys: keys, Aggs: aggs, leads: leads(aggs), seed: maphash.MakeSeed()}
	l.salt = maphash.String(l.seed, "salt") | 1
	return l
}

// Groupable reports whether a type can be a key.
func Groupable(t column.Type) bool { return t.Kind != column.List && t.Kind != column.Struct }

// Table is groups and their accumulators. One goroutine uses it.
type Table struct {
	layout *Layout
	n      int
	keys   []keys
	accs   []accumulator
	// hashes has the hash of each group's key; slots are open addressing, a group plus one or 0.
	hashes []uint64
	slots  []uint32
	cache  cache
}

// New is an empty table.
func (l *Layout) New() *Table {
	t := &Table{layout: l, keys: make([]keys, len(l.Keys)), accs: make([]accumulator, len(l.Aggs))}
	for i, k := range l.Keys {
		t.keys[i].text = textKey(k)
	}
	for i, a := range l.Aggs {
		if lead := l.leads[i]; lead >= 0 {
			t.accs[i] = distinctOf(t.accs[lead]).mark()
			continue
		}
		t.accs[i] = l.accumulator(a)
	}
	return t
}

// Len is the number of groups.
func (t *Table) Len() int { return t.n }

// Memory is the size in bytes, roughly.
func (t *Table) Memory() int64 {
	n := int64(256 + 8*cap(t.hashes) + 4*cap(t.slots) + 4*cap(t.cache.groups))
	for i := range t.keys {
		n += t.keys[i].memory()
	}
	for i := range t.accs {
		n += t.accs[i].memory()
	}
	return n
}

// lookup finds the group with hash h that equal confirms; -1 if there is none.
func (t *Table) lookup(h uint64, equal func(group int) bool) int {
	if len(t.slots) == 0 {
		return -1
	}
	mask := uint64(len(t.slots) - 1)
	for slot := h & mask; t.slots[slot] != 0; slot = (slot + 1) & mask {
		if g := int(t.slots[slot] - 1); t.hashes[g] == h && equal(g) {
			return g
		}
	}
	return -1
}

// insert enters the next group, whose keys have just been appended.
func (t *Table) insert(h uint64) int {
	if 2*(t.n+1) > len(t.slots) {
		t.rehash(max(16, 4*len(t.slots)))
	}
	g := t.n
	t.n++
	t.hashes = append(t.hashes, h)
	t.place(g, h)
	for i := range t.accs {
		t.accs[i].grow(t.n)
	}
	return g
}

func (t *Table) place(g int, h uint64) {
	mask := uint64(len(t.slots) - 1)
	slot := h & mask
	for t.slots[slot] != 0 {
		slot = (slot + 1) & mask
	}
	t.slots[slot] = uint32(g) + 1
}

func (t *Table) rehash(size int) {
	t.slots = make([]uint32, size)
	for g, h := range t.hashes {
		t.place(g, h)
	}
}

// Merge folds o into t: its groups in their order, so that sums of floats come out the same.
func (t *Table) Merge(o *Table) {
	t.MergeGroups(o, inOrder(o.n))
}

// MergeGroups folds some groups of o into t, in the order of the list, and returns where they are.
// Folded into an empty table, groups keep their bits.
func (t *Table) MergeGroups(o *Table, groups []uint32) []uint32 {
	into := t.MergeKeys(o, groups)
	for i := range t.accs {
		t.accs[i].merge(o.accs[i], groups, into)
	}
	return into
}

// Pick is a copy of some groups of t that only Append may be called on: it has no index.
func (t *Table) Pick(groups []uint32) *Table {
	out := t.layout.New()
	out.n = len(groups)
	into := inOrder(len(groups))
	for i := range out.keys {
		out.keys[i].reserve(&t.keys[i], len(groups))
		for _, g := range groups {
			out.keys[i].copyFrom(&t.keys[i], int(g))
		}
	}
	for _, a := range out.accs {
		a.grow(len(groups))
	}
	for i, a := range out.accs {
		a.merge(t.accs[i], groups, into)
	}
	return out
}

// NoGroup stands for a group that a table does not have.
const NoGroup = ^uint32(0)

// Locate appends to dst where t has the given groups of o; NoGroup for those that it has not.
func (t *Table) Locate(o *Table, groups, dst []uint32) []uint32 {
	for _, from := range groups {
		g := int(from)
		dst = append(dst, uint32(t.lookup(o.hashes[g], func(mine int) bool { return t.sameGroup(mine, o, g) })))
	}
	return dst
}

func (t *Table) sameGroup(mine int, o *Table, theirs int) bool {
	for i := range t.keys {
		if !t.keys[i].same(mine, &o.keys[i], theirs) {
			return false
		}
	}
	return true
}
