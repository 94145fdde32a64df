package encode

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace-io/millrace/engine/column"
)

// bounds are the least and greatest value of a page or chunk, as statistics store them: PLAIN,
// without a length in front. Texts are cut to boundLength; then they still bound the values, but
// are not exact.
type bounds struct {
	min, max []byte
	valid    bool
	exact    bool
}

// boundLength is where texts in statistics are cut.
const boundLength = 64

// bounds of the open page; not valid when there are no values, or nothing but NaN.
func (v *values) bounds(kind column.Kind) bounds {
	if v.n == 0 {
		return bounds{}
	}
	switch v.physical {
	case format.Boolean:
		return v.boolBounds()
	case format.Int32:
		lo, hi := extremes(v.int32s)
		return bounds{raw(lo), raw(hi), true, true}
	case format.Int64:
		lo, hi := extremes(v.int64s)
		return bounds{raw(lo), raw(hi), true, true}
	case format.Float:
		return floatBounds(v.floats)
	case format.Double:
		return floatBounds(v.doubles)
	case format.FixedLenByteArray:
		return v.fixedBounds(kind)
	}
	lo, hi := v.text(0), v.text(0)
	for i := 1; i < v.n; i++ {
		if t := v.text(i); bytes.Compare(t, lo) < 0 {
			lo = t
		} else if bytes.Compare(t, hi) > 0 {
			hi = t
		}
	}
	return textBounds(lo, hi, kind)
}

func extremes[T cmp.Ordered](s []T) (lo, hi T) {
	lo, hi = s[0], s[0]
	for _, v := range s[1:] {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

// floatBounds leaves NaN out and widens zeros to both signs, as the format demands.
func floatBounds[T float32 | float64](s []T) bounds {
	lo, hi, found := T(0), T(0), false
	for _, v := range s {
		switch {
		case v != v:
		case !found:
			lo, hi, found = v, v, true
		case v < lo:
			lo = v
		case v > hi:
			hi = v
		}
	}
	if !found {
		return bounds{}
	}
	if lo == 0 {
		lo = T(math.Copysign(0, -1))
	}
	if hi == 0 {
		hi = 0
	}
	return bounds{raw(lo), raw(hi), true, true}
}

func (v *values) boolBounds() bounds {
	ones := 0
	for i := range v.n {
		ones += int(v.bits[i>>3] >> (i & 7) & 1)
	}
	b := bounds{[]byte{0}, []byte{1}, true, true}
	if ones == v.n {
		b.min[0] = 1
	}
	if ones == 0 {
		b.max[0] = 0
	}
	return b
}

func (v *values) fixedBounds(kind column.Kind) bounds {
	compare := comparison(kind, format.FixedLenByteArray)
	lo, hi := v.bytes[:fixedLength], v.bytes[:fixedLength]
	for i := 1; i < v.n; i++ {
		t := v.bytes[i*fixedLength:][:fixedLength]
		if compare(t, lo) < 0 {
			lo = t
		} else if compare(t, hi) > 0 {
			hi = t
		}
	}
	return bounds{bytes.Clone(lo), bytes.Clone(hi), true, true}
}

func textBounds(lo, hi []byte, kind column.Kind) bounds {
	b := bounds{valid: true, exact: len(lo) <= boundLength && len(hi) <= boundLength}
	utf := kind != column.Binary
	b.min = bytes.Clone(cut(lo, utf))
	b.max = bytes.Clone(cut(hi, utf))
	if len(b.max) < len(hi) {
		if b.max = successor(b.max, utf); b.max == nil {
			return bounds{}
		}
	}
	return b
}

// cut shortens a text to boundLength, at a character.
func cut(t []byte, utf bool) []byte {
	if len(t) <= boundLength {
		return t
	}
	n := boundLength
	for utf && n > 0 && !utf8.RuneStart(t[n]) {
		n--
	}
	return t[:n]
}

// successor is a text greater than every text that begins with t; nil when there is none.
func successor(t []byte, utf bool) []byte {
	for len(t) > 0 {
		if !utf {
			if last := t[len(t)-1]; last < 0xff {
				return append(bytes.Clone(t[:len(t)-1]), last+1)
			}
			t = t[:len(t)-1]
			continue
		}
		r, size := utf8.DecodeLastRune(t)
		t = t[:len(t)-size]
		if r == 0xd7ff {
			r = 0xdfff
		}
		if r < utf8.MaxRune && !(r == utf8.RuneError && size == 1) {
			return utf8.AppendRune(bytes.Clone(t), r+1)
		}
	}
	return nil
}

// comparison is the order of a column's values as its statistics store them.
func comparison(kind column.Kind, physical format.Type) func(a, b []byte) int {
	switch physical {
	case format.Int32:
		return func(a, b []byte) int {
			return cmp.Compare(int32(binary.NativeEndian.Uint32(a)), int32(binary.NativeEndian.Uint32(b)))
		}
	case format.Int64:
		return func(a, b []byte) int {
			return cmp.Compare(int64(binary.NativeEndian.Uint64(a)), int64(binary.NativeEndian.Uint64(b)))
		}
	case format.Float:
		return func(a, b []byte) int {
			return cmp.Compare(math.Float32frombits(binary.NativeEndian.Uint32(a)),
				math.Float32frombits(binary.NativeEndian.Uint32(b)))
		}
	case format.Double:
		return func(a, b []byte) int {
			return cmp.Compare(math.Float64frombits(binary.NativeEndian.Uint64(a)),
				math.Float64frombits(binary.NativeEndian.Uint64(b)))
		}
	case format.FixedLenByteArray:
		if kind == column.Decimal {
			return compareDecimals
		}
	}
	return bytes.Compare
}

// compareDecimals compares big-endian two's complement numbers.
func compareDecimals(a, b []byte) int {
	if c := cmp.Compare(int8(a[0]), int8(b[0])); c != 0 {
		return c
	}
	return bytes.Compare(a[1:], b[1:])
}

// widen makes b cover o too.
func (b *bounds) widen(o bounds, compare func(x, y []byte) int) {
	if !b.valid {
		*b = o
		return
	}
	if compare(o.min, b.min) < 0 {
		b.min = o.min
	}
	if compare(o.max, b.max) > 0 {
		b.max = o.max
	}
	b.exact = b.exact && o.exact
}
