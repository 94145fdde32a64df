// Package decimal is exact arithmetic on decimals of up to 38 digits: whole numbers of 128 bits
// whose scale the type of the column knows.
//
// The invariant to remember: what does not fit is reported, never wrapped around.
package decimal

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// MaxDigits is the largest precision.
const MaxDigits = 38

// Int128 is a whole number of 128 bits in two's complement.
type Int128 struct {
	Hi int64
	Lo uint64
}

// FromInt is v.
func FromInt(v int64) Int128 { return Int128{Hi: v >> 63, Lo: uint64(v)} }

// Int is the value and whether it fits.
func (a Int128) Int() (int64, bool) { return int64(a.Lo), a.Hi == int64(a.Lo)>>63 }

// FromFloat is f rounded half away from zero, and whether it fits.
func FromFloat(f float64) (Int128, bool) {
	f = math.Round(f)
	if !(math.Abs(f) < 1<<126) {
		return Int128{}, false
	}
	if math.Abs(f) < 1<<62 {
		return FromInt(int64(f)), true
	}
	fraction, exponent := math.Frexp(math.Abs(f))
	// The 53 bits of the fraction, shifted to their place.
	shift := uint(exponent - 53)
	m := uint64(fraction * (1 << 53))
	v := Int128{Hi: int64(m >> (64 - shift)), Lo: m << shift}
	if shift >= 64 {
		v = Int128{Hi: int64(m << (shift - 64))}
	}
	if f < 0 {
		v = v.Neg()
	}
	return v, true
}

// Float is the nearest double, or next to it.
func (a Int128) Float() float64 {
	if v, ok := a.Int(); ok {
		return float64(v)
	}
	hi, lo := a.magnitude()
	f := float64(hi)*(1<<64) + float64(lo)
	if a.Hi < 0 {
		return -f
	}
	return f
}

// FromBytes reads 16 bytes, big-endian.
func FromBytes(b []byte) Int128 {
	return Int128{Hi: int64(binary.BigEndian.Uint64(b)), Lo: binary.BigEndian.Uint64(b[8:])}
}

// Put writes 16 bytes, big-endian.
func (a Int128) Put(b []byte) {
	binary.BigEndian.PutUint64(b, uint64(a.Hi))
	binary.BigEndian.PutUint64(b[8:], a.Lo)
}

// Neg is -a; the least value stays as it is, which no decimal of 38 digits is.
func (a Int128) Neg() Int128 {
	lo, borrow := bits.Sub64(0, a.Lo, 0)
	hi, _ := bits.Sub64(0, uint64(a.Hi), borrow)
	return Int128{Hi: int64(hi), Lo: lo}
}

// Sign is -1, 0 or 1.
func (a Int128) Sign() int {
	switch {
	case a.Hi < 0:
		return -1
	case a.Hi == 0 && a.Lo == 0:
		return 0
	}
	return 1
}

// Cmp is -1, 0 or 1 as a is less than, equal to or more than b.
func (a Int128) Cmp(b Int128) int {
	switch {
	case a.Hi < b.Hi, a.Hi == b.Hi && a.Lo < b.Lo:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// Add is a+b and whether it fits.
func (a Int128) Add(b Int128) (Int128, bool) {
	lo, carry := bits.Add64(a.Lo, b.Lo, 0)
	hi, _ := bits.Add64(uint64(a.Hi), uint64(b.Hi), carry)
	s := Int128{Hi: int64(hi), Lo: lo}
	return s, (a.Hi^s.Hi)&(b.Hi^s.Hi) >= 0
}

// Sub is a-b and whether it fits.
func (a Int128) Sub(b Int128) (Int128, bool) {
	lo, borrow := bits.Sub64(a.Lo, b.Lo, 0)
	hi, _ := bits.Sub64(uint64(a.Hi), uint64(b.Hi), borrow)
	d := Int128{Hi: int64(hi), Lo: lo}
	return d, (a.Hi^b.Hi)&(a.Hi^d.Hi) >= 0
}

// magnitude is the value without its sign.
func (a Int128) magnitude() (hi, lo uint64) {
	if a.Hi < 0 {
		a = a.Neg()
	}
	return uint64(a.Hi), a.Lo
}

// signed puts a sign to a magnitude and reports whether it fits.
func signed(hi, lo uint64, negative bool) (Int128, bool) {
	v := Int128{Hi: int64(hi), Lo: lo}
	if negative {
		return v.Neg(), hi < 1<<63
	}
	return v, hi < 1<<63
}

// Mul is a*b and whether it fits.
func (a Int128) Mul(b Int128) (Int128, bool) {
	ah, al := a.magnitude()
	bh, bl := b.magnitude()
	if ah != 0 && bh != 0 {
		return Int128{}, false
	}
	hi, lo := bits.Mul64(al, bl)
	over1, cross1 := bits.Mul64(ah, bl)
	over2, cross2 := bits.Mul64(al, bh)
	hi, carry1 := bits.Add64(hi, cross1, 0)
	hi, carry2 := bits.Add64(hi, cross2, 0)
	if over1|over2|carry1|carry2 != 0 {
		return Int128{}, false
	}
	return signed(hi, lo, a.Hi < 0 != (b.Hi < 0))
}

// QuoRem divides towards zero; b is not zero. The remainder has the sign of a.
func (a Int128) QuoRem(b Int128) (q, r Int128) {
	ah, al := a.magnitude()
	bh, bl := b.magnitude()
	qh, ql, rh, rl := divide(ah, al, bh, bl)
	q, _ = signed(qh, ql, a.Hi < 0 != (b.Hi < 0))
	r, _ = signed(rh, rl, a.Hi < 0)
	return q, r
}

// divide is long division of magnitudes.
func divide(ah, al, bh, bl uint64) (qh, ql, rh, rl uint64) {
	if bh == 0 {
		qh, rh = ah/bl, ah%bl
		ql, rl = bits.Div64(rh, al, bl)
		return qh, ql, 0, rl
	}
	// The quotient has at most 64 bits. Estimate it from the leading bits; it is at most one too small.
	n := uint(bits.LeadingZeros64(bh))
	top := bh<<n | bl>>(64-n)
	ql, _ = bits.Div64(ah>>1, ah<<63|al>>1, top)
	if ql >>= 63 - n; ql > 0 {
		ql--
	}
	ph, pl := bits.Mul64(bl, ql)
	ph += bh * ql
	rl, borrow := bits.Sub64(al, pl, 0)
	rh, _ = bits.Sub64(ah, ph, borrow)
	if rh > bh || rh == bh && rl >= bl {
		ql++
		rl, borrow = bits.Sub64(rl, bl, 0)
		rh, _ = bits.Sub64(rh, bh, borrow)
	}
	return 0, ql, rh, rl
}
