package wire

import (
	"encoding/base64"
	"encoding/binary"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Writer appends a body value by value, in either format. Arrays and objects in CBOR have no length
// but a break, as AWS writes them.
type Writer struct {
	format Format
	buf    []byte
	// comma says that a JSON value comes behind another one.
	comma bool
}

// NewWriter appends to dst.
func NewWriter(format Format, dst []byte) *Writer { return &Writer{format: format, buf: dst} }

// Bytes is what was written so far.
func (w *Writer) Bytes() []byte { return w.buf }

// Flush writes what was written so far to another place and forgets it. Whatever follows goes on behind it.
func (w *Writer) Flush(to io.Writer) error {
	_, err := to.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

func (w *Writer) value() {
	if w.format == JSON && w.comma {
		w.buf = append(w.buf, ',')
	}
	w.comma = true
}

func (w *Writer) open(json, cbor byte) {
	w.value()
	w.comma = false
	if w.format == CBOR {
		json = cbor
	}
	w.buf = append(w.buf, json)
}

func (w *Writer) close(json byte) {
	w.comma = true
	if w.format == CBOR {
		json = breakByte
	}
	w.buf = append(w.buf, json)
}

// BeginObject opens an object.
func (w *Writer) BeginObject() { w.open('{', 0xbf) }

// EndObject closes it.
func (w *Writer) EndObject() { w.close('}') }

// BeginArray opens an array.
func (w *Writer) BeginArray() { w.open('[', 0x9f) }

// EndArray closes it.
func (w *Writer) EndArray() { w.close(']') }

// Name is that of a field, whose value follows. It needs no escapes.
func (w *Writer) Name(name string) {
	if w.format == CBOR {
		w.cborHead(3, uint64(len(name)))
		w.buf = append(w.buf, name...)
		return
	}
	w.value()
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '"', ':')
	w.comma = false
}

// String writes a string. What is not UTF-8 in it is replaced.
func (w *Writer) String(s string) { writeText(w, s) }

// Text is String for bytes.
func (w *Writer) Text(s []byte) { writeText(w, s) }

func writeText[T string | []byte](w *Writer, s T) {
	w.value()
	if w.format == CBOR {
		text := replaced(s)
		w.cborHead(3, uint64(len(text)))
		w.buf = append(w.buf, text...)
		return
	}
	w.buf = append(w.buf, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if x, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))])); x != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		w.buf = append(w.buf, s[done:i]...)
		w.escape(c)
		i++
		done = i
	}
	w.buf = append(w.buf, s[done:]...)
	w.buf = append(w.buf, '"')
}

// replaced is s with U+FFFD for what is not UTF-8, most often s itself.
func replaced[T string | []byte](s T) T {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return T(strings.ToValidUTF8(string(s), "\ufffd"))
		}
	}
	return s
}

const hexDigits = "0123456789abcdef"

func (w *Writer) escape(c byte) {
	switch {
	case c == '"' || c == '\\':
		w.buf = append(w.buf, '\\', c)
	case c == '\n':
		w.buf = append(w.buf, '\\', 'n')
	case c >= utf8.RuneSelf:
		w.buf = append(w.buf, "\ufffd"...)
	default:
		w.buf = append(w.buf, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
}

// Blob writes binary data.
func (w *Writer) Blob(b []byte) {
	w.value()
	if w.format == CBOR {
		w.cborHead(2, uint64(len(b)))
		w.buf = append(w.buf, b...)
		return
	}
	w.buf = append(w.buf, '"')
	w.buf = base64.StdEncoding.AppendEncode(w.buf, b)
	w.buf = append(w.buf, '"')
}

// Plain writes a string that needs no escapes.
func (w *Writer) Plain(s []byte) {
	w.value()
	if w.format == CBOR {
		w.cborHead(3, uint64(len(s)))
		w.buf = append(w.buf, s...)
		return
	}
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, s...)
	w.buf = append(w.buf, '"')
}

// Int writes a whole number.
func (w *Writer) Int(n int64) {
	w.value()
	switch {
	case w.format == JSON:
		w.buf = strconv.AppendInt(w.buf, n, 10)
	case n < 0:
		w.cborHead(1, uint64(-1-n))
	default:
		w.cborHead(0, uint64(n))
	}
}

// Bool writes true or false.
func (w *Writer) Bool(v bool) {
	w.value()
	switch {
	case w.format == JSON:
		w.buf = strconv.AppendBool(w.buf, v)
	case v:
		w.buf = append(w.buf, 0xf5)
	default:
		w.buf = append(w.buf, 0xf4)
	}
}

// Time writes a time to the millisecond, as Reader.Time has it.
func (w *Writer) Time(t time.Time) {
	ms := t.UnixMilli()
	if w.format == CBOR {
		w.cborHead(6, 1)
		w.Int(ms)
		return
	}
	w.value()
	// As a float the shortest form has no rounding errors: 2^53 milliseconds are far away.
	w.buf = strconv.AppendFloat(w.buf, float64(ms)/1000, 'f', -1, 64)
}

// Null writes null.
func (w *Writer) Null() {
	w.value()
	if w.format == CBOR {
		w.buf = append(w.buf, 0xf6)
		return
	}
	w.buf = append(w.buf, "null"...)
}

func (w *Writer) cborHead(major byte, n uint64) {
	major <<= 5
	switch {
	case n < 24:
		w.buf = append(w.buf, major|byte(n))
	case n <= math.MaxUint8:
		w.buf = append(w.buf, major|24, byte(n))
	case n <= math.MaxUint16:
		w.buf = binary.BigEndian.AppendUint16(append(w.buf, major|25), uint16(n))
	case n <= math.MaxUint32:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, major|26), uint32(n))
	default:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, major|27), n)
	}
}

// mapValue writes what belongs to the key of a map that String wrote.
func (w *Writer) mapValue(s string) {
	if w.format == JSON {
		w.buf = append(w.buf, ':')
		w.comma = false
	}
	w.String(s)
}

// Append writes the fields of a shape into the object that is open.
func (w *Writer) Append(s Shape) {
	f := Fields{mode: writing, w: w}
	s.Fields(&f)
}
