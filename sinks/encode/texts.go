package encode

import (
	"bytes"
	"hash/maphash"
	"slices"
	"unsafe"

	"github.com/millrace-io/millrace/engine/column"
)

// texts is the dictionary of a column of texts.
type texts struct {
	seed    maphash.Seed
	slots   []int32 // id+1 by hash, 0 where free
	offsets []uint32
	bytes   []byte
	// least and greatest are the ids of the bounds of the first bounded values.
	least, greatest int32
	bounded         int
	// remaps has base+id for the values of a decoder's dictionary, less than base where the id is not known
	// yet. The base rises from file to file, so that nothing need be cleared for one of few rows.
	remaps column.Remaps
	base   int32
}

const (
	// remapShare is how many values of a decoder's dictionary there may be for each value taken from it
	// before ids are looked up in a table of them all. A table costs as much as the dictionary has values.
	remapShare = 4
	// keptRemap is the size of a table that is kept for the next file.
	keptRemap = 64 << 10
	// lastBase leaves room for the ids of a file.
	lastBase = 1 << 30
)

func newTexts() *texts {
	return &texts{seed: maphash.MakeSeed(), slots: make([]int32, 8), offsets: []uint32{0}, base: 1}
}

func (d *texts) len() int { return len(d.offsets) - 1 }

func (d *texts) value(id int32) []byte { return d.bytes[d.offsets[id]:d.offsets[id+1]] }

func (d *texts) size() int { return len(d.bytes) + 4*d.len() }

func (d *texts) expand(v *values, ids []int32) {
	if len(v.offsets) == 0 {
		v.offsets = append(v.offsets, 0)
	}
	v.offsets = slices.Grow(v.offsets, len(ids))
	v.bytes = slices.Grow(v.bytes, len(d.bytes))
	for _, id := range ids {
		v.bytes = append(v.bytes, d.value(id)...)
		v.offsets = append(v.offsets, uint32(len(v.bytes)))
	}
	v.n += len(ids)
}

func (d *texts) appendPlain(dst []byte) []byte { return appendPlainText(dst, d.bytes, d.offsets) }

func (d *texts) bounds(kind column.Kind) bounds {
	for ; d.bounded < d.len(); d.bounded++ {
		d.bound(int32(d.bounded))
	}
	return textBounds(d.value(d.least), d.value(d.greatest), kind)
}

func (d *texts) memory() int {
	return int(unsafe.Sizeof(*d)) + 4*cap(d.slots) + 4*cap(d.offsets) + cap(d.bytes) + int(d.remaps.Memory())
}

func (d *texts) reset() {
	d.base += int32(d.len())
	clear(d.slots)
	d.offsets, d.bytes, d.bounded = d.offsets[:1], d.bytes[:0], 0
	if d.remaps.Shrink(keptRemap); d.base > lastBase {
		d.remaps.Forget()
		d.base = 1
	}
}

func (d *texts) appendIDs(dst []int32, c *column.Column, r rows) []int32 {
	if c.Dict == nil {
		for i := range r.len() {
			dst = append(dst, d.id(c.Text(r.at(i))))
		}
		return dst
	}
	known := d.remap(c.Dict, c.DictLen, r.len())
	n := len(dst)
	dst = gather(dst, c.IDs, r)
	if known == nil {
		for i, from := range dst[n:] {
			dst[n+i] = d.id(c.Dict.Bytes[c.Dict.Offsets[from]:c.Dict.Offsets[from+1]])
		}
		return dst
	}
	for i, from := range dst[n:] {
		id := known[from] - d.base
		if id < 0 {
			id = d.id(c.Dict.Bytes[c.Dict.Offsets[from]:c.Dict.Offsets[from+1]])
			known[from] = d.base + id
		}
		dst[n+i] = id
	}
	return dst
}

// remap is the table for a decoder's dictionary of n values, from which so many are taken now; nil
// while they are too few.
func (d *texts) remap(from *column.Dict, n, taken int) []int32 {
	r := d.remaps.Of(from)
	r.Used += taken
	if r.Used*remapShare < n {
		return nil
	}
	return r.Table(n)
}

func (d *texts) id(text []byte) int32 {
	mask := uint64(len(d.slots) - 1)
	at := maphash.Bytes(d.seed, text) & mask
	for ; d.slots[at] != 0; at = (at + 1) & mask {
		if id := d.slots[at] - 1; bytes.Equal(d.value(id), text) {
			return id
		}
	}
	id := int32(d.len())
	d.bytes = append(d.bytes, text...)
	d.offsets = append(d.offsets, uint32(len(d.bytes)))
	d.slots[at] = id + 1
	if 2*d.len() > len(d.slots) {
		d.grow()
	}
	return id
}

func (d *texts) bound(id int32) {
	if id == 0 {
		d.least, d.greatest = 0, 0
		return
	}
	if bytes.Compare(d.value(id), d.value(d.least)) < 0 {
		d.least = id
	}
	if bytes.Compare(d.value(id), d.value(d.greatest)) > 0 {
		d.greatest = id
	}
}

func (d *texts) grow() {
	d.slots = make([]int32, 2*len(d.slots))
	mask := uint64(len(d.slots) - 1)
	for id := range d.len() {
		at := maphash.Bytes(d.seed, d.value(int32(id))) & mask
		for d.slots[at] != 0 {
			at = (at + 1) & mask
		}
		d.slots[at] = int32(id) + 1
	}
}
