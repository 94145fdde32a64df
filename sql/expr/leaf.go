package expr

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/decimal"
)

var (
	boolean   = column.Type{Kind: column.Boolean}
	integer   = column.Type{Kind: column.Int}
	bigint    = column.Type{Kind: column.BigInt}
	double    = column.Type{Kind: column.Double}
	text      = column.Type{Kind: column.String}
	date      = column.Type{Kind: column.Date}
	timestamp = column.Type{Kind: column.Timestamp}
	clock     = column.Type{Kind: column.Time}
	binary    = column.Type{Kind: column.Binary}
	uuid      = column.Type{Kind: column.UUID}
	jsonText  = column.Type{Kind: column.JSON}
)

// reference is a column of the batch, or a field within a struct column.
type reference struct {
	t column.Type
	// column is the name of the column at index, name that of the field itself.
	column, name string
	index        int
	// path are the places of nested fields.
	path []int
}

func (r *reference) typ() column.Type { return r.t }

func (r *reference) eval(x *exec) *column.Column {
	var c *column.Column
	if r.index < len(x.batch.Columns) {
		c = x.batch.Columns[r.index]
	}
	if c == nil {
		x.fail("column %q is not in the batch", r.column)
		return &x.temp(r.t).col
	}
	var parents []*column.Column
	for _, i := range r.path {
		parents = append(parents, c)
		c = c.Children[i]
	}
	for _, p := range parents {
		if p.Valid != nil {
			return r.masked(x, c, parents)
		}
	}
	return c
}

// masked is c without the rows whose struct is null.
func (r *reference) masked(x *exec, c *column.Column, parents []*column.Column) *column.Column {
	t := x.temp(r.t)
	t.col = *c
	t.col.Valid = nil
	t.nullsOf(c)
	t.nullsOf(parents...)
	return &t.col
}

// constant is a literal, or what a computation of literals came to.
type constant struct {
	// t is invalid for a NULL that has no type yet.
	t    column.Type
	null bool
	b    bool
	i    int64
	f    float64
	s    []byte
	// d is a decimal, in its scale; i has it too if it is narrow.
	d decimal.Int128
	// exact is the literal as written, for one with a point.
	exact string
}

func (c *constant) typ() column.Type { return c.t }

func untyped(n node) bool { return n.typ().Kind == column.Invalid }

func isConstant(n node) bool {
	_, ok := n.(*constant)
	return ok
}

func (c *constant) eval(x *exec) *column.Column {
	t := x.temp(c.t)
	switch c.t.Kind {
	case column.Boolean:
		b := t.bits()
		if c.b {
			for i := range b {
				b[i] = 0xff
			}
		}
	case column.Int, column.Date:
		fill(t.int32s(), int32(c.i))
	case column.BigInt, column.Timestamp, column.Time, interval.Kind:
		fill(t.int64s(), c.i)
	case column.Decimal:
		w := t.wides()
		for _, i := range x.sel {
			w.set(i, c.d, true)
		}
	case column.UUID:
		b := t.sixteens()
		for i := 0; i < len(b) && !c.null; i += 16 {
			copy(b[i:], c.s)
		}
	case column.Binary, column.JSON:
		w := t.writer()
		for _, i := range x.sel {
			w.row(i)
			w.buf = append(w.buf, c.s...)
		}
		w.finish()
	case column.List, column.Struct:
		return nothing(x, t)
	case column.Float:
		fill(t.float32s(), float32(c.f))
	case column.Double:
		fill(t.float64s(), c.f)
	case column.String:
		for len(x.zeros) < x.n {
			x.zeros = append(x.zeros, 0)
		}
		// A dictionary of one value: no text is copied.
		t.col.IDs, t.col.DictLen = x.zeros[:x.n], 1
		t.col.Dict = &column.Dict{Offsets: []int32{0, int32(len(c.s))}, Bytes: c.s}
	}
	if c.null {
		clear(t.nullable())
	}
	return &t.col
}

// nothing is a column of a list or struct in which every row is NULL.
func nothing(x *exec, t *temp) *column.Column {
	b := build.New(t.col.Type)
	for range x.n {
		b.Null()
	}
	t.col = *b.Finish()
	return &t.col
}

func fill[T any](s []T, v T) {
	for i := range s {
		s[i] = v
	}
}

// fold computes n now when all it reads are constants.
func fold(n node, operands ...node) node {
	for _, o := range operands {
		if !isConstant(o) {
			return n
		}
	}
	x := &exec{}
	x.begin(&column.Batch{Schema: &column.Schema{}, Rows: 1})
	c := n.eval(x)
	if x.err != nil {
		return n
	}
	out := &constant{t: n.typ(), null: c.IsNull(0)}
	if out.null {
		return out
	}
	switch out.t.Kind {
	case column.Boolean:
		out.b = c.Bools.Get(0)
	case column.Int, column.Date:
		out.i = int64(c.Int32s[0])
	case column.BigInt, column.Timestamp, column.Time, interval.Kind:
		out.i = c.Int64s[0]
	case column.Decimal:
		out.d = wideAt(c, 0)
		out.i = int64(out.d.Lo)
	case column.UUID:
		out.s = append([]byte(nil), c.Fixed[:16]...)
	case column.Binary, column.JSON:
		out.s = append([]byte(nil), c.Text(0)...)
	case column.Float:
		out.f = float64(c.Float32s[0])
	case column.Double:
		out.f = c.Float64s[0]
	case column.String:
		out.s = append([]byte(nil), c.Text(0)...)
	default:
		return n
	}
	return out
}
