package objects

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/millrace-io/millrace/engine/column"
)

// errTorn is what spooled rows that were cut or changed on disk are.
var errTorn = errors.New("the spooled rows are damaged")

// appendValue appends row i of c: 0 for null, otherwise 1 and the value. The type is known to the
// reader.
func appendValue(dst []byte, c *column.Column, i int) []byte {
	if c.IsNull(i) {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	switch c.Type.Kind {
	case column.Boolean:
		if c.Bools.Get(i) {
			return append(dst, 1)
		}
		return append(dst, 0)
	case column.Float:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(c.Float32s[i]))
	case column.Double:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(c.Float64s[i]))
	case column.String, column.Binary, column.JSON:
		text := c.Text(i)
		return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
	case column.List:
		from, to := int(c.Offsets[i]), int(c.Offsets[i+1])
		dst = binary.AppendUvarint(dst, uint64(to-from))
		for j := from; j < to; j++ {
			dst = appendValue(dst, c.Children[0], j)
		}
		return dst
	case column.Struct:
		for _, child := range c.Children {
			dst = appendValue(dst, child, i)
		}
		return dst
	}
	switch {
	case c.Int32s != nil:
		return binary.LittleEndian.AppendUint32(dst, uint32(c.Int32s[i]))
	case c.Int64s != nil:
		return binary.LittleEndian.AppendUint64(dst, uint64(c.Int64s[i]))
	}
	return append(dst, c.Fixed[16*i:16*i+16]...)
}

// readValue appends the value that src begins with to b and returns what follows.
func readValue(b *column.Builder, t *column.Type, src []byte) ([]byte, error) {
	if len(src) == 0 {
		return nil, errTorn
	}
	null := src[0] == 0
	src = src[1:]
	if null {
		b.AppendNull()
		return src, nil
	}
	switch t.Kind {
	case column.String, column.Binary, column.JSON:
		n, used := binary.Uvarint(src)
		if used <= 0 || n > uint64(len(src)-used) {
			return nil, errTorn
		}
		b.AppendText(src[used : used+int(n)])
		return src[used+int(n):], nil
	case column.List:
		return readList(b, t, src)
	case column.Struct:
		for i := range t.Fields {
			var err error
			if src, err = readValue(b.Child(i), &t.Fields[i].Type, src); err != nil {
				return nil, err
			}
		}
		b.EndStruct()
		return src, nil
	}
	size := fixedSize(t)
	if len(src) < size {
		return nil, errTorn
	}
	appendFixed(b, t, src)
	return src[size:], nil
}

func readList(b *column.Builder, t *column.Type, src []byte) ([]byte, error) {
	n, used := binary.Uvarint(src)
	if used <= 0 || n > uint64(len(src)-used) {
		return nil, errTorn
	}
	src = src[used:]
	child := b.Child(0)
	for range n {
		var err error
		if src, err = readValue(child, t.Elem, src); err != nil {
			return nil, err
		}
	}
	b.EndList()
	return src, nil
}

// fixedSize is how many bytes each value of a type takes.
func fixedSize(t *column.Type) int {
	switch t.Kind {
	case column.Boolean:
		return 1
	case column.Int, column.Date, column.Float:
		return 4
	case column.UUID:
		return 16
	case column.Decimal:
		if t.Wide() {
			return 16
		}
	}
	return 8
}

// appendFixed appends a value of fixedSize bytes.
func appendFixed(b *column.Builder, t *column.Type, src []byte) {
	switch t.Kind {
	case column.Boolean:
		b.AppendBool(src[0] != 0)
	case column.Int, column.Date:
		b.AppendInt32(int32(binary.LittleEndian.Uint32(src)))
	case column.Float:
		b.AppendFloat32(math.Float32frombits(binary.LittleEndian.Uint32(src)))
	case column.Double:
		b.AppendFloat64(math.Float64frombits(binary.LittleEndian.Uint64(src)))
	case column.UUID:
		b.AppendFixed([16]byte(src))
	case column.Decimal:
		if t.Wide() {
			b.AppendFixed([16]byte(src))
			return
		}
		b.AppendInt64(int64(binary.LittleEndian.Uint64(src)))
	default:
		b.AppendInt64(int64(binary.LittleEndian.Uint64(src)))
	}
}
