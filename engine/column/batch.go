package column

import (
	"math/bits"

	"github.com/millrace-io/millrace/engine/record"
)

// Bitmap is one bit a row, least significant first, as Arrow lays out validity. A nil Bitmap
// used as validity means that every row is valid.
type Bitmap []byte

// Get reports bit i.
func (m Bitmap) Get(i int) bool { return m[i>>3]&(1<<(i&7)) != 0 }

// Set sets bit i.
func (m Bitmap) Set(i int) { m[i>>3] |= 1 << (i & 7) }

// Count is the number of ones among the first n bits.
func (m Bitmap) Count(n int) int {
	ones := 0
	for _, b := range m[:n>>3] {
		ones += bits.OnesCount8(b)
	}
	if n&7 != 0 {
		ones += bits.OnesCount8(m[n>>3] & (1<<(n&7) - 1))
	}
	return ones
}

// Dict is the distinct values of a string column, shared by the batches of one decoder. An id means
// the same in every batch that refers to the same Dict. It has room for values to come, so only
// the first Column.DictLen are there to be read, also while the decoder appends more. A decoder
// moves on to another Dict when the room is used up or the values no longer repeat.
type Dict struct {
	// Value i is Bytes[Offsets[i]:Offsets[i+1]].
	Offsets []int32
	Bytes   []byte
	// hashes are those of the values, as HashRows takes them; nil if they were not computed.
	hashes []uint64
}

// Column is the values of one field. Which slices are set follows from the kind (see Kind) and
// all alias Arrow buffers. Values under a null are unspecified.
type Column struct {
	Type Type
	Len  int
	// Valid is nil when no row is null; Nulls is the number of null rows.
	Valid Bitmap
	Nulls int
	// Unread is set for a field of a Struct that was not decoded, because nobody reads it: all rows are null.
	Unread bool

	Bools    Bitmap
	Int32s   []int32
	Int64s   []int64
	Float32s []float32
	Float64s []float64
	// Fixed is 16 bytes a row.
	Fixed []byte
	// Offsets has Len+1 entries, into Bytes or, for a List, into the rows of Children[0].
	Offsets []int32
	Bytes   []byte
	// IDs are indices into Dict; when Dict is set, Offsets and Bytes are not.
	IDs []int32
	// Dict and DictLen are the values that IDs refer to and how many of them there are.
	Dict    *Dict
	DictLen int
	// Children are the fields of a Struct, each with Len rows, or the one element column of a List.
	Children []*Column
}

// IsNull reports whether row i is null.
func (c *Column) IsNull(i int) bool { return c.Valid != nil && !c.Valid.Get(i) }

// Text is the bytes of row i of a String, Binary or JSON column, plain or dictionary.
func (c *Column) Text(i int) []byte {
	if c.Dict != nil {
		id := c.IDs[i]
		return c.Dict.Bytes[c.Dict.Offsets[id]:c.Dict.Offsets[id+1]]
	}
	return c.Bytes[c.Offsets[i]:c.Offsets[i+1]]
}

// Origin says where the rows of a batch come from. All come from one shard, in ordinal order.
type Origin struct {
	Stream string
	// Input is which of a task's inputs that is. Shard is unique over all of them: the stream's own number if there
	// is one input.
	Input int
	Shard record.ShardID
	// Ordinals has one entry a row.
	Ordinals []record.Ordinal
	// Subs has one entry a row when rows are user records, of which a record may have several; nil otherwise. A record
	// that is none of them is its own first.
	Subs []int32
	// Arrivals has one entry a row, in milliseconds since the epoch.
	Arrivals []int64
}

// Batch is rows as columns. It is immutable; a consumer that keeps it beyond the call it was
// passed to must copy what it needs.
type Batch struct {
	Schema  *Schema
	Columns []*Column
	// Rows is the length of every column.
	Rows int
	// Selection is the rows that are still in, ascending; nil means all of them.
	Selection []int32
	Origin    Origin
	// Watermarks has one entry a row when the stream has an event time: the shard's watermark in
	// microseconds since the epoch before that row, MinWatermark if none is known.
	Watermarks []int64

	// frame is the decoder's memory that the columns lie in, if a decoder made the batch.
	frame *frame
}

// MinWatermark is the watermark of a shard that has seen no event, MaxWatermark that of one
// whose input has ended.
const (
	MinWatermark = -1 << 63
	MaxWatermark = 1<<63 - 1
)

// Selected is the number of rows that are still in.
func (b *Batch) Selected() int {
	if b.Selection != nil {
		return len(b.Selection)
	}
	return b.Rows
}

// With returns a shallow copy of b that keeps only the given rows.
func (b *Batch) With(selection []int32) *Batch {
	c := *b
	c.Selection = selection
	return &c
}
