package encode

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/millrace-io/millrace/engine/column"
)

// tree is a value as a test writes it: nil, bool, int64, float64, string (texts, UUIDs and large
// decimals, as bytes), []tree for a list, or struct for a struct.
type tree any

type structure []tree

func fieldsOf(types ...column.Type) []column.Field {
	var fields []column.Field
	for i, t := range types {
		fields = append(fields, column.Field{Name: fmt.Sprintf("f%d", i), Type: t})
	}
	return fields
}

func kind(k column.Kind) column.Type { return column.Type{Kind: k} }

func list(t column.Type) column.Type { return column.Type{Kind: column.List, Elem: &t} }

func record(fields ...column.Type) column.Type {
	return column.Type{Kind: column.Struct, Fields: fieldsOf(fields...)}
}

func decimal(precision, scale int) column.Type {
	return column.Type{Kind: column.Decimal, Precision: precision, Scale: scale}
}

// everyKind is a schema with all kinds, and nesting of each sort. The names are in an order that
// is not the alphabet's.
func everyKind() *column.Schema {
	s := &column.Schema{}
	add := func(name string, t column.Type) { s.Fields = append(s.Fields, column.Field{Name: name, Type: t}) }
	add("z", kind(column.Boolean))
	add("a", kind(column.Int))
	add("big", kind(column.BigInt))
	add("float", kind(column.Float))
	add("double", kind(column.Double))
	add("small decimal", decimal(7, 2))
	add("decimal", decimal(18, 3))
	add("large, decimal", decimal(38, 10))
	add("string", kind(column.String))
	add("binary", kind(column.Binary))
	add("date", kind(column.Date))
	add("time", kind(column.Time))
	add("timestamp", kind(column.Timestamp))
	add("uuid", kind(column.UUID))
	add("json", kind(column.JSON))
	add("strings", list(kind(column.String)))
	add("matrix", list(list(kind(column.BigInt))))
	add("point", record(kind(column.Double), kind(column.Double)))
	add("deep", record(record(kind(column.String), kind(column.Int)), list(record(kind(column.Boolean), list(kind(column.Int))))))
	return s
}

// grow makes a random value of a type; nulls is the share of nulls.
func grow(r *rand.Rand, t column.Type, nulls float64) tree {
	if r.Float64() < nulls {
		return nil
	}
	switch t.Kind {
	case column.Boolean:
		return r.IntN(2) == 0
	case column.Int:
		return int64(int32(r.Uint32()) >> r.IntN(32))
	case column.Date:
		return int64(r.IntN(40_000)) - 20_000
	case column.Time:
		return r.Int64N(86_400_000_000)
	case column.Timestamp:
		return r.Int64N(4e15) - 2e15
	case column.BigInt:
		return int64(r.Uint64()) >> r.IntN(64)
	case column.Float:
		return float64(float32(r.NormFloat64()))
	case column.Double:
		return []float64{0, math.Copysign(0, -1), r.NormFloat64(), math.Inf(1)}[r.IntN(4)]
	case column.Decimal:
		if t.Precision <= 18 {
			return int64(r.Uint64N(uint64(math.Pow10(t.Precision)))) - int64(math.Pow10(t.Precision))/2
		}
		// 120 bits and the sign are within 38 digits.
		return []string{"\x00", "\xff"}[r.IntN(2)] + bytes16(r).(string)[1:]
	case column.UUID:
		return bytes16(r)
	case column.List:
		l := make([]tree, r.IntN(4))
		for i := range l {
			l[i] = grow(r, *t.Elem, nulls)
		}
		return l
	case column.Struct:
		s := make(structure, len(t.Fields))
		for i, f := range t.Fields {
			s[i] = grow(r, f.Type, nulls)
		}
		return s
	case column.JSON:
		return fmt.Sprintf(`{"n":%d}`, r.IntN(1000))
	case column.Binary:
		return string(bytes16(r).(string)[:r.IntN(16)])
	}
	return fmt.Sprintf("é%d", r.IntN(50))[:r.IntN(2)*3]
}

func bytes16(r *rand.Rand) tree {
	b := binary.BigEndian.AppendUint64(nil, r.Uint64())
	return string(binary.BigEndian.AppendUint64(b, r.Uint64()))
}

// batchOf makes a batch of rows; each row is the structure of the schema's fields.
func batchOf(s *column.Schema, rows []structure) *column.Batch {
	b := &column.Batch{Schema: s, Rows: len(rows)}
	for i, f := range s.Fields {
		values := make([]tree, len(rows))
		for j := range rows {
			values[j] = rows[j][i]
		}
		b.Columns = append(b.Columns, columnOf(f.Type, values))
	}
	return b
}

func columnOf(t column.Type, values []tree) *column.Column {
	c := &column.Column{Type: t, Len: len(values), Valid: make(column.Bitmap, len(values)/8+1)}
	for i, v := range values {
		if v == nil {
			c.Nulls++
			continue
		}
		c.Valid[i>>3] |= 1 << (i & 7)
	}
	if c.Nulls == 0 {
		c.Valid = nil
	}
	switch t.Kind {
	case column.Struct:
		for i, f := range t.Fields {
			under := make([]tree, len(values))
			for j, v := range values {
				if v != nil {
					under[j] = v.(structure)[i]
				} else {
					under[j] = grow(rand.New(rand.NewPCG(1, uint64(j))), f.Type, 0) // unspecified under a null
				}
			}
			c.Children = append(c.Children, columnOf(f.Type, under))
		}
		return c
	case column.List:
		var under []tree
		c.Offsets = []int32{0}
		for _, v := range values {
			if v != nil {
				under = append(under, v.([]tree)...)
			}
			c.Offsets = append(c.Offsets, int32(len(under)))
		}
		c.Children = []*column.Column{columnOf(*t.Elem, under)}
		return c
	}
	for _, v := range values {
		appendValue(c, v)
	}
	return c
}

func appendValue(c *column.Column, v tree) {
	number, _ := v.(int64)
	real, _ := v.(float64)
	text, _ := v.(string)
	switch c.Type.Kind {
	case column.Boolean:
		for len(c.Bools)*8 < c.Len {
			c.Bools = append(c.Bools, 0)
		}
		// The count of values so far is kept in the length of Int32s, which booleans do not use.
		if i := len(c.Int32s); v == true {
			c.Bools[i>>3] |= 1 << (i & 7)
		}
		c.Int32s = append(c.Int32s, 0)
	case column.Int, column.Date:
		c.Int32s = append(c.Int32s, int32(number))
	case column.BigInt, column.Time, column.Timestamp:
		c.Int64s = append(c.Int64s, number)
	case column.Float:
		c.Float32s = append(c.Float32s, float32(real))
	case column.Double:
		c.Float64s = append(c.Float64s, real)
	case column.UUID:
		c.Fixed = append(c.Fixed, (text + string(make([]byte, 16)))[:16]...)
	case column.Decimal:
		if c.Type.Precision <= 18 {
			c.Int64s = append(c.Int64s, number)
		} else {
			c.Fixed = append(c.Fixed, (text + string(make([]byte, 16)))[:16]...)
		}
	default:
		if c.Offsets == nil {
			c.Offsets = []int32{0}
		}
		c.Bytes = append(c.Bytes, text...)
		c.Offsets = append(c.Offsets, int32(len(c.Bytes)))
	}
}

// withDict turns the plain texts of a column into ids of a dictionary.
func withDict(c *column.Column, d *column.Dict, seen map[string]int32) *column.Column {
	if len(d.Offsets) == 0 {
		d.Offsets = []int32{0}
	}
	e := *c
	e.Offsets, e.Bytes, e.Dict = nil, nil, d
	for i := range c.Len {
		text := string(c.Text(i))
		id, ok := seen[text]
		if !ok {
			id = int32(len(seen))
			seen[text] = id
			d.Bytes = append(d.Bytes, text...)
			d.Offsets = append(d.Offsets, int32(len(d.Bytes)))
		}
		e.IDs = append(e.IDs, id)
	}
	e.DictLen = len(seen)
	return &e
}
