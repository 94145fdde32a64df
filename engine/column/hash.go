package column

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// RowHash is the sum of the hashes of rows, modulo 2^128. It depends neither on the order of the
// rows nor on how they were split into batches or encoded, and it is the same in every process,
// so it may be stored. The zero RowHash is that of no rows.
type RowHash struct{ Hi, Lo uint64 }

// Add adds the rows that o stands for.
func (h *RowHash) Add(o RowHash) {
	var carry uint64
	h.Lo, carry = bits.Add64(h.Lo, o.Lo, 0)
	h.Hi, _ = bits.Add64(h.Hi, o.Hi, carry)
}

// String is 32 hexadecimal digits.
func (h RowHash) String() string { return fmt.Sprintf("%016x%016x", h.Hi, h.Lo) }

// Changing anything below changes hashes that plans and objects hold: it needs a new writer version.
const (
	hashStart = 0x9e3779b97f4a7c15
	hashNull  = 0xd6e8feb86659fd93
	hashEnd   = 0xff51afd7ed558ccd
)

// hashKeys tell equal bits of different kinds apart.
var hashKeys = [...]uint64{
	Boolean: 0xa0761d6478bd642f, Int: 0xe7037ed1a0b428db, BigInt: 0x8ebc6af09c88c6e3, Float: 0x589965cc75374cc3,
	Double: 0x1d8e4e27c47d124f, Decimal: 0xeb44accab455d165, String: 0x9c6e6877736c46e3, Binary: 0xc2b2ae3d27d4eb4f,
	Date: 0x165667b19e3779f9, Time: 0x85ebca77c2b2ae63, Timestamp: 0x27d4eb2f165667c5, UUID: 0xbf58476d1ce4e5b9,
	JSON: 0x94d049bb133111eb, List: 0xc4ceb9fe1a85ec53, Struct: 0x87c37b91114253d5,
}

func mix(h, v, key uint64) uint64 {
	hi, lo := bits.Mul64(h^v, key)
	return hi ^ lo ^ h<<1
}

func hashText(s []byte) uint64 { return xxh3.Hash(s) }

// HashRows is the hash of the selected rows of b over all its columns.
func HashRows(b *Batch) RowHash {
	var sum RowHash
	var h [256]uint64
	n := b.Selected()
	for from := 0; from < n; from += len(h) {
		part := rows{from: from, hashes: h[:min(len(h), n-from)]}
		if b.Selection != nil {
			part.selection = b.Selection[from : from+len(part.hashes)]
		}
		for k := range part.hashes {
			part.hashes[k] = hashStart
		}
		for _, c := range b.Columns {
			if c != nil {
				part.column(c)
			}
		}
		for _, v := range part.hashes {
			hi, lo := bits.Mul64(v^hashEnd, hashStart|1)
			sum.Add(RowHash{Hi: hi ^ v, Lo: lo ^ bits.RotateLeft64(v, 32)})
		}
	}
	return sum
}

// rows are the hashes, so far, of some rows of a batch.
type rows struct {
	from      int
	selection []int32
	hashes    []uint64
}

func (r *rows) row(k int) int {
	if r.selection != nil {
		return int(r.selection[k])
	}
	return r.from + k
}

// column takes the values of c into the hashes. What is common and has no nulls is done here; it
// must be what value does.
func (r *rows) column(c *Column) {
	key := hashKeys[c.Type.Kind]
	switch {
	case c.Valid != nil:
	case c.Dict != nil && c.Dict.hashes != nil:
		for k, h := range r.hashes {
			r.hashes[k] = mix(h, c.Dict.hashes[c.IDs[r.row(k)]], key)
		}
		return
	case c.Int64s != nil:
		for k, h := range r.hashes {
			r.hashes[k] = mix(h, uint64(c.Int64s[r.row(k)]), key)
		}
		return
	case c.Float64s != nil:
		for k, h := range r.hashes {
			r.hashes[k] = mix(h, floatBits(c.Float64s[r.row(k)]), key)
		}
		return
	case c.Type.Kind == Struct:
		for k, h := range r.hashes {
			r.hashes[k] = mix(h, uint64(len(c.Children)), key)
		}
		for _, child := range c.Children {
			r.column(child)
		}
		return
	}
	for k, h := range r.hashes {
		r.hashes[k] = hashValue(h, c, r.row(k))
	}
}

// floatBits are the bits of v; all NaNs have the same.
func floatBits(v float64) uint64 {
	if v != v {
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(v)
}

// hashValue takes row i of c into h.
func hashValue(h uint64, c *Column, i int) uint64 {
	key := hashKeys[c.Type.Kind]
	if c.IsNull(i) {
		return mix(h, key, hashNull)
	}
	switch c.Type.Kind {
	case Boolean:
		if c.Bools.Get(i) {
			return mix(h, 1, key)
		}
		return mix(h, 0, key)
	case Int, Date:
		return mix(h, uint64(int64(c.Int32s[i])), key)
	case Float:
		return mix(h, floatBits(float64(c.Float32s[i])), key)
	case Double:
		return mix(h, floatBits(c.Float64s[i]), key)
	case String, Binary, JSON:
		if c.Dict != nil && c.Dict.hashes != nil {
			return mix(h, c.Dict.hashes[c.IDs[i]], key)
		}
		return mix(h, hashText(c.Text(i)), key)
	case List:
		from, to := c.Offsets[i], c.Offsets[i+1]
		h = mix(h, uint64(to-from), key)
		for j := from; j < to; j++ {
			h = hashValue(h, c.Children[0], int(j))
		}
		return h
	case Struct:
		h = mix(h, uint64(len(c.Children)), key)
		for _, child := range c.Children {
			h = hashValue(h, child, i)
		}
		return h
	}
	if c.Fixed != nil {
		v := c.Fixed[16*i:]
		return mix(mix(h, binary.BigEndian.Uint64(v), key), binary.BigEndian.Uint64(v[8:]), key)
	}
	return mix(h, uint64(c.Int64s[i]), key)
}
