package agg

import (
	"encoding/binary"
	"math"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// AppendCell appends row i of a column to a snapshot: 0 for null, or 1 and the value.
func AppendCell(dst []byte, c *column.Column, i int) []byte {
	if c.IsNull(i) {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	switch c.Type.Kind {
	case column.Boolean:
		return append(dst, flag(c.Bools.Get(i)))
	case column.Int, column.Date:
		return binary.AppendVarint(dst, int64(c.Int32s[i]))
	case column.Float:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(float64(c.Float32s[i])))
	case column.Double:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(c.Float64s[i]))
	case column.List:
		dst = binary.AppendUvarint(dst, uint64(c.Offsets[i+1]-c.Offsets[i]))
		for k := c.Offsets[i]; k < c.Offsets[i+1]; k++ {
			dst = AppendCell(dst, c.Children[0], int(k))
		}
		return dst
	case column.Struct:
		for _, child := range c.Children {
			dst = AppendCell(dst, child, i)
		}
		return dst
	case column.String, column.Binary, column.JSON:
		v := c.Text(i)
		return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
	}
	if c.Fixed != nil {
		return append(dst, c.Fixed[16*i:16*i+16]...)
	}
	return binary.AppendVarint(dst, c.Int64s[i])
}

// ReadCell reads a cell that AppendCell wrote into a column of type t. After a mistake it adds nulls.
func ReadCell(r *Reader, t column.Type, out *build.Column) {
	if mark := r.Bytes(1, "cell"); r.Err() != nil || mark[0] != 1 {
		out.Null()
		return
	}
	switch t.Kind {
	case column.Boolean:
		b := r.Bytes(1, "cell")
		out.Int(int64(flag(len(b) == 1 && b[0] == 1)))
	case column.Float, column.Double:
		v := 0.0
		if b := r.Bytes(8, "cell"); b != nil {
			v = math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
		out.Float(v)
	case column.List:
		for range r.Count("list") {
			ReadCell(r, *t.Elem, out.Elem())
		}
		out.EndList()
	case column.Struct:
		for i, f := range t.Fields {
			ReadCell(r, f.Type, out.Field(i))
		}
		out.EndStruct()
	case column.String, column.Binary, column.JSON:
		out.Text(r.Bytes(r.Count("cell"), "cell"))
	case column.UUID:
		readFixed(r, out)
	case column.Decimal:
		if t.Wide() {
			readFixed(r, out)
			return
		}
		out.Int(r.Varint("cell"))
	default:
		out.Int(r.Varint("cell"))
	}
}

func readFixed(r *Reader, out *build.Column) {
	b := r.Bytes(16, "cell")
	if b == nil {
		out.Null()
		return
	}
	out.Text(b)
}

// isCell reports whether b is a value of a list or struct as AppendCell writes it.
func isCell(b []byte, t column.Type) bool {
	r := NewReader(b)
	skipCell(r, t)
	return r.Err() == nil && r.Rest() == 0 && b[0] == 1
}

// skipCell passes over a cell that ReadCell would read, and makes the same mistakes.
func skipCell(r *Reader, t column.Type) {
	if mark := r.Bytes(1, "cell"); r.Err() != nil || mark[0] != 1 {
		return
	}
	switch t.Kind {
	case column.Boolean:
		r.Bytes(1, "cell")
	case column.Float, column.Double:
		r.Bytes(8, "cell")
	case column.List:
		for range r.Count("list") {
			skipCell(r, *t.Elem)
		}
	case column.Struct:
		for _, f := range t.Fields {
			skipCell(r, f.Type)
		}
	case column.String, column.Binary, column.JSON:
		r.Bytes(r.Count("cell"), "cell")
	case column.UUID:
		r.Bytes(16, "cell")
	case column.Decimal:
		if t.Wide() {
			r.Bytes(16, "cell")
			return
		}
		r.Varint("cell")
	default:
		r.Varint("cell")
	}
}
