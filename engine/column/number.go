package column

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"strconv"

	"github.com/millrace-io/millrace/engine/jsonscan"
)

// pow10 are the powers of ten that a float64 holds exactly.
var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// numberLike reports whether the value at i starts like a number.
func numberLike(b []byte, i int) bool { return b[i] == '-' || b[i]-'0' <= 9 }

// more reports whether a number goes on at i after its integer digits.
func more(b []byte, i int) bool { return i < len(b) && (b[i] == '.' || b[i]|0x20 == 'e') }

func (d *Decoder) integerValue(f *field, b []byte, i int) int {
	v, end := d.integer(f.typ, b, i)
	if end < 0 {
		return end
	}
	if f.typ.Kind == BigInt {
		f.b.appendInt64(v)
		return end
	}
	if v != int64(int32(v)) {
		return d.outOfRange(b, i, f.typ)
	}
	f.b.appendInt32(int32(v))
	return end
}

// integer reads the number at i, which must be integral, however it is written.
func (d *Decoder) integer(t Type, b []byte, i int) (v int64, end int) {
	j := i
	if b[j] == '-' {
		j++
	}
	start := j
	var u uint64
	for j < len(b) && b[j]-'0' <= 9 {
		u = u*10 + uint64(b[j]-'0')
		j++
	}
	if n := j - start; n == 0 || n > 18 || n > 1 && b[start] == '0' || more(b, j) {
		return d.oddInteger(t, b, i)
	}
	if start > i {
		return -int64(u), j
	}
	return int64(u), j
}

// oddInteger is integer for numbers that are long, have a fraction or an exponent, or are none.
func (d *Decoder) oddInteger(t Type, b []byte, i int) (v int64, end int) {
	n, end := d.number(t, b, i)
	if end < 0 {
		return 0, end
	}
	hi, lo, st := n.scaled(0, 19)
	switch {
	case st == malformed:
		return 0, d.mismatch(b, i, t)
	case st == outside || hi != 0 || lo > 1<<63 || lo == 1<<63 && !n.negative:
		return 0, d.outOfRange(b, i, t)
	case n.negative:
		return -int64(lo), end
	}
	return int64(lo), end
}

func (d *Decoder) doubleValue(f *field, b []byte, i int) int {
	j := i
	if b[j] == '-' {
		j++
	}
	start := j
	var u uint64
	for j < len(b) && b[j]-'0' <= 9 {
		u = u*10 + uint64(b[j]-'0')
		j++
	}
	whole := j - start
	fraction := 0
	if j < len(b) && b[j] == '.' {
		for j++; j < len(b) && b[j]-'0' <= 9; j++ {
			u = u*10 + uint64(b[j]-'0')
			fraction++
		}
		if fraction == 0 {
			whole = 0
		}
	}
	// A quotient of two exact floats is rounded once, so it is the nearest (Clinger 1990).
	if whole == 0 || whole > 1 && b[start] == '0' || whole+fraction > 19 || u > 1<<53 || fraction > 22 || j < len(b) && b[j]|0x20 == 'e' {
		return d.oddFloat(f, b, i, 64)
	}
	v := float64(u) / pow10[fraction]
	if start > i {
		v = -v
	}
	f.b.appendFloat64(v)
	return j
}

func (d *Decoder) floatValue(f *field, b []byte, i int) int { return d.oddFloat(f, b, i, 32) }

func (d *Decoder) oddFloat(f *field, b []byte, i, size int) int {
	if !numberLike(b, i) {
		return d.mismatch(b, i, f.typ)
	}
	end, _, err := jsonscan.Number(b, i)
	if err != nil {
		return d.failSyntax(err)
	}
	v, err := strconv.ParseFloat(view(b[i:end]), size)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return d.outOfRange(b, i, f.typ)
	case size == 32:
		f.b.appendFloat32(float32(v))
	default:
		f.b.appendFloat64(v)
	}
	return end
}

func (d *Decoder) decimalValue(f *field, b []byte, i int) int {
	n, end := d.decimal(f.typ, b, i)
	if end < 0 {
		return end
	}
	hi, lo, st := n.scaled(f.typ.Scale, f.typ.Precision)
	switch st {
	case malformed:
		return d.fail(CodeRange, i, excerpt(b, i)+" has too many digits after the point for "+article(f.typ))
	case outside:
		return d.outOfRange(b, i, f.typ)
	}
	if n.negative {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	if !f.typ.Wide() {
		f.b.appendInt64(int64(lo))
		return end
	}
	var v [16]byte
	binary.BigEndian.PutUint64(v[:], hi)
	binary.BigEndian.PutUint64(v[8:], lo)
	f.b.appendFixed(v)
	return end
}

// decimal reads the number at i, which may be in quotes: exact numbers often travel as text, since
// many readers of JSON make floats of its numbers.
func (d *Decoder) decimal(t Type, b []byte, i int) (n number, end int) {
	if b[i] != '"' {
		return d.number(t, b, i)
	}
	s, end := d.text(b, i)
	if end < 0 {
		return n, end
	}
	if len(s) == 0 || !numberLike(s, 0) {
		return n, d.mismatch(b, i, t)
	}
	if stop, _, err := jsonscan.Number(s, 0); err != nil || stop < len(s) {
		return n, d.mismatch(b, i, t)
	}
	return parseNumber(s), end
}

// number is a decimal number as written: digits times ten to the power of exponent. The digits
// have no zeros at either end.
type number struct {
	negative bool
	hi, lo   uint64
	digits   int
	exponent int
}

// number reads the number at i.
func (d *Decoder) number(t Type, b []byte, i int) (n number, end int) {
	if !numberLike(b, i) {
		return n, d.mismatch(b, i, t)
	}
	end, _, err := jsonscan.Number(b, i)
	if err != nil {
		return n, d.failSyntax(err)
	}
	return parseNumber(b[i:end]), end
}

// parseNumber reads a valid JSON number. Numbers of more than 38 significant digits have digits
// counted, but hi and lo are meaningless.
func parseNumber(s []byte) (n number) {
	if s[0] == '-' {
		n.negative = true
		s = s[1:]
	}
	zeros, point := 0, false
	for i, c := range s {
		switch {
		case c == '.':
			point = true
			continue
		case c|0x20 == 'e':
			n.exponent += exponent(s[i+1:])
			n.exponent += zeros
			return n
		}
		if point {
			n.exponent--
		}
		if c == '0' {
			if n.digits > 0 {
				zeros++
			}
			continue
		}
		n.push(zeros, c-'0')
		zeros = 0
	}
	n.exponent += zeros
	return n
}

func (n *number) push(zeros int, digit byte) {
	if n.digits += zeros + 1; n.digits > 38 {
		return
	}
	for range zeros {
		n.times10(0)
	}
	n.times10(uint64(digit))
}

func (n *number) times10(digit uint64) {
	over, lo := bits.Mul64(n.lo, 10)
	lo, carry := bits.Add64(lo, digit, 0)
	n.hi, n.lo = n.hi*10+over+carry, lo
}

// exponent is the value of an exponent's text, cut off where no number is in range any more but
// for those with as many digits.
func exponent(s []byte) int {
	negative := s[0] == '-'
	if negative || s[0] == '+' {
		s = s[1:]
	}
	e := 0
	for _, c := range s {
		e = min(e*10+int(c-'0'), math.MaxInt32)
	}
	if negative {
		return -e
	}
	return e
}

// scaled is n times ten to the power of scale. It is malformed when that is not integral and
// outside when it has more digits than precision.
func (n number) scaled(scale, precision int) (hi, lo uint64, st form) {
	if n.digits == 0 {
		return 0, 0, wellFormed
	}
	shift := n.exponent + scale
	switch {
	case shift < 0:
		return 0, 0, malformed
	case n.digits+shift > precision:
		return 0, 0, outside
	}
	for range shift {
		n.times10(0)
	}
	return n.hi, n.lo, wellFormed
}
