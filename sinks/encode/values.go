package encode

import (
	"slices"
	"unsafe"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/plain"
	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace-io/millrace/engine/column"
)

// rows are places in a column: idx, or from up to but not including to when idx is nil.
type rows struct {
	idx      []int32
	from, to int
}

func (r rows) len() int {
	if r.idx != nil {
		return len(r.idx)
	}
	return r.to - r.from
}

// at is the i-th place.
func (r rows) at(i int) int {
	if r.idx != nil {
		return int(r.idx[i])
	}
	return r.from + i
}

// values are the values of an open page, without its nulls. Which slice is used follows from
// the physical type.
type values struct {
	physical format.Type
	n        int

	bits    []byte
	int32s  []int32
	int64s  []int64
	floats  []float32
	doubles []float64
	// offsets has n+1 entries into bytes for a ByteArray; a FixedLenByteArray has 16 bytes a value.
	offsets []uint32
	bytes   []byte
	// borrowed is set while bytes are those of a batch, because they fill the page.
	borrowed bool
}

// fixedLength is the length of every FixedLenByteArray column: UUIDs and large decimals.
const fixedLength = 16

// physicalOf is how Parquet stores a kind; nodeOf declares the same.
func physicalOf(t column.Type) format.Type {
	switch t.Kind {
	case column.Boolean:
		return format.Boolean
	case column.Int, column.Date:
		return format.Int32
	case column.BigInt, column.Time, column.Timestamp:
		return format.Int64
	case column.Float:
		return format.Float
	case column.Double:
		return format.Double
	case column.UUID:
		return format.FixedLenByteArray
	case column.Decimal:
		switch {
		case t.Precision <= 9:
			return format.Int32
		case t.Precision <= 18:
			return format.Int64
		}
		return format.FixedLenByteArray
	}
	return format.ByteArray
}

// add appends rows of a column that hold no null.
func (v *values) add(c *column.Column, r rows) {
	v.n += r.len()
	switch v.physical {
	case format.Boolean:
		v.addBools(c.Bools, r)
	case format.Int32:
		if c.Type.Kind == column.Decimal {
			for i := range r.len() {
				v.int32s = append(v.int32s, int32(c.Int64s[r.at(i)]))
			}
			return
		}
		v.int32s = gather(v.int32s, c.Int32s, r)
	case format.Int64:
		v.int64s = gather(v.int64s, c.Int64s, r)
	case format.Float:
		v.floats = gather(v.floats, c.Float32s, r)
	case format.Double:
		v.doubles = gather(v.doubles, c.Float64s, r)
	case format.FixedLenByteArray:
		if r.idx == nil {
			v.bytes = append(v.bytes, c.Fixed[r.from*fixedLength:r.to*fixedLength]...)
			return
		}
		for _, j := range r.idx {
			v.bytes = append(v.bytes, c.Fixed[int(j)*fixedLength:][:fixedLength]...)
		}
	default:
		v.addText(c, r)
	}
}

func gather[T any](dst, src []T, r rows) []T {
	if r.idx == nil {
		return append(dst, src[r.from:r.to]...)
	}
	n := len(dst)
	dst = slices.Grow(dst, len(r.idx))[:n+len(r.idx)]
	out := dst[n:]
	for i, j := range r.idx {
		out[i] = src[j]
	}
	return dst
}

// addBools is called after n was raised.
func (v *values) addBools(b column.Bitmap, r rows) {
	for i := v.n - r.len(); len(v.bits) < (v.n+7)/8; i++ {
		v.bits = append(v.bits, 0)
	}
	at := v.n - r.len()
	for i := range r.len() {
		if b.Get(r.at(i)) {
			v.bits[(at+i)>>3] |= 1 << ((at + i) & 7)
		}
	}
}

func (v *values) addText(c *column.Column, r rows) {
	if len(v.offsets) == 0 {
		v.offsets = append(v.offsets, 0)
	}
	if v.borrow(c, r) {
		return
	}
	if c.Dict == nil && r.idx == nil {
		// The offsets wrap around in between when c's are larger; the sums come out right.
		shift := uint32(len(v.bytes)) - uint32(c.Offsets[r.from])
		v.bytes = append(v.bytes, c.Bytes[c.Offsets[r.from]:c.Offsets[r.to]]...)
		for _, o := range c.Offsets[r.from+1 : r.to+1] {
			v.offsets = append(v.offsets, uint32(o)+shift)
		}
		return
	}
	for i := range r.len() {
		v.bytes = append(v.bytes, c.Text(r.at(i))...)
		v.offsets = append(v.offsets, uint32(len(v.bytes)))
	}
}

// borrow is addText for one text that fills an empty page by itself: the page is closed while the batch is at
// hand, so that it need not be copied.
func (v *values) borrow(c *column.Column, r rows) bool {
	if r.len() != 1 || c.Dict != nil || len(v.bytes) > 0 {
		return false
	}
	text := c.Text(r.at(0))
	if len(text) < pageBytes {
		return false
	}
	v.bytes, v.borrowed = text[:len(text):len(text)], true
	v.offsets = append(v.offsets, uint32(len(text)))
	return true
}

// text is value i of a ByteArray page.
func (v *values) text(i int) []byte { return v.bytes[v.offsets[i]:v.offsets[i+1]] }

// width is the length of every text of a ByteArray page, 0 when they differ.
func (v *values) width() int {
	if v.n == 0 || len(v.bytes)%v.n != 0 {
		return 0
	}
	width := len(v.bytes) / v.n
	for i, o := range v.offsets {
		if int(o) != i*width {
			return 0
		}
	}
	return width
}

// size is the bytes of the values in memory, which is about their size when encoded PLAIN.
func (v *values) size() int {
	return len(v.bits) + 4*len(v.int32s) + 8*len(v.int64s) + 4*len(v.floats) + 8*len(v.doubles) +
		4*len(v.offsets) + len(v.bytes)
}

func (v *values) memory() int {
	return cap(v.bits) + 4*cap(v.int32s) + 8*cap(v.int64s) + 4*cap(v.floats) + 8*cap(v.doubles) +
		4*cap(v.offsets) + cap(v.bytes)
}

// reset forgets the values and keeps their memory, but not that of very large ones.
func (v *values) reset() {
	if v.borrowed || cap(v.bytes) > keptBytes {
		v.bytes = nil
	}
	*v = values{
		physical: v.physical, bits: v.bits[:0], int32s: v.int32s[:0], int64s: v.int64s[:0],
		floats: v.floats[:0], doubles: v.doubles[:0], offsets: v.offsets[:0], bytes: v.bytes[:0],
	}
}

// encode appends nothing but replaces dst by the encoded values, and names the encoding.
// Integers are delta encoded: that is small for what rises or is small, and costs a bit a value
// at worst. Texts are never DELTA_LENGTH_BYTE_ARRAY, which Spark cannot read.
func (v *values) encode(dst []byte) ([]byte, format.Encoding, error) {
	dst = dst[:0]
	var err error
	switch v.physical {
	case format.Boolean:
		return append(dst, v.bits...), format.Plain, nil
	case format.Int32:
		dst, err = new(delta.BinaryPackedEncoding).EncodeInt32(dst, v.int32s)
		return dst, format.DeltaBinaryPacked, err
	case format.Int64:
		dst, err = new(delta.BinaryPackedEncoding).EncodeInt64(dst, v.int64s)
		return dst, format.DeltaBinaryPacked, err
	case format.Float:
		dst, err = new(plain.Encoding).EncodeFloat(dst, v.floats)
	case format.Double:
		dst, err = new(plain.Encoding).EncodeDouble(dst, v.doubles)
	case format.FixedLenByteArray:
		return append(dst, v.bytes...), format.Plain, nil
	default:
		return appendPlainText(dst, v.bytes, v.offsets), format.Plain, nil
	}
	return dst, format.Plain, err
}

// appendPlainText appends texts with their lengths in front, in 4 bytes little-endian.
func appendPlainText(dst, text []byte, offsets []uint32) []byte {
	if len(offsets) == 0 {
		return dst
	}
	dst = slices.Grow(dst, len(text)+4*(len(offsets)-1))
	from := offsets[0]
	for _, to := range offsets[1:] {
		n := to - from
		dst = append(dst, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
		dst = append(dst, text[from:to]...)
		from = to
	}
	return dst
}

// raw is the bytes of a number as this machine stores them.
func raw[T int32 | int64 | float32 | float64](v T) []byte {
	return slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v)))
}
