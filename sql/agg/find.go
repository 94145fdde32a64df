package agg

import (
	"math/bits"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
)

// A table keeps a direct index of groups by combined dictionary ids: always up to smallBits, and
// up to maxBits once it has so many groups that the index costs little beside them.
const (
	smallBits = 11
	maxBits   = 16
	// perGroup is how many entries of the index a group may pay for.
	perGroup = 8
)

// Batch is the keys of a batch's rows, prepared once for all the tables that its rows go to.
// Its memory is used again.
type Batch struct {
	columns []*column.Column
	// coded is set when the keys are few enough for one small number per row in codes;
	// otherwise hashes has one hash per row. Both are indexed by row.
	coded  bool
	codes  []uint32
	hashes []uint64
	coding coding
}

// coding is what codes mean: a code in one batch is the same key in another with the same coding.
type coding struct {
	dicts  []*column.Dict
	widths []int
}

func (c *coding) equal(o *coding) bool {
	return slices.Equal(c.dicts, o.dicts) && slices.Equal(c.widths, o.widths)
}

// cache is the groups by code.
type cache struct {
	coding coding
	// groups are groups plus one, 0 when not known yet.
	groups []uint32
}

// Prepare reads the keys of some rows. The columns must stay as they are until the rows were added.
func (l *Layout) Prepare(b *Batch, columns []*column.Column, rows []int32, n int) {
	b.columns = columns
	if len(columns) == 0 {
		return
	}
	if b.coded = b.code(rows, n); b.coded {
		return
	}
	if cap(b.hashes) < n {
		b.hashes = make([]uint64, n)
	}
	b.hashes = b.hashes[:n]
	for _, r := range rows {
		b.hashes[r] = l.hashRow(columns, int(r))
	}
}

// code numbers the keys if all are booleans or of small dictionaries.
func (b *Batch) code(rows []int32, n int) bool {
	b.coding.dicts, b.coding.widths = b.coding.dicts[:0], b.coding.widths[:0]
	total := 0
	for _, c := range b.columns {
		values := 2
		if c.Dict != nil {
			values = c.DictLen
		} else if c.Type.Kind != column.Boolean {
			return false
		}
		// One more value stands for null.
		width := bits.Len(uint(values))
		total += width
		b.coding.dicts = append(b.coding.dicts, c.Dict)
		b.coding.widths = append(b.coding.widths, width)
	}
	if total > maxBits {
		return false
	}
	if cap(b.codes) < n {
		b.codes = make([]uint32, n)
	}
	b.codes = b.codes[:n]
	for i, c := range b.columns {
		b.addCode(c, rows, b.coding.widths[i], i == 0)
	}
	return true
}

func (b *Batch) addCode(c *column.Column, rows []int32, width int, first bool) {
	codes := b.codes
	if first && c.Dict != nil && c.Valid == nil {
		for _, r := range rows {
			codes[r] = uint32(c.IDs[r])
		}
		return
	}
	if first {
		for _, r := range rows {
			codes[r] = 0
		}
	}
	null := uint32(1)<<width - 1
	for _, r := range rows {
		v := null
		switch {
		case c.IsNull(int(r)):
		case c.Dict != nil:
			v = uint32(c.IDs[r])
		case c.Bools.Get(int(r)):
			v = 1
		default:
			v = 0
		}
		codes[r] = codes[r]<<width | v
	}
}

// Find appends the group of each row, making new ones as needed.
func (t *Table) Find(b *Batch, rows []int32, groups []uint32) []uint32 {
	switch {
	case len(rows) == 0:
		return groups
	case len(b.columns) == 0:
		if t.n == 0 {
			t.insert(t.layout.salt)
		}
		for range rows {
			groups = append(groups, 0)
		}
		return groups
	case b.coded:
		return t.findCoded(b, rows, groups)
	}
	for _, r := range rows {
		groups = append(groups, t.find(b.columns, int(r), b.hashes[r]))
	}
	return groups
}

func (t *Table) findCoded(b *Batch, rows []int32, groups []uint32) []uint32 {
	total := 0
	for _, w := range b.coding.widths {
		total += w
	}
	if total > smallBits && 1<<total > perGroup*t.n {
		for _, r := range rows {
			groups = append(groups, t.find(b.columns, int(r), t.layout.hashRow(b.columns, int(r))))
		}
		return groups
	}
	if !t.cache.coding.equal(&b.coding) || len(t.cache.groups) == 0 {
		t.cache.coding.dicts = append(t.cache.coding.dicts[:0], b.coding.dicts...)
		t.cache.coding.widths = append(t.cache.coding.widths[:0], b.coding.widths...)
		t.cache.groups = make([]uint32, 1<<total)
	}
	known := t.cache.groups
	for _, r := range rows {
		g := known[b.codes[r]]
		if g == 0 {
			g = t.find(b.columns, int(r), t.layout.hashRow(b.columns, int(r))) + 1
			known[b.codes[r]] = g
		}
		groups = append(groups, g-1)
	}
	return groups
}

func (t *Table) find(columns []*column.Column, row int, h uint64) uint32 {
	g := t.lookup(h, func(g int) bool {
		for i := range t.keys {
			if !t.keys[i].holds(g, columns[i], row) {
				return false
			}
		}
		return true
	})
	if g >= 0 {
		return uint32(g)
	}
	for i := range t.keys {
		t.keys[i].add(columns[i], row)
	}
	return uint32(t.insert(h))
}
