package decimal

import (
	"bytes"
	"strconv"
)

// powers are 10^0 to 10^38.
var powers = func() (p [MaxDigits + 1]Int128) {
	p[0] = FromInt(1)
	for i := 1; i <= MaxDigits; i++ {
		p[i], _ = p[i-1].Mul(FromInt(10))
	}
	return p
}()

// Power is 10^n for n from 0 to 38.
func Power(n int) Int128 { return powers[n] }

// Fits reports whether a has at most the given number of digits.
func (a Int128) Fits(digits int) bool {
	if a.Hi < 0 {
		a = a.Neg()
	}
	return a.Hi >= 0 && a.Cmp(powers[digits]) < 0
}

// Rounding is what becomes of digits that are dropped.
type Rounding uint8

// The ways to round.
const (
	// HalfAway rounds to the nearest, halves away from zero.
	HalfAway Rounding = iota
	// Truncate rounds towards zero.
	Truncate
	// Floor rounds down.
	Floor
	// Ceil rounds up.
	Ceil
)

// Rescale changes the scale of a and reports whether the result fits 128 bits.
func (a Int128) Rescale(from, to int, mode Rounding) (Int128, bool) {
	if to >= from {
		return a.Mul(powers[to-from])
	}
	unit := powers[from-to]
	q, r := a.QuoRem(unit)
	if r.Sign() == 0 {
		return q, true
	}
	step := Int128{}
	switch mode {
	case HalfAway:
		rh, rl := r.magnitude()
		// The remainder is below 10^38, so that its double fits.
		if d := (Int128{Hi: int64(rh<<1 | rl>>63), Lo: rl << 1}); d.Cmp(unit) >= 0 {
			step = FromInt(int64(a.Sign()))
		}
	case Floor:
		if a.Sign() < 0 {
			step = FromInt(-1)
		}
	case Ceil:
		if a.Sign() > 0 {
			step = FromInt(1)
		}
	}
	return q.Add(step)
}

// Parse reads digits with an optional sign, point and exponent, as a number of the given
// precision and scale; digits beyond the scale are rounded. It reports false when b is no number or does not fit.
func Parse(b []byte, precision, scale int) (Int128, bool) {
	b = bytes.TrimSpace(b)
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative, b = b[0] == '-', b[1:]
	}
	exponent := 0
	if i := bytes.IndexAny(b, "eE"); i >= 0 {
		e, err := strconv.Atoi(string(b[i+1:]))
		if err != nil || e < -1000 || e > 1000 {
			return Int128{}, false
		}
		exponent, b = e, b[:i]
	}
	whole, fraction, _ := bytes.Cut(b, []byte{'.'})
	if len(whole)+len(fraction) == 0 {
		return Int128{}, false
	}
	v, ok := fromDigits(whole, fraction, exponent, scale)
	if !ok {
		return v, false
	}
	if negative {
		v = v.Neg()
	}
	return v, v.Fits(precision)
}

// fromDigits is the number of digits before and behind a point that is moved by an exponent.
func fromDigits(whole, fraction []byte, exponent, scale int) (Int128, bool) {
	var v Int128
	up := false
	last := 0
	for i := range len(whole) + len(fraction) {
		c := byte(0)
		if i < len(whole) {
			c = whole[i]
		} else {
			c = fraction[i-len(whole)]
		}
		if c < '0' || c > '9' {
			return v, false
		}
		// place is the decimal place of this digit, counted behind the point.
		place := i + 1 - len(whole) - exponent
		if place > scale {
			up = up || place == scale+1 && c >= '5'
			continue
		}
		last = place
		var ok bool
		if v, ok = v.Mul(powers[1]); ok {
			v, ok = v.Add(FromInt(int64(c - '0')))
		}
		if !ok {
			return v, false
		}
	}
	if missing := scale - last; v != (Int128{}) {
		var ok bool
		if missing > MaxDigits {
			return v, false
		}
		if v, ok = v.Mul(powers[missing]); !ok {
			return v, false
		}
	}
	if up {
		return v.Add(FromInt(1))
	}
	return v, true
}

// Append appends a with its point.
func Append(dst []byte, a Int128, scale int) []byte {
	var buf [48]byte
	hi, lo := a.magnitude()
	n := len(buf)
	for k := 0; hi|lo != 0 || k <= scale; k++ {
		if k == scale && scale > 0 {
			n--
			buf[n] = '.'
		}
		var r uint64
		hi, lo, _, r = divide(hi, lo, 0, 10)
		n--
		buf[n] = '0' + byte(r)
	}
	if a.Hi < 0 {
		n--
		buf[n] = '-'
	}
	return append(dst, buf[n:]...)
}
