package agg

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// cells are values of one type that can be replaced.
type cells struct {
	of    column.Type
	words []uint64
	texts texts
	// scratch is a list or struct as AppendCell writes it, which is how they are held.
	scratch []byte
}

func (c *cells) text() bool { return textKey(c.of) || nested(c.of) }

// nested reports whether values of a type can be held but not compared.
func nested(t column.Type) bool { return !Groupable(t) }

func (c *cells) grow(n int) {
	if c.text() {
		c.texts.grow(n)
	} else {
		c.words = extend(c.words, n)
	}
}

func (c *cells) memory() int64 { return int64(8*cap(c.words)) + c.texts.memory() }

// put sets value g to that of a row, which is not null.
func (c *cells) put(g uint32, col *column.Column, row int) {
	switch {
	case nested(c.of):
		c.scratch = AppendCell(c.scratch[:0], col, row)
		c.texts.set(g, c.scratch)
	case c.text():
		c.texts.set(g, textOf(col, row))
	default:
		c.words[g] = wordOf(col, row)
	}
}

func (c *cells) copyFrom(g uint32, o *cells, from uint32) {
	if c.text() {
		c.texts.set(g, o.texts.get(from))
		return
	}
	c.words[g] = o.words[from]
}

// compareRow orders value g and that of a row.
func (c *cells) compareRow(g uint32, col *column.Column, row int) int {
	if c.text() {
		return compareTexts(c.of, c.texts.get(g), textOf(col, row))
	}
	return compareWords(c.of, c.words[g], wordOf(col, row))
}

func (c *cells) compare(g uint32, o *cells, theirs uint32) int {
	if c.text() {
		return compareTexts(c.of, c.texts.get(g), o.texts.get(theirs))
	}
	return compareWords(c.of, c.words[g], o.words[theirs])
}

func compareTexts(t column.Type, a, b []byte) int {
	if t.Kind == column.Decimal {
		// Big-endian two's complement: the sign bit turned, bytes order as numbers.
		if order := cmp.Compare(a[0]^0x80, b[0]^0x80); order != 0 {
			return order
		}
	}
	return bytes.Compare(a, b)
}

func compareWords(t column.Type, a, b uint64) int {
	if floating(t.Kind) {
		return cmp.Compare(fromWord(a), fromWord(b))
	}
	return cmp.Compare(int64(a), int64(b))
}

func (c *cells) result(g uint32, out *build.Column) {
	switch {
	case nested(c.of):
		ReadCell(NewReader(c.texts.get(g)), c.of, out)
	case c.text():
		out.Text(c.texts.get(g))
	case floating(c.of.Kind):
		finite(fromWord(c.words[g]), out)
	default:
		out.Int(int64(c.words[g]))
	}
}

func (c *cells) append(dst []byte, g uint32) []byte {
	if c.text() {
		return appendBytes(dst, c.texts.get(g))
	}
	return appendWord(dst, c.words[g])
}

func (c *cells) read(r *Reader, g uint32) {
	if !c.text() {
		c.words[g] = r.word("value")
		return
	}
	v := r.text("value")
	if fixedKey(c.of) && len(v) != 16 || nested(c.of) && !isCell(v, c.of) {
		r.fail("value")
		return
	}
	c.texts.set(g, v)
}

func appendUvarint(dst []byte, v int) []byte { return binary.AppendUvarint(dst, uint64(v)) }

func appendVarint(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

func appendWord(dst []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(dst, v) }

func appendFloat(dst []byte, v float64) []byte { return appendWord(dst, math.Float64bits(v)) }

func (r *Reader) float(what string) float64 { return math.Float64frombits(r.word(what)) }
