// Package build makes columns row by row.
//
// The invariant to remember: a Column copies what it is given and shares nothing with it.
package build

import (
	"slices"

	"github.com/millrace-io/millrace/engine/column"
)

// Column is a column under construction. Texts are written plain, never as a dictionary.
type Column struct {
	col      column.Column
	children []*Column
}

// New is an empty column.
func New(t column.Type) *Column {
	b := &Column{col: column.Column{Type: t}}
	switch t.Kind {
	case column.List:
		b.children = []*Column{New(*t.Elem)}
	case column.Struct:
		for _, f := range t.Fields {
			b.children = append(b.children, New(f.Type))
		}
	}
	if b.varied() {
		b.col.Offsets = []int32{0}
	}
	return b
}

func (b *Column) varied() bool {
	switch b.col.Type.Kind {
	case column.String, column.Binary, column.JSON, column.List:
		return true
	}
	return false
}

func (b *Column) fixed() bool {
	return b.col.Type.Kind == column.UUID || b.col.Type.Kind == column.Decimal && b.col.Type.Wide()
}

// Len is the number of rows so far.
func (b *Column) Len() int { return b.col.Len }

// Bytes is the memory that the values take, roughly.
func (b *Column) Bytes() int64 {
	c := &b.col
	n := int64(cap(c.Bools)+cap(c.Valid)+cap(c.Bytes)+cap(c.Fixed)) + 4*int64(cap(c.Int32s)+cap(c.Float32s)+cap(c.Offsets)) +
		8*int64(cap(c.Int64s)+cap(c.Float64s))
	for _, child := range b.children {
		n += child.Bytes()
	}
	return n
}

// next counts a row that has a value.
func (b *Column) next() {
	if b.col.Valid != nil {
		b.col.Valid = setBit(b.col.Valid, b.col.Len, true)
	}
	b.col.Len++
}

func setBit(m column.Bitmap, i int, v bool) column.Bitmap {
	for len(m) <= i>>3 {
		m = append(m, 0)
	}
	if v {
		m[i>>3] |= 1 << (i & 7)
	}
	return m
}

// Null appends a null.
func (b *Column) Null() {
	c := &b.col
	if c.Valid == nil {
		c.Valid = make(column.Bitmap, (c.Len+7)/8, c.Len/8+16)
		for i := range c.Len {
			c.Valid[i>>3] |= 1 << (i & 7)
		}
	}
	c.Valid = setBit(c.Valid, c.Len, false)
	c.Nulls++
	switch {
	case b.varied():
		c.Offsets = append(c.Offsets, c.Offsets[c.Len])
	case b.fixed():
		c.Fixed = append(c.Fixed, make([]byte, 16)...)
	default:
		b.zero()
	}
	c.Len++
}

func (b *Column) zero() {
	c := &b.col
	switch c.Type.Kind {
	case column.Boolean:
		c.Bools = setBit(c.Bools, c.Len, false)
	case column.Int, column.Date:
		c.Int32s = append(c.Int32s, 0)
	case column.Float:
		c.Float32s = append(c.Float32s, 0)
	case column.Double:
		c.Float64s = append(c.Float64s, 0)
	case column.Struct:
		for _, child := range b.children {
			child.Null()
		}
	default:
		c.Int64s = append(c.Int64s, 0)
	}
}

// Int appends to a column of whole numbers, booleans or times.
func (b *Column) Int(v int64) {
	switch b.col.Type.Kind {
	case column.Boolean:
		b.col.Bools = setBit(b.col.Bools, b.col.Len, v != 0)
	case column.Int, column.Date:
		b.col.Int32s = append(b.col.Int32s, int32(v))
	default:
		b.col.Int64s = append(b.col.Int64s, v)
	}
	b.next()
}

// Float appends to a Float or Double.
func (b *Column) Float(v float64) {
	if b.col.Type.Kind == column.Float {
		b.col.Float32s = append(b.col.Float32s, float32(v))
	} else {
		b.col.Float64s = append(b.col.Float64s, v)
	}
	b.next()
}

// Text appends to a String, Binary or JSON, or 16 bytes to a UUID or wide Decimal.
func (b *Column) Text(v []byte) {
	if b.fixed() {
		b.col.Fixed = append(b.col.Fixed, v...)
	} else {
		b.col.Bytes = append(b.col.Bytes, v...)
		b.col.Offsets = append(b.col.Offsets, int32(len(b.col.Bytes)))
	}
	b.next()
}

// Elem is the column of the elements of a List. EndList makes those appended since one row.
func (b *Column) Elem() *Column { return b.children[0] }

// EndList appends a list of the elements that Elem got since the last row.
func (b *Column) EndList() {
	b.col.Offsets = append(b.col.Offsets, int32(b.children[0].Len()))
	b.next()
}

// Field is the column of field i of a Struct. EndStruct makes a row of what each of them got since
// the last one.
func (b *Column) Field(i int) *Column { return b.children[i] }

// EndStruct appends a struct of the values that its fields got since the last row.
func (b *Column) EndStruct() { b.next() }

// Rows appends rows of a column of the same type.
func (b *Column) Rows(c *column.Column, rows []int32) {
	if c.Valid == nil && b.col.Valid == nil && b.values(c, rows) {
		b.col.Len += len(rows)
		return
	}
	for _, r := range rows {
		b.row(c, int(r))
	}
}

// values appends rows of which none is null to a column that has none, if its type is among the frequent
// ones, and leaves the length alone.
func (b *Column) values(c *column.Column, rows []int32) bool {
	to := &b.col
	switch {
	case c.Int64s != nil:
		to.Int64s = gather(to.Int64s, c.Int64s, rows)
	case c.Int32s != nil && c.Dict == nil:
		to.Int32s = gather(to.Int32s, c.Int32s, rows)
	case c.Float64s != nil:
		to.Float64s = gather(to.Float64s, c.Float64s, rows)
	case c.Type.Kind == column.String:
		to.Offsets = slices.Grow(to.Offsets, len(rows))
		for _, r := range rows {
			to.Bytes = append(to.Bytes, c.Text(int(r))...)
			to.Offsets = append(to.Offsets, int32(len(to.Bytes)))
		}
	default:
		return false
	}
	return true
}

func gather[T any](to, from []T, rows []int32) []T {
	n := len(to)
	to = slices.Grow(to, len(rows))[:n+len(rows)]
	for i, r := range rows {
		to[n+i] = from[r]
	}
	return to
}

func (b *Column) row(c *column.Column, i int) {
	if c.IsNull(i) {
		b.Null()
		return
	}
	switch c.Type.Kind {
	case column.Boolean:
		v := int64(0)
		if c.Bools.Get(i) {
			v = 1
		}
		b.Int(v)
	case column.Int, column.Date:
		b.Int(int64(c.Int32s[i]))
	case column.Float:
		b.Float(float64(c.Float32s[i]))
	case column.Double:
		b.Float(c.Float64s[i])
	case column.String, column.Binary, column.JSON:
		b.Text(c.Text(i))
	case column.List:
		for k := c.Offsets[i]; k < c.Offsets[i+1]; k++ {
			b.children[0].row(c.Children[0], int(k))
		}
		b.col.Offsets = append(b.col.Offsets, int32(b.children[0].Len()))
		b.next()
	case column.Struct:
		for k, child := range b.children {
			child.row(c.Children[k], i)
		}
		b.next()
	default:
		if b.fixed() {
			b.Text(c.Fixed[16*i : 16*i+16])
		} else {
			b.Int(c.Int64s[i])
		}
	}
}

// Finish returns the column. The builder must not be used again.
func (b *Column) Finish() *column.Column {
	for _, child := range b.children {
		b.col.Children = append(b.col.Children, child.Finish())
	}
	return &b.col
}

// Batch is finished columns as a batch of all their rows.
func Batch(schema *column.Schema, columns []*Column) *column.Batch {
	out := &column.Batch{Schema: schema}
	for _, c := range columns {
		out.Rows = c.Len()
		out.Columns = append(out.Columns, c.Finish())
	}
	return out
}
