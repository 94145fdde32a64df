package encode

import (
	"bytes"
	"hash/maphash"
	"slices"
	"unsafe"
	"weak"

	"github.com/millrace-io/millrace/engine/column"
)

// texts is the dictionary of a column of texts.
type texts struct {
	seed    maphash.Seed
	slots   []int32 // id+1 by hash, 0 where free
	offsets []uint32
	bytes   []byte
	// least and greatest are the ids of the bounds.
	least, greatest int32
	remaps          []remap
	nextRemap       int
}

// remap says which id the values of a decoder's dictionary have here, -1 where not known yet. The
// decoder's dictionary is not kept alive by it.
type remap struct {
	from weak.Pointer[column.Dict]
	ids  []int32
	// seen is how many values were taken from there.
	seen int
}

// maxRemaps is how many decoders' dictionaries are followed at once: one a shard.
const maxRemaps = 8

// remapShare is how many values of a decoder's dictionary there may be for each value taken from it
// before ids are looked up in a table of them all. A table costs as much as the dictionary has
// values, and a file may take only some of them: one partition of many.
const remapShare = 4

func newTexts() *texts {
	return &texts{seed: maphash.MakeSeed(), slots: make([]int32, 8), offsets: []uint32{0}}
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
	return textBounds(d.value(d.least), d.value(d.greatest), kind)
}

func (d *texts) memory() int {
	n := int(unsafe.Sizeof(*d)) + 4*cap(d.slots) + 4*cap(d.offsets) + cap(d.bytes) +
		cap(d.remaps)*int(unsafe.Sizeof(remap{}))
	for _, r := range d.remaps {
		n += 4 * cap(r.ids)
	}
	return n
}

func (d *texts) reset() {
	clear(d.slots)
	d.offsets, d.bytes = d.offsets[:1], d.bytes[:0]
	for i := range d.remaps {
		d.remaps[i].ids, d.remaps[i].seen = d.remaps[i].ids[:0], 0
	}
}

func unknown(ids []int32) {
	for i := range ids {
		ids[i] = -1
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
		id := known[from]
		if id < 0 {
			id = d.id(c.Dict.Bytes[c.Dict.Offsets[from]:c.Dict.Offsets[from+1]])
			known[from] = id
		}
		dst[n+i] = id
	}
	return dst
}

// remap is the table for a decoder's dictionary of n values, from which so many are taken now; nil
// while they are too few.
func (d *texts) remap(from *column.Dict, n, taken int) []int32 {
	r := d.remapOf(weak.Make(from))
	r.seen += taken
	if r.seen*remapShare < n {
		return nil
	}
	if have := len(r.ids); have < n {
		r.ids = slices.Grow(r.ids, n-have)[:n]
		unknown(r.ids[have:])
	}
	return r.ids
}

func (d *texts) remapOf(from weak.Pointer[column.Dict]) *remap {
	for i := range d.remaps {
		if d.remaps[i].from == from {
			return &d.remaps[i]
		}
	}
	if len(d.remaps) < maxRemaps {
		d.remaps = append(d.remaps, remap{from: from})
		return &d.remaps[len(d.remaps)-1]
	}
	r := &d.remaps[d.nextRemap%maxRemaps]
	d.nextRemap++
	*r = remap{from: from, ids: r.ids[:0]}
	return r
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
	d.bound(id)
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
