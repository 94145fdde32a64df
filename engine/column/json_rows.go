package column

import (
	"encoding/binary"
	"slices"
	"strconv"
)

// RowWriter writes rows as AppendJSON does, with less to do for each when there are many.
// One goroutine uses it.
type RowWriter struct {
	// keys are the names as written, with what stands before them; the first is as if it were not the first.
	keys   [][]byte
	schema *Schema
	// day is the day whose text is date.
	day  int64
	date [10]byte
}

// NewRowWriter makes a writer of rows of a schema.
func NewRowWriter(s *Schema) *RowWriter {
	w := &RowWriter{schema: s, day: 1<<63 - 1}
	for _, f := range s.Fields {
		w.keys = append(w.keys, append(appendQuoted([]byte{','}, bytesOf(f.Name)), ':'))
	}
	return w
}

// Append appends a row of b, whose columns are those of the schema, also if b says otherwise.
func (w *RowWriter) Append(dst []byte, b *Batch, row int) []byte {
	start := len(dst)
	for i, c := range b.Columns {
		if c == nil {
			continue
		}
		dst = append(dst, w.keys[i]...)
		switch {
		case c.IsNull(row):
			dst = append(dst, "null"...)
		case c.Type.Kind == BigInt:
			dst = strconv.AppendInt(dst, c.Int64s[row], 10)
		case c.Type.Kind == String:
			dst = appendText(dst, c.Text(row))
		case c.Type.Kind == Timestamp:
			dst = append(w.timestamp(append(dst, '"'), c.Int64s[row]), '"')
		default:
			dst = appendJSONValue(dst, c, row)
		}
	}
	if len(dst) == start {
		return append(dst, "{}"...)
	}
	dst[start] = '{'
	return append(dst, '}')
}

// timestamp is AppendTimestamp; most rows are of the day of the one before.
func (w *RowWriter) timestamp(dst []byte, micros int64) []byte {
	days := floorDiv(micros, microsPerDay)
	if days != w.day {
		date := appendDate(w.date[:0], days)
		if len(date) != len(w.date) {
			return AppendTimestamp(dst, micros)
		}
		w.day = days
	}
	dst = append(append(dst, w.date[:]...), 'T')
	return append(appendTime(dst, micros-days*microsPerDay), 'Z')
}

// appendText is appendQuoted for texts that seldom need an escape: they are looked at as they are copied.
func appendText(dst, s []byte) []byte {
	n := len(dst)
	dst = slices.Grow(dst, len(s)+10)
	out := dst[n : n+len(s)+10]
	out[0] = '"'
	out = out[1:]
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		if ((quote-ones)&^quote|(slash-ones)&^slash|(w-ones*' ')&^w)&highs != 0 {
			return appendQuoted(dst, s)
		}
		binary.LittleEndian.PutUint64(out[i:], w)
	}
	for ; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' || s[i] < ' ' {
			return appendQuoted(dst, s)
		}
		out[i] = s[i]
	}
	out[i] = '"'
	return dst[:n+len(s)+2]
}
