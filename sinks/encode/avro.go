package encode

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"sync"

	"github.com/millrace-io/millrace/engine/column"
)

// The container file of Avro (Avro 1.12 specification, Object Container Files).
const (
	avroMagic = "Obj\x01"
	syncBytes = 16
)

// avroRows writes rows in Avro's binary encoding. Every value is a union of null and its type.
type avroRows struct{}

func (avroRows) begin(dst []byte) []byte { return dst }

func (avroRows) end(dst []byte) []byte { return dst }

func (avroRows) row(dst []byte, b *column.Batch, row int, _ bool) []byte {
	for _, c := range b.Columns {
		dst = appendAvro(dst, c, row)
	}
	return dst
}

// The branches of a union, as the numbers 0 and 1 are encoded.
const (
	avroNull  = 0
	avroValue = 2
)

// appendAvro appends row i of c. Avro's int and long are binary.AppendVarint's.
func appendAvro(dst []byte, c *column.Column, i int) []byte {
	if c.IsNull(i) {
		return append(dst, avroNull)
	}
	dst = append(dst, avroValue)
	switch c.Type.Kind {
	case column.Boolean:
		if c.Bools.Get(i) {
			return append(dst, 1)
		}
		return append(dst, 0)
	case column.Int, column.Date:
		return binary.AppendVarint(dst, int64(c.Int32s[i]))
	case column.BigInt, column.Time, column.Timestamp:
		return binary.AppendVarint(dst, c.Int64s[i])
	case column.Float:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(c.Float32s[i]))
	case column.Double:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(c.Float64s[i]))
	case column.Decimal:
		return appendAvroDecimal(dst, c, i)
	case column.UUID:
		// 36 characters, the length as a varint.
		return column.AppendText(append(dst, 72), c, i)
	case column.List:
		return appendAvroList(dst, c, i)
	case column.Struct:
		for _, child := range c.Children {
			dst = appendAvro(dst, child, i)
		}
		return dst
	}
	text := c.Text(i)
	return append(binary.AppendVarint(dst, int64(len(text))), text...)
}

// appendAvroDecimal appends the unscaled value, two's complement, in as few bytes as it takes.
func appendAvroDecimal(dst []byte, c *column.Column, i int) []byte {
	var short [8]byte
	value := short[:]
	if c.Fixed != nil {
		value = c.Fixed[fixedLength*i : fixedLength*(i+1)]
	} else {
		binary.BigEndian.PutUint64(value, uint64(c.Int64s[i]))
	}
	for len(value) > 1 && (value[0] == 0 && value[1] < 0x80 || value[0] == 0xff && value[1] >= 0x80) {
		value = value[1:]
	}
	return append(binary.AppendVarint(dst, int64(len(value))), value...)
}

// appendAvroList appends the elements as one block, and the end of blocks.
func appendAvroList(dst []byte, c *column.Column, i int) []byte {
	from, to := c.Offsets[i], c.Offsets[i+1]
	if from == to {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, int64(to-from))
	for j := from; j < to; j++ {
		dst = appendAvro(dst, c.Children[0], int(j))
	}
	return append(dst, 0)
}

// avroBlocks makes blocks of rows. The sync marker that parts them is a hash of the schema and the
// first block: the same rows make the same file, and no value that comes in can be made to look
// like the marker of the file that it will be in.
type avroBlocks struct {
	// head is the file up to the sync marker.
	head     []byte
	compress compressor
	// buffers are of type *[]byte.
	buffers *sync.Pool
	sync    [syncBytes]byte
	started bool
}

func (a *avroBlocks) pack(dst, piece []byte, rows int64) ([]byte, error) {
	dst = dst[:0]
	if !a.started {
		dst = a.start(dst, piece)
	}
	if a.compress != nil {
		buffer := a.buffers.Get().(*[]byte)
		defer a.buffers.Put(buffer)
		var err error
		if *buffer, err = a.compress(*buffer, piece); err != nil {
			return dst, err
		}
		piece = *buffer
	}
	dst = binary.AppendVarint(dst, rows)
	dst = binary.AppendVarint(dst, int64(len(piece)))
	return append(append(dst, piece...), a.sync[:]...), nil
}

// start appends the head of the file.
func (a *avroBlocks) start(dst, first []byte) []byte {
	h := sha256.New()
	h.Write(a.head)
	h.Write(first)
	copy(a.sync[:], h.Sum(nil))
	a.started = true
	return append(append(dst, a.head...), a.sync[:]...)
}

func (a *avroBlocks) finish() []byte {
	if a.started {
		return nil
	}
	return a.start(nil, nil)
}
