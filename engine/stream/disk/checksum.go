package disk

import (
	"hash/crc32"
	"math/bits"

	"github.com/millrace-io/millrace/engine/record"
)

// polynomial is Castagnoli's, its bits reversed: bit 31 is the coefficient of x^0.
const polynomial = crc32.Castagnoli

// shifts are x^(8·2^k) modulo the polynomial: by what a checksum is multiplied when 2^k bytes follow.
var shifts = func() (s [bits.UintSize]uint32) {
	s[0] = 1 << (31 - 8)
	for k := 1; k < len(s); k++ {
		s[k] = multiply(s[k-1], s[k-1])
	}
	return s
}()

// multiply is a·b modulo the polynomial.
func multiply(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		product ^= b & -(a >> 31)
		b = b>>1 ^ polynomial&-(b&1)
	}
	return product
}

// joined is the checksum of two pieces, made of that of each; the second has n bytes. It takes a
// microsecond, whatever n is.
func joined(first, second uint32, n int) uint32 {
	for left := uint(n); left != 0; left &= left - 1 {
		first = multiply(first, shifts[bits.TrailingZeros(left)])
	}
	return first ^ second
}

// sum is the checksum of a body, if its writer knows it.
type sum struct {
	value uint32
	known bool
}

// sumBatch is the checksum of a large batch that is to be stored as it is. The writers compute it, each
// on its own, before they queue: the committer, through which all bytes go one after the other, then
// only joins it to the header's.
func (l *Log) sumBatch(b *record.Batch) sum {
	if b.Size() <= gather || b.Size() > maxBody {
		return sum{}
	}
	if s := l.settings.Load(); s.compression != codecNone || s.encrypt {
		return sum{}
	}
	return sum{value: crc32.Checksum(b.Body(0), castagnoli), known: true}
}
