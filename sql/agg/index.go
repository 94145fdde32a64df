package agg

import (
	"bytes"

	"github.com/millrace-io/millrace/engine/column"
)

// Index finds rows by their keys. It does not change once it is made.
type Index struct {
	layout  *Layout
	columns []*column.Column
	// slots are open addressing: the upper half of a key's hash, and its first row plus one.
	slots []uint64
	// next is the row behind each one with the same key, -1 for none.
	next   []int32
	unique bool
}

// Index makes an index of some rows of key columns, which must stay as they are. Rows with a null among
// their keys are equal to none and are left out.
func (l *Layout) Index(columns []*column.Column, rows []int32, n int) *Index {
	size := 16
	for size < 2*len(rows) {
		size *= 2
	}
	x := &Index{layout: l, columns: columns, slots: make([]uint64, size), next: make([]int32, n), unique: true}
	// From the last row on, so that each key's rows are chained in their order.
	for i := len(rows) - 1; i >= 0; i-- {
		x.insert(rows[i])
	}
	return x
}

func (x *Index) insert(row int32) {
	x.next[row] = -1
	if anyNull(x.columns, int(row)) {
		return
	}
	h := x.layout.hashRow(x.columns, int(row))
	mask := uint64(len(x.slots) - 1)
	slot := h & mask
	for ; x.slots[slot] != 0; slot = (slot + 1) & mask {
		first := int32(uint32(x.slots[slot])) - 1
		if x.slots[slot]>>32 == h>>32 && x.equal(int(first), x.columns, int(row)) {
			x.next[row], x.unique = first, false
			break
		}
	}
	x.slots[slot] = h>>32<<32 | uint64(row+1)
}

func anyNull(columns []*column.Column, row int) bool {
	for _, c := range columns {
		if c.IsNull(row) {
			return true
		}
	}
	return false
}

// equal compares the keys of a row of the index with those of another one; none is null.
func (x *Index) equal(row int, columns []*column.Column, other int) bool {
	for i, c := range columns {
		if textKey(x.layout.Keys[i]) {
			if !bytes.Equal(textOf(x.columns[i], row), textOf(c, other)) {
				return false
			}
		} else if wordOf(x.columns[i], row) != wordOf(c, other) {
			return false
		}
	}
	return true
}

// first is the first row with the keys of a row of columns, -1 if there is none.
func (x *Index) first(columns []*column.Column, row int, h uint64) int32 {
	mask := uint64(len(x.slots) - 1)
	for slot := h & mask; x.slots[slot] != 0; slot = (slot + 1) & mask {
		if s := x.slots[slot]; s>>32 == h>>32 && x.equal(int(uint32(s))-1, columns, row) {
			return int32(uint32(s)) - 1
		}
	}
	return -1
}

// Next is the row behind one with the same key, -1 for none.
func (x *Index) Next(row int32) int32 { return x.next[row] }

// Unique reports whether each key is of one row.
func (x *Index) Unique() bool { return x.unique }

// Memory is what the index takes, in bytes, without the key columns.
func (x *Index) Memory() int64 { return int64(8*len(x.slots) + 4*len(x.next)) }

// Probe looks up keys in an Index. One goroutine uses it.
type Probe struct {
	index *Index
	// known are the first rows of the values of dict, plus one; 0 is not known yet, -1 none.
	dict  *column.Dict
	known []int32
}

// NewProbe makes a probe of an index.
func NewProbe(x *Index) *Probe { return &Probe{index: x} }

// First sets first[row] for some rows of key columns: the index's first row with the same keys, or -1.
func (p *Probe) First(columns []*column.Column, rows []int32, first []int32) {
	c := columns[0]
	switch {
	case len(columns) > 1:
	case c.Dict != nil:
		p.coded(c, rows, first)
		return
	case c.Type.Kind == column.BigInt:
		p.whole(c, rows, first)
		return
	}
	for _, r := range rows {
		first[r] = -1
		if !anyNull(columns, int(r)) {
			first[r] = p.index.first(columns, int(r), p.index.layout.hashRow(columns, int(r)))
		}
	}
}

// coded asks once for each value of a dictionary.
func (p *Probe) coded(c *column.Column, rows []int32, first []int32) {
	if p.dict != c.Dict {
		p.dict, p.known = c.Dict, p.known[:0]
	}
	for len(p.known) < c.DictLen {
		p.known = append(p.known, 0)
	}
	columns := []*column.Column{c}
	for _, r := range rows {
		if c.IsNull(int(r)) {
			first[r] = -1
			continue
		}
		k := p.known[c.IDs[r]]
		if k == 0 {
			if k = p.index.first(columns, int(r), p.index.layout.hashRow(columns, int(r))) + 1; k == 0 {
				k = -1
			}
			p.known[c.IDs[r]] = k
		}
		first[r] = max(k-1, -1)
	}
}

// whole is the loop for one key of whole numbers.
func (p *Probe) whole(c *column.Column, rows []int32, first []int32) {
	x := p.index
	keys, mask := x.columns[0].Int64s, uint64(len(x.slots)-1)
	for _, r := range rows {
		first[r] = -1
		if c.IsNull(int(r)) {
			continue
		}
		v := c.Int64s[r]
		h := x.layout.mix(x.layout.salt, uint64(v))
		for slot := h & mask; x.slots[slot] != 0; slot = (slot + 1) & mask {
			if row := int32(uint32(x.slots[slot])) - 1; keys[row] == v {
				first[r] = row
				break
			}
		}
	}
}
