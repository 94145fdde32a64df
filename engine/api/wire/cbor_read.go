package wire

import (
	"encoding/binary"
	"math"
)

// head is what a CBOR value begins with (RFC 8949, section 3).
type head struct {
	major byte
	// value is the argument; a float's bits, when wide is set to their number of bytes.
	value uint64
	wide  int
	// open says that the length follows from a break.
	open bool
}

// breakByte ends what has no length.
const breakByte = 0xff

// cborTags passes over tags, which say nothing that the field's type does not.
func (r *Reader) cborTags() {
	for range maxDepth {
		if r.pos >= len(r.b) || r.b[r.pos]>>5 != 6 {
			return
		}
		r.cborHead()
	}
	r.syntax()
}

func (r *Reader) cborKind() Kind {
	r.cborTags()
	if r.err != nil || r.pos >= len(r.b) {
		return Invalid
	}
	c := r.b[r.pos]
	switch c >> 5 {
	case 0, 1:
		return Number
	case 2:
		return Bytes
	case 3:
		return String
	case 4:
		return Array
	case 5:
		return Object
	}
	switch c {
	case 0xf4, 0xf5:
		return Bool
	case 0xf6, 0xf7:
		return Null
	case 0xf9, 0xfa, 0xfb:
		return Number
	}
	return Invalid
}

// cborHead reads a head, and only its bytes.
func (r *Reader) cborHead() (h head) {
	if r.err != nil || r.pos >= len(r.b) {
		r.syntax()
		return h
	}
	c := r.b[r.pos]
	h.major, h.value = c>>5, uint64(c&31)
	rest := r.b[r.pos+1:]
	size := 0
	switch {
	case h.value < 24:
	case h.value < 28:
		size = 1 << (h.value - 24)
		if len(rest) < size {
			r.syntax()
			return head{}
		}
		var wide [8]byte
		copy(wide[8-size:], rest[:size])
		h.value = binary.BigEndian.Uint64(wide[:])
	case h.value == 31 && h.major >= 2 && h.major != 6:
		h.open = true
	default:
		r.syntax()
		return head{}
	}
	h.wide = size
	r.pos += 1 + size
	return h
}

// cborBegin enters an array or object and returns how many items it has; -1 until a break.
func (r *Reader) cborBegin() int {
	h := r.cborHead()
	if h.open {
		return -1
	}
	if h.value > uint64(len(r.b)-r.pos) { // every item has a byte at least
		r.syntax()
		return 0
	}
	return int(h.value)
}

// cborNext reports whether one more item follows, and leaves the array or object if not.
func (r *Reader) cborNext() bool {
	left := &r.left[r.depth-1]
	switch {
	case *left > 0:
		*left--
		return true
	case *left == 0:
	case r.pos >= len(r.b):
		r.syntax()
		return false
	case r.b[r.pos] != breakByte:
		return true
	default:
		r.pos++
	}
	r.depth--
	return false
}

// cborString is a byte string or text: major type 2 or 3. One in pieces is put together.
func (r *Reader) cborString(major byte) []byte {
	h := r.cborHead()
	if h.major != major {
		r.syntax()
	}
	if !h.open {
		return r.take(h.value)
	}
	whole := []byte{}
	for r.err == nil {
		if r.pos < len(r.b) && r.b[r.pos] == breakByte {
			r.pos++
			return whole
		}
		piece := r.cborHead()
		if piece.major != major || piece.open {
			r.syntax()
		}
		whole = append(whole, r.take(piece.value)...)
	}
	return nil
}

func (r *Reader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)-r.pos) {
		r.syntax()
		return nil
	}
	b := r.b[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b
}

func (r *Reader) cborNumber() (x float64, n int64, whole bool) {
	h := r.cborHead()
	switch {
	case h.major == 0 && h.value <= math.MaxInt64:
		return 0, int64(h.value), true
	case h.major == 1 && h.value <= math.MaxInt64:
		return 0, -1 - int64(h.value), true
	case h.major == 7 && h.wide == 8:
		return math.Float64frombits(h.value), 0, false
	case h.major == 7 && h.wide == 4:
		return float64(math.Float32frombits(uint32(h.value))), 0, false
	case h.major == 7 && h.wide == 2:
		return half(uint16(h.value)), 0, false
	}
	return math.Inf(1), 0, false // too large for any field
}

// half is a number of 16 bits (RFC 8949, appendix D).
func half(b uint16) float64 {
	exponent, mantissa := int(b>>10&31), float64(b&1023)
	var x float64
	switch exponent {
	case 0:
		x = math.Ldexp(mantissa, -24)
	case 31:
		if x = math.Inf(1); mantissa != 0 {
			x = math.NaN()
		}
	default:
		x = math.Ldexp(mantissa+1024, exponent-25)
	}
	if b>>15 != 0 {
		return -x
	}
	return x
}

func (r *Reader) cborSkip() {
	switch r.Kind() {
	case Array:
		for r.BeginArray(); r.NextItem(); {
			r.Skip()
		}
	case Object:
		// Keys need not be texts here.
		for r.begin(); r.err == nil && r.cborNext(); {
			r.Skip()
			r.Skip()
		}
	case Bytes:
		r.cborString(2)
	case String:
		r.cborString(3)
	case Invalid:
		r.syntax()
	default:
		r.cborHead()
	}
}
