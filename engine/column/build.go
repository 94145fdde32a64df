package column

import "fmt"

// Builder makes a Column value by value, for producers that do not start from JSON. The caller
// uses the method that fits the type; another one would leave the column ragged.
type Builder struct{ b *builder }

// NewBuilder makes an empty builder of a valid type. Strings are kept plain.
func NewBuilder(t Type) *Builder { return &Builder{newBuilder(t)} }

// Len is the number of rows so far.
func (b *Builder) Len() int { return b.b.n }

// AppendNull appends a null of any type.
func (b *Builder) AppendNull() { b.b.appendNull() }

// AppendBool appends to a Boolean column.
func (b *Builder) AppendBool(v bool) { b.b.appendBool(v) }

// AppendInt32 appends to an Int column, or days since the epoch to a Date column.
func (b *Builder) AppendInt32(v int32) { b.b.appendInt32(v) }

// AppendInt64 appends to a BigInt column, microseconds to a Time or Timestamp column, or the
// unscaled value to a Decimal column of up to 18 digits.
func (b *Builder) AppendInt64(v int64) { b.b.appendInt64(v) }

// AppendFloat32 appends to a Float column.
func (b *Builder) AppendFloat32(v float32) { b.b.appendFloat32(v) }

// AppendFloat64 appends to a Double column.
func (b *Builder) AppendFloat64(v float64) { b.b.appendFloat64(v) }

// AppendText appends to a String, Binary or JSON column. Strings must be UTF-8, JSON compact.
func (b *Builder) AppendText(v []byte) { b.b.appendText(v) }

// AppendFixed appends to a UUID column, or the unscaled big-endian value to a Decimal column of
// more than 18 digits.
func (b *Builder) AppendFixed(v [16]byte) { b.b.appendFixed(v) }

// Child is the builder of field i of a Struct column, or with i = 0 of the elements of a List.
func (b *Builder) Child(i int) *Builder { return &Builder{b.b.children[i]} }

// EndList ends a row of a List column: its elements are what was appended to Child(0) since the
// row before.
func (b *Builder) EndList() { b.b.endList() }

// EndStruct ends a row of a Struct column: a value was appended to each Child.
func (b *Builder) EndStruct() { b.b.n++ }

// AppendFrom appends row i of a column of the same type.
func (b *Builder) AppendFrom(c *Column, i int) { b.b.appendFrom(c, i) }

// Finish returns the column, which is the caller's, and starts an empty one.
func (b *Builder) Finish() *Column {
	c := b.b.finish().clone()
	b.b.letGo()
	return c
}

// Reuse is Finish for a producer that is done with the column before it appends again: the
// column lies in the builder's memory, which Reset empties.
func (b *Builder) Reuse() *Column { return b.b.finish() }

// Reset drops all rows and keeps the memory. A column from Reuse is invalid afterwards.
func (b *Builder) Reset() {
	b.b.trim(keptBytes)
	b.b.reset()
}

// clone copies the description of a column, not its values.
func (c *Column) clone() *Column {
	n := *c
	n.Children = make([]*Column, len(c.Children))
	for i, child := range c.Children {
		n.Children[i] = child.clone()
	}
	return &n
}

// letGo drops all rows and the memory they lie in.
func (b *builder) letGo() {
	children := b.children
	*b = builder{typ: b.typ, children: children}
	if k := b.typ.Kind; k == String || k == Binary || k == JSON || k == List {
		b.offsets = []int32{0}
	}
	for _, c := range children {
		c.letGo()
	}
}

func (b *builder) appendFrom(c *Column, i int) {
	if c.IsNull(i) {
		b.appendNull()
		return
	}
	switch b.typ.Kind {
	case Boolean:
		b.appendBool(c.Bools.Get(i))
	case Int, Date:
		b.appendInt32(c.Int32s[i])
	case BigInt, Time, Timestamp:
		b.appendInt64(c.Int64s[i])
	case Float:
		b.appendFloat32(c.Float32s[i])
	case Double:
		b.appendFloat64(c.Float64s[i])
	case String, Binary, JSON:
		b.appendText(c.Text(i))
	case UUID:
		b.appendFixed([16]byte(c.Fixed[16*i:]))
	case Decimal:
		if b.typ.Wide() {
			b.appendFixed([16]byte(c.Fixed[16*i:]))
		} else {
			b.appendInt64(c.Int64s[i])
		}
	case List:
		for j := c.Offsets[i]; j < c.Offsets[i+1]; j++ {
			b.children[0].appendFrom(c.Children[0], int(j))
		}
		b.endList()
	case Struct:
		for k, child := range b.children {
			child.appendFrom(c.Children[k], i)
		}
		b.n++
	}
}

// NewBatch makes a batch of columns of equal length, one per field of the schema; a column may
// be nil if nobody wants it. It keeps the columns. An error is a bug of the caller.
func NewBatch(schema *Schema, columns []*Column) (*Batch, error) {
	if len(columns) != len(schema.Fields) {
		return nil, fmt.Errorf("batch of %d columns for a schema of %d", len(columns), len(schema.Fields))
	}
	rows := -1
	for i, c := range columns {
		if c == nil {
			continue
		}
		if rows < 0 {
			rows = c.Len
		}
		name := schema.Fields[i].Name
		if c.Len != rows {
			return nil, fmt.Errorf("column %q has %d rows, the columns before it have %d", name, c.Len, rows)
		}
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("column %q: %w", name, err)
		}
	}
	return &Batch{Schema: schema, Columns: columns, Rows: max(rows, 0)}, nil
}

// check reports a column whose slices are shorter than its rows need.
func (c *Column) check() error {
	have := c.Len
	switch c.Type.Kind {
	case Boolean:
		have = len(c.Bools) * 8
	case Int, Date:
		have = len(c.Int32s)
	case BigInt, Time, Timestamp:
		have = len(c.Int64s)
	case Float:
		have = len(c.Float32s)
	case Double:
		have = len(c.Float64s)
	case UUID:
		have = len(c.Fixed) / 16
	case Decimal:
		have = len(c.Int64s)
		if c.Type.Wide() {
			have = len(c.Fixed) / 16
		}
	case String, Binary, JSON, List:
		have = len(c.Offsets) - 1
		if c.Dict != nil {
			have = len(c.IDs)
		}
	case Struct:
		for _, child := range c.Children {
			have = min(have, child.Len)
		}
	default:
		return fmt.Errorf("column of %s", c.Type)
	}
	if have < c.Len || c.Valid != nil && len(c.Valid)*8 < c.Len {
		return fmt.Errorf("values for %d of %d rows", have, c.Len)
	}
	return nil
}

// Bools makes a Boolean column. valid may be nil.
func Bools(values, valid Bitmap, rows int) *Column {
	return withValid(&Column{Type: Type{Kind: Boolean}, Len: rows, Bools: values}, valid)
}

// Int32s makes an Int or Date column that keeps the slices. valid may be nil.
func Int32s(t Type, values []int32, valid Bitmap) *Column {
	return withValid(&Column{Type: t, Len: len(values), Int32s: values}, valid)
}

// Int64s makes a BigInt, Time, Timestamp or narrow Decimal column that keeps the slices.
func Int64s(t Type, values []int64, valid Bitmap) *Column {
	return withValid(&Column{Type: t, Len: len(values), Int64s: values}, valid)
}

// Float32s makes a Float column that keeps the slices.
func Float32s(values []float32, valid Bitmap) *Column {
	return withValid(&Column{Type: Type{Kind: Float}, Len: len(values), Float32s: values}, valid)
}

// Float64s makes a Double column that keeps the slices.
func Float64s(values []float64, valid Bitmap) *Column {
	return withValid(&Column{Type: Type{Kind: Double}, Len: len(values), Float64s: values}, valid)
}

// Texts makes a String, Binary or JSON column that keeps the slices; offsets has one entry more
// than there are rows.
func Texts(t Type, offsets []int32, bytes []byte, valid Bitmap) *Column {
	return withValid(&Column{Type: t, Len: len(offsets) - 1, Offsets: offsets, Bytes: bytes}, valid)
}

// Strings makes a String column of a copy of the values.
func Strings(values []string, valid Bitmap) *Column {
	b := newBuilder(Type{Kind: String})
	for _, v := range values {
		b.appendText(bytesOf(v))
	}
	c := *b.finish()
	return withValid(&c, valid)
}

// Coded makes a String column of ids into the first dictLen values of a dictionary.
func Coded(ids []int32, dict *Dict, dictLen int, valid Bitmap) *Column {
	return withValid(&Column{Type: Type{Kind: String}, Len: len(ids), IDs: ids, Dict: dict, DictLen: dictLen}, valid)
}

// withValid sets the validity of c, nil if no row is null.
func withValid(c *Column, valid Bitmap) *Column {
	if valid == nil {
		return c
	}
	if c.Nulls = c.Len - valid.Count(c.Len); c.Nulls > 0 {
		c.Valid = valid
	}
	return c
}
