package sql

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// picker makes a column of rows of another one. It holds memory that is used again.
type picker struct {
	col     column.Column
	valid   column.Bitmap
	offsets []int32
	bytes   []byte
	i32     []int32
	i64     []int64
	f32     []float32
	f64     []float64
	fixed   []byte
	bools   column.Bitmap
}

// pickers has one for each column.
type pickers []picker

// pick is a column of n rows of which row r, for those in rows, is row at[r] of c; a null where that is
// negative. Other rows are unspecified. rows ascend. It is valid until the next call.
func (p *picker) pick(c *column.Column, at, rows []int32, n int) *column.Column {
	p.col = column.Column{Type: c.Type, Len: n}
	p.nulls(c, at, rows, n)
	if c.Dict != nil {
		p.i32 = take(p.i32, c.IDs, at, rows, n)
		p.col.IDs, p.col.Dict, p.col.DictLen = p.i32, c.Dict, c.DictLen
		return &p.col
	}
	switch c.Type.Kind {
	case column.List, column.Struct:
		return p.nested(c, at, rows, n)
	case column.Boolean:
		p.flags(c, at, rows, n)
	case column.Int, column.Date:
		p.i32 = take(p.i32, c.Int32s, at, rows, n)
		p.col.Int32s = p.i32
	case column.Float:
		p.f32 = take(p.f32, c.Float32s, at, rows, n)
		p.col.Float32s = p.f32
	case column.Double:
		p.f64 = take(p.f64, c.Float64s, at, rows, n)
		p.col.Float64s = p.f64
	case column.String, column.Binary, column.JSON:
		p.texts(c, at, rows, n)
	default:
		if c.Type.Kind == column.UUID || c.Type.Kind == column.Decimal && c.Type.Wide() {
			p.sixteens(c, at, rows, n)
		} else {
			p.i64 = take(p.i64, c.Int64s, at, rows, n)
			p.col.Int64s = p.i64
		}
	}
	return &p.col
}

// sized is room for n values in the memory of s.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/8)
	}
	return s[:n]
}

func take[T any](dst, values []T, at, rows []int32, n int) []T {
	dst = sized(dst, n)
	if len(rows) < n {
		clear(dst) // ids of rows that nobody reads must be ones all the same
	}
	var zero T
	for _, r := range rows {
		if i := at[r]; i >= 0 {
			dst[r] = values[i]
		} else {
			dst[r] = zero
		}
	}
	return dst
}

// nulls sets the validity if a row is null.
func (p *picker) nulls(c *column.Column, at, rows []int32, n int) {
	p.valid = sized(p.valid, (n+7)/8)
	for i := range p.valid {
		p.valid[i] = 0xff
	}
	nulls := 0
	for _, r := range rows {
		if i := at[r]; i < 0 || c.Valid != nil && !c.Valid.Get(int(i)) {
			p.valid[r>>3] &^= 1 << (r & 7)
			nulls++
		}
	}
	if nulls > 0 {
		p.col.Valid, p.col.Nulls = p.valid, nulls
	}
}

func (p *picker) flags(c *column.Column, at, rows []int32, n int) {
	p.bools = sized(p.bools, (n+7)/8)
	clear(p.bools)
	for _, r := range rows {
		if i := at[r]; i >= 0 && c.Bools.Get(int(i)) {
			p.bools.Set(int(r))
		}
	}
	p.col.Bools = p.bools
}

func (p *picker) sixteens(c *column.Column, at, rows []int32, n int) {
	p.fixed = sized(p.fixed, 16*n)
	clear(p.fixed)
	for _, r := range rows {
		if i := at[r]; i >= 0 {
			copy(p.fixed[16*r:16*r+16], c.Fixed[16*i:])
		}
	}
	p.col.Fixed = p.fixed
}

func (p *picker) texts(c *column.Column, at, rows []int32, n int) {
	p.offsets, p.bytes = sized(p.offsets, n+1), p.bytes[:0]
	next := int32(0)
	for _, r := range rows {
		for ; next <= r; next++ {
			p.offsets[next] = int32(len(p.bytes))
		}
		if i := at[r]; i >= 0 && !c.IsNull(int(i)) {
			p.bytes = append(p.bytes, c.Text(int(i))...)
		}
	}
	for ; int(next) <= n; next++ {
		p.offsets[next] = int32(len(p.bytes))
	}
	p.col.Offsets, p.col.Bytes = p.offsets, p.bytes
}

// nested copies lists and structs.
func (p *picker) nested(c *column.Column, at, rows []int32, n int) *column.Column {
	b := build.New(c.Type)
	k := 0
	for r := range int32(n) {
		if k == len(rows) || rows[k] != r {
			b.Null()
			continue
		}
		k++
		if at[r] < 0 {
			b.Null()
		} else {
			b.Rows(c, at[r:r+1])
		}
	}
	return b.Finish()
}
