package encode

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"

	"github.com/millrace-io/millrace/engine/column"
)

// numbers is the dictionary of a column of floating-point numbers. Those that people write, prices
// and coordinates, have few digits and so come from a small set, which neither delta encoding nor a
// codec makes use of as well. Numbers are told apart by their bits: both zeros and every NaN stay what they are.
type numbers struct {
	double bool
	slots  []int32 // id+1 by hash, 0 where free
	values []uint64
	// least and greatest are of what is no NaN; found is whether anything is.
	least, greatest float64
	found           bool
}

func newNumbers(k column.Kind) *numbers {
	return &numbers{double: k == column.Double, slots: make([]int32, 64)}
}

func (d *numbers) len() int { return len(d.values) }

func (d *numbers) width() int {
	if d.double {
		return 8
	}
	return 4
}

func (d *numbers) size() int { return d.width() * len(d.values) }

func (d *numbers) memory() int {
	return int(unsafe.Sizeof(*d)) + 4*cap(d.slots) + 8*cap(d.values)
}

func (d *numbers) reset() {
	clear(d.slots)
	d.values, d.found = d.values[:0], false
}

func (d *numbers) appendIDs(dst []int32, c *column.Column, r rows) []int32 {
	from := len(dst)
	dst = slices.Grow(dst, r.len())[:from+r.len()]
	out := dst[from:]
	if !d.double {
		for i := range out {
			out[i] = d.id(uint64(math.Float32bits(c.Float32s[r.at(i)])))
		}
		return dst
	}
	if r.idx == nil {
		for i, v := range c.Float64s[r.from:r.to] {
			out[i] = d.id(math.Float64bits(v))
		}
		return dst
	}
	for i, j := range r.idx {
		out[i] = d.id(math.Float64bits(c.Float64s[j]))
	}
	return dst
}

// slot is where a number is looked for first. Bits of decimal fractions differ everywhere but at
// the top, which a multiplication carries to.
func (d *numbers) slot(v uint64) uint64 {
	return (v ^ v>>32) * 0x9e3779b97f4a7c15 >> 20 & uint64(len(d.slots)-1)
}

func (d *numbers) id(v uint64) int32 {
	mask := uint64(len(d.slots) - 1)
	at := d.slot(v)
	for ; d.slots[at] != 0; at = (at + 1) & mask {
		if id := d.slots[at] - 1; d.values[id] == v {
			return id
		}
	}
	d.values = append(d.values, v)
	d.slots[at] = int32(len(d.values))
	d.bound(d.float(v))
	if 2*len(d.values) > len(d.slots) {
		d.grow()
	}
	return int32(len(d.values) - 1)
}

func (d *numbers) grow() {
	d.slots = make([]int32, 4*len(d.slots))
	mask := uint64(len(d.slots) - 1)
	for i, v := range d.values {
		at := d.slot(v)
		for d.slots[at] != 0 {
			at = (at + 1) & mask
		}
		d.slots[at] = int32(i) + 1
	}
}

func (d *numbers) float(v uint64) float64 {
	if d.double {
		return math.Float64frombits(v)
	}
	return float64(math.Float32frombits(uint32(v)))
}

func (d *numbers) bound(v float64) {
	switch {
	case v != v:
	case !d.found:
		d.least, d.greatest, d.found = v, v, true
	case v < d.least:
		d.least = v
	case v > d.greatest:
		d.greatest = v
	}
}

func (d *numbers) bounds(column.Kind) bounds {
	switch {
	case !d.found:
		return bounds{}
	case d.double:
		return floatBounds([]float64{d.least, d.greatest})
	}
	return floatBounds([]float32{float32(d.least), float32(d.greatest)})
}

func (d *numbers) expand(v *values, ids []int32) {
	v.n += len(ids)
	if d.double {
		v.doubles = slices.Grow(v.doubles, len(ids))
	} else {
		v.floats = slices.Grow(v.floats, len(ids))
	}
	for _, id := range ids {
		if d.double {
			v.doubles = append(v.doubles, math.Float64frombits(d.values[id]))
		} else {
			v.floats = append(v.floats, math.Float32frombits(uint32(d.values[id])))
		}
	}
}

func (d *numbers) appendPlain(dst []byte) []byte {
	for _, v := range d.values {
		if d.double {
			dst = binary.LittleEndian.AppendUint64(dst, v)
		} else {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
		}
	}
	return dst
}
