package stdout

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/millrace-io/millrace/engine/column"
)

// maxCell is how many runes of a value are kept.
const maxCell = 200

// timestamp is how a cell holds one; draw takes off what is zero in the whole column.
const timestamp = "2006-01-02 15:04:05.000000"

// cell is row i of c, which is not null, as text for people.
func cell(c *column.Column, i int) string {
	switch c.Type.Kind {
	case column.Boolean:
		return strconv.FormatBool(c.Bools.Get(i))
	case column.Int:
		return strconv.FormatInt(int64(c.Int32s[i]), 10)
	case column.BigInt:
		return strconv.FormatInt(c.Int64s[i], 10)
	case column.Float:
		return number(float64(c.Float32s[i]), 32)
	case column.Double:
		return number(c.Float64s[i], 64)
	case column.Timestamp:
		return time.UnixMicro(c.Int64s[i]).UTC().Format(timestamp)
	case column.String, column.JSON:
		return clean(c.Text(i))
	case column.Binary:
		b := c.Text(i)
		return "0x" + hex.EncodeToString(b[:min(len(b), maxCell/2)])
	}
	return clean(asJSON(c, i))
}

// number is v with at most four decimals, or four significant digits if it is small.
func number(v float64, bits int) string {
	text := strconv.FormatFloat(v, 'f', -1, bits)
	size := math.Abs(v)
	switch {
	case size == 0 || math.IsNaN(v) || math.IsInf(v, 0):
		return text
	case size >= 1e15 || size < 1e-4:
		return strconv.FormatFloat(v, 'g', 6, bits)
	}
	decimals := 4
	if size < 1 {
		decimals -= int(math.Floor(math.Log10(size))) + 1
	}
	if len(text)-strings.IndexByte(text+".", '.')-1 <= decimals {
		return text
	}
	text = strconv.FormatFloat(v, 'f', decimals, bits)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// asJSON is a value as NDJSON has it, without the quotes of a string.
func asJSON(c *column.Column, i int) []byte {
	one := &column.Batch{
		Schema:  &column.Schema{Fields: []column.Field{{Name: "v", Type: c.Type}}},
		Columns: []*column.Column{c}, Rows: c.Len,
	}
	text := column.AppendJSON(nil, one, i)
	text = bytes.TrimSuffix(bytes.TrimPrefix(bytes.TrimSpace(text), []byte(`{"v":`)), []byte("}"))
	var s string
	if len(text) > 0 && text[0] == '"' && json.Unmarshal(text, &s) == nil {
		return []byte(s)
	}
	return text
}

// clean cuts a text to maxCell runes and makes it harmless: control characters, which a terminal
// would obey, become dots, and what has no picture of its own, such as marks that turn the
// direction of writing, goes.
func clean(text []byte) string {
	var s strings.Builder
	n := 0
	for _, r := range string(text[:min(len(text), 4*maxCell+4)]) {
		switch {
		case unicode.IsControl(r):
			r = '·'
		case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			continue
		}
		if n++; n > maxCell {
			break
		}
		s.WriteRune(r)
	}
	return s.String()
}
