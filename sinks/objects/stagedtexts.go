package objects

import (
	"encoding/binary"

	"github.com/millrace-io/millrace/engine/column"
)

// stagedTexts is the dictionary of a column in the stage. Texts that the decoder gave an id are staged as an id
// of the chunk's, which takes less to write, to read back and to look up again for each file.
type stagedTexts struct {
	values *column.Values
	// known are the ids for those of the decoder that the batch at hand comes from: one more than each, or notYet
	// or noRoom; nil if its texts have none.
	known  []int32
	remaps column.Remaps
}

const (
	notYet = 0
	noRoom = -1
	// stagedID marks an id, where appendValue has 0 for null and 1 for a value.
	stagedID = 2
	// A dictionary of less than leastTexts is not worth its table.
	leastTexts, mostTexts = 32 << 10, 1 << 20
)

// textsLimit is how many bytes of texts each of some columns may have.
func textsLimit(stage int64, columns int) int {
	return int(min(stage/4/int64(max(columns, 1)), mostTexts))
}

// begin prepares for the rows of a column.
func (t *stagedTexts) begin(c *column.Column, limit int) {
	t.known = nil
	if c.Dict == nil {
		return
	}
	if t.values == nil {
		t.values = column.NewValues(limit)
	}
	t.known = t.remaps.Of(c.Dict).Table(c.DictLen)
}

// append is appendValue for a row of the column that begin was called with.
func (t *stagedTexts) append(dst []byte, c *column.Column, row int) []byte {
	if t.known == nil || c.IsNull(row) {
		return appendValue(dst, c, row)
	}
	known := t.known[c.IDs[row]]
	if known == notYet {
		id, ok := t.values.ID(c.Text(row))
		if known = id + 1; !ok {
			known = noRoom
		}
		t.known[c.IDs[row]] = known
	}
	if known == noRoom {
		return appendValue(dst, c, row)
	}
	return binary.AppendUvarint(append(dst, stagedID), uint64(known-1))
}

func (t *stagedTexts) memory() int64 {
	n := t.remaps.Memory()
	if t.values != nil {
		n += t.values.Memory()
	}
	return n
}

// textReader reads a column with a dictionary. While a batch has nothing but ids they stay ids, otherwise
// all are texts of the builder.
type textReader struct {
	ids []int32
	out column.Column
}

// read is readValue.
func (x *textReader) read(t *stagedTexts, b *column.Builder, typ *column.Type, src []byte) ([]byte, error) {
	if len(src) == 0 || src[0] != stagedID {
		for _, id := range x.ids {
			b.AppendText(t.values.Text(id))
		}
		x.ids = x.ids[:0]
		return readValue(b, typ, src)
	}
	id, used := binary.Uvarint(src[1:])
	if used <= 0 || t.values == nil {
		return nil, errTorn
	}
	if _, n := t.values.Dict(); id >= uint64(n) {
		return nil, errTorn
	}
	if b.Len() > 0 {
		b.AppendText(t.values.Text(int32(id)))
	} else {
		x.ids = append(x.ids, int32(id))
	}
	return src[1+used:], nil
}

// column is the rows of the batch.
func (x *textReader) column(t *stagedTexts, b *column.Builder, typ column.Type) *column.Column {
	if len(x.ids) == 0 {
		return b.Reuse()
	}
	dict, n := t.values.Dict()
	x.out = column.Column{Type: typ, Len: len(x.ids), IDs: x.ids, Dict: dict, DictLen: n}
	return &x.out
}
