package agg

import (
	"bytes"
	"hash/maphash"
	"math"
	"math/bits"

	"github.com/millrace-io/millrace/engine/column"
)

// keys is one key column of a table: a word or a text per group.
type keys struct {
	text  bool
	words []uint64
	// ends are where the texts end in arena.
	ends  []uint32
	arena []byte
	null  []bool
}

// textKey reports whether keys of type t are held as texts rather than words.
func textKey(t column.Type) bool {
	switch t.Kind {
	case column.String, column.Binary, column.JSON, column.UUID:
		return true
	case column.Decimal:
		return t.Wide()
	}
	return false
}

func (k *keys) memory() int64 {
	return int64(8*cap(k.words) + 4*cap(k.ends) + cap(k.arena) + cap(k.null))
}

// reserve makes room for n of the keys of o.
func (k *keys) reserve(o *keys, n int) {
	k.null = make([]bool, 0, n)
	if k.text {
		k.ends = make([]uint32, 0, n)
		k.arena = make([]byte, 0, len(o.arena)/max(len(o.ends), 1)*n)
	} else {
		k.words = make([]uint64, 0, n)
	}
}

func (k *keys) at(g int) []byte {
	from := uint32(0)
	if g > 0 {
		from = k.ends[g-1]
	}
	return k.arena[from:k.ends[g]]
}

func (k *keys) addNull() {
	k.null = append(k.null, true)
	if k.text {
		k.ends = append(k.ends, uint32(len(k.arena)))
	} else {
		k.words = append(k.words, 0)
	}
}

func (k *keys) addWord(w uint64) {
	k.null = append(k.null, false)
	k.words = append(k.words, w)
}

func (k *keys) addText(b []byte) {
	k.null = append(k.null, false)
	k.arena = append(k.arena, b...)
	k.ends = append(k.ends, uint32(len(k.arena)))
}

func (k *keys) add(c *column.Column, row int) {
	switch {
	case c.IsNull(row):
		k.addNull()
	case k.text:
		k.addText(textOf(c, row))
	default:
		k.addWord(wordOf(c, row))
	}
}

func (k *keys) copyFrom(o *keys, g int) {
	switch {
	case o.null[g]:
		k.addNull()
	case k.text:
		k.addText(o.at(g))
	default:
		k.addWord(o.words[g])
	}
}

func (k *keys) holds(g int, c *column.Column, row int) bool {
	null := c.IsNull(row)
	switch {
	case null || k.null[g]:
		return null == k.null[g]
	case k.text:
		return bytes.Equal(k.at(g), textOf(c, row))
	}
	return k.words[g] == wordOf(c, row)
}

func (k *keys) same(g int, o *keys, theirs int) bool {
	switch {
	case o.null[theirs] || k.null[g]:
		return o.null[theirs] == k.null[g]
	case k.text:
		return bytes.Equal(k.at(g), o.at(theirs))
	}
	return k.words[g] == o.words[theirs]
}

// compare orders a group and one of o by a key of type t, nulls first.
func (k *keys) compare(t column.Type, a int, o *keys, b int) int {
	switch {
	case k.null[a] || o.null[b]:
		return boolOrder(!k.null[a], !o.null[b])
	case k.text:
		return compareTexts(t, k.at(a), o.at(b))
	}
	return compareWords(t, k.words[a], o.words[b])
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func textOf(c *column.Column, row int) []byte {
	if c.Fixed != nil {
		return c.Fixed[16*row : 16*row+16]
	}
	return c.Text(row)
}

// wordOf is a key value as 64 bits; equal values have equal words.
func wordOf(c *column.Column, row int) uint64 {
	switch c.Type.Kind {
	case column.Boolean:
		if c.Bools.Get(row) {
			return 1
		}
		return 0
	case column.Int, column.Date:
		return uint64(int64(c.Int32s[row]))
	case column.Float:
		return floatWord(float64(c.Float32s[row]))
	case column.Double:
		return floatWord(c.Float64s[row])
	}
	return uint64(c.Int64s[row])
}

func floatWord(f float64) uint64 {
	switch {
	case f == 0:
		return 0
	case f != f:
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(f)
}

const nullWord = 0x9e3779b97f4a7c15

func (l *Layout) mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^v^l.salt, 0xd6e8feb86659fd93)
	return hi ^ lo
}

func (l *Layout) hashRow(columns []*column.Column, row int) uint64 {
	h := l.salt
	for i, c := range columns {
		switch {
		case c.IsNull(row):
			h = l.mix(h, nullWord)
		case textKey(l.Keys[i]):
			h = l.mix(h, maphash.Bytes(l.seed, textOf(c, row)))
		default:
			h = l.mix(h, wordOf(c, row))
		}
	}
	return h
}

func (t *Table) hashGroup(g int) uint64 {
	h := t.layout.salt
	for i := range t.keys {
		k := &t.keys[i]
		switch {
		case k.null[g]:
			h = t.layout.mix(h, nullWord)
		case k.text:
			h = t.layout.mix(h, maphash.Bytes(t.layout.seed, k.at(g)))
		default:
			h = t.layout.mix(h, k.words[g])
		}
	}
	return h
}

func floating(k column.Kind) bool { return k == column.Float || k == column.Double }

func fromWord(w uint64) float64 { return math.Float64frombits(w) }
