package column

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Record is the batch as an Arrow record of all its rows, selected or not, and of the columns that
// were decoded. Its arrays share the memory of the batch and live as long as it does, but for
// decimals, which Arrow keeps in another byte order.
func (b *Batch) Record() arrow.Record {
	var fields []arrow.Field
	var columns []arrow.Array
	for i, c := range b.Columns {
		if c == nil {
			continue
		}
		data := c.data()
		fields = append(fields, arrow.Field{Name: b.Schema.Fields[i].Name, Type: data.DataType(), Nullable: true})
		columns = append(columns, array.MakeFromData(data))
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(b.Rows))
}

// arrowType is the Arrow type of c. Strings in a dictionary have a type of their own.
func (c *Column) arrowType() arrow.DataType {
	switch c.Type.Kind {
	case Boolean:
		return arrow.FixedWidthTypes.Boolean
	case Int:
		return arrow.PrimitiveTypes.Int32
	case BigInt:
		return arrow.PrimitiveTypes.Int64
	case Float:
		return arrow.PrimitiveTypes.Float32
	case Double:
		return arrow.PrimitiveTypes.Float64
	case Decimal:
		return &arrow.Decimal128Type{Precision: int32(c.Type.Precision), Scale: int32(c.Type.Scale)}
	case Binary:
		return arrow.BinaryTypes.Binary
	case Date:
		return arrow.FixedWidthTypes.Date32
	case Time:
		return arrow.FixedWidthTypes.Time64us
	case Timestamp:
		return arrow.FixedWidthTypes.Timestamp_us
	case UUID:
		return &arrow.FixedSizeBinaryType{ByteWidth: 16}
	case List:
		return arrow.ListOf(c.Children[0].arrowType())
	case Struct:
		fields := make([]arrow.Field, len(c.Children))
		for i, child := range c.Children {
			fields[i] = arrow.Field{Name: c.Type.Fields[i].Name, Type: child.arrowType(), Nullable: true}
		}
		return arrow.StructOf(fields...)
	}
	if c.Dict != nil {
		return &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	}
	return arrow.BinaryTypes.String
}

func (c *Column) data() arrow.ArrayData {
	buffers := []*memory.Buffer{nil}
	if c.Valid != nil {
		buffers[0] = memory.NewBufferBytes(c.Valid)
	}
	var children []arrow.ArrayData
	switch {
	case c.Dict != nil:
		buffers = append(buffers, buffer(c.IDs))
		return array.NewDataWithDictionary(c.arrowType(), c.Len, buffers, c.Nulls, 0, c.Dict.data(c.DictLen))
	case c.Type.Kind == Boolean:
		buffers = append(buffers, buffer(c.Bools))
	case c.Type.Kind == Decimal:
		buffers = append(buffers, memory.NewBufferBytes(c.littleEndian()))
	case c.Type.Kind == UUID:
		buffers = append(buffers, buffer(c.Fixed))
	case c.Type.Kind == List:
		buffers = append(buffers, buffer(c.Offsets))
	case c.Offsets != nil:
		buffers = append(buffers, buffer(c.Offsets), buffer(c.Bytes))
	case c.Type.Kind != Struct:
		buffers = append(buffers, c.numbers())
	}
	for _, child := range c.Children {
		children = append(children, child.data())
	}
	return array.NewData(c.arrowType(), c.Len, buffers, children, c.Nulls, 0)
}

func (c *Column) numbers() *memory.Buffer {
	switch c.Type.Kind {
	case Int, Date:
		return buffer(c.Int32s)
	case Float:
		return buffer(c.Float32s)
	case Double:
		return buffer(c.Float64s)
	}
	return buffer(c.Int64s)
}

func (d *Dict) data(n int) *array.Data {
	buffers := []*memory.Buffer{nil, buffer(d.Offsets[:n+1]), buffer(d.Bytes)}
	return array.NewData(arrow.BinaryTypes.String, n, buffers, nil, 0, 0)
}

// buffer is the memory of s as an Arrow buffer, which is in the machine's byte order.
func buffer[T any](s []T) *memory.Buffer {
	if len(s) == 0 {
		return memory.NewBufferBytes([]byte{})
	}
	size := len(s) * int(unsafe.Sizeof(s[0]))
	return memory.NewBufferBytes(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), size))
}

// littleEndian is a Decimal column's values as Arrow wants them.
func (c *Column) littleEndian() []byte {
	if c.Type.Wide() {
		v := slices.Clone(c.Fixed[:16*c.Len])
		for i := 0; i < len(v); i += 16 {
			slices.Reverse(v[i : i+16])
		}
		return v
	}
	v := make([]byte, 0, 16*c.Len)
	for _, n := range c.Int64s[:c.Len] {
		v = binary.LittleEndian.AppendUint64(v, uint64(n))
		v = binary.LittleEndian.AppendUint64(v, uint64(n>>63))
	}
	return v
}
