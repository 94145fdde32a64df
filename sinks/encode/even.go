package encode

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/huff0"
)

// Identifiers, hashes and keys are texts of one length with nothing in common but that length, which PLAIN
// puts in front of each. A general match finder spends most of its time on such a page and finds only the
// lengths. evenFrames writes them as a zstd frame (RFC 8878) without looking for anything: every sequence
// copies a length from the text before, and the texts are literals with entropy coding. That costs
// a sixth of the time, and the frame is smaller, because sequences that are all the same need no bits.
type evenFrames struct {
	// pool is of *huff0.Scratch.
	pool sync.Pool
}

const (
	// evenLeast is how many texts a frame must have for its blocks not to become too small for
	// what they carry besides.
	evenLeast = 256
	// evenFirst is how many texts the block has that says how far apart the lengths are.
	evenFirst = 16
	evenWidth = 256
	// lengthSize is that of the length in front of each text.
	lengthSize = 4
	// evenSmall is up to how many texts a page is not worth being compressed both ways; a look at
	// evenSample of them decides.
	evenSmall  = 4096
	evenSample = 256
	// evenWindow is how many bytes in common a match finder makes use of.
	evenWindow = 6
	zstdBlock  = 128 << 10
)

func newEvenFrames() *evenFrames {
	e := &evenFrames{}
	e.pool.New = func() any { return &huff0.Scratch{Reuse: huff0.ReusePolicyNone, WantLogLess: 4} }
	return e
}

// suits reports whether n texts of the same width can be written.
func (*evenFrames) suits(n, width int) bool { return n >= evenLeast && width > 0 && width < evenWidth }

// repeatsInside reports whether more than one in sixteen of the pieces of some texts of a width were in those
// before, so that a match finder may do better than Huffman codes. Texts too short to tell do.
func repeatsInside(texts []byte, width int) bool {
	if width < evenWindow {
		return true
	}
	const bits = 12
	var seen [1 << bits]uint64
	n := len(texts) / width
	step := max(n/evenSample, 1)
	found, looked := 0, 0
	for i := 0; i < n; i += step {
		text := texts[i*width : (i+1)*width]
		for at := 0; at+evenWindow <= width; at++ {
			piece := uint64(binary.LittleEndian.Uint32(text[at:])) | uint64(binary.LittleEndian.Uint16(text[at+4:]))<<32
			// One more, for a free place is zero.
			slot := &seen[piece*0x9e3779b97f4a7c15>>(64-bits)]
			if *slot == piece+1 {
				found++
			}
			*slot = piece + 1
			looked++
		}
	}
	return found > looked/16
}

// append appends the frame of the PLAIN encoded texts: n of the same width, without their lengths.
func (e *evenFrames) append(dst, texts []byte, width int) []byte {
	s := e.pool.Get().(*huff0.Scratch)
	defer e.pool.Put(s)
	n := len(texts) / width
	stride := lengthSize + width
	// Magic number; a single segment whose size follows in four bytes.
	dst = append(dst, 0x28, 0xb5, 0x2f, 0xfd, 0xa0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n*stride))
	// The first length is the one that there is to copy from.
	dst = appendBlock(dst, false, false, func(b []byte) []byte {
		return binary.LittleEndian.AppendUint32(b, uint32(width))
	})
	distance := uint(stride + 3)
	code := bits.Len(distance) - 1
	first := sequences{n: evenFirst, width: width, offset: byte(code), extra: distance - 1<<code}
	dst = appendBlock(dst, true, false, func(b []byte) []byte {
		return first.append(appendRaw(b, texts[:evenFirst*width]))
	})
	texts = texts[evenFirst*width:]
	// From here the offset is that of the sequence before. After each text but the last a length is copied.
	copies := n - evenFirst - 1
	blocks := (copies*stride + width + zstdBlock - stride - width - 1) / (zstdBlock - stride - width)
	for ; blocks > 0; blocks-- {
		q := sequences{n: copies / blocks, width: width}
		copies -= q.n
		literals := texts[:q.n*width]
		if blocks == 1 {
			literals = texts
		}
		texts = texts[len(literals):]
		dst = appendBlock(dst, true, blocks == 1, func(b []byte) []byte {
			return q.append(appendLiterals(b, literals, s))
		})
	}
	return dst
}

// appendBlock puts the header in front of what content appends (RFC 8878, 3.1.1.2).
func appendBlock(dst []byte, compressed, last bool, content func([]byte) []byte) []byte {
	at := len(dst)
	dst = content(append(dst, 0, 0, 0))
	header := uint32(len(dst)-at-3) << 3
	if compressed {
		header |= 2 << 1
	}
	if last {
		header |= 1
	}
	dst[at], dst[at+1], dst[at+2] = byte(header), byte(header>>8), byte(header>>16)
	return dst
}

// appendLiterals appends a literals section with Huffman codes in four streams, when that is
// smaller (RFC 8878, 3.1.1.3.1).
func appendLiterals(dst, literals []byte, s *huff0.Scratch) []byte {
	packed, _, err := huff0.Compress4X(literals, s)
	if err != nil {
		// Not an error of the data: it does not get smaller.
		return appendRaw(dst, literals)
	}
	header := uint64(2) | 3<<2 | uint64(len(literals))<<4 | uint64(len(packed))<<22
	dst = append(dst, byte(header), byte(header>>8), byte(header>>16), byte(header>>24), byte(header>>32))
	return append(dst, packed...)
}

// appendRaw appends a literals section of the bytes as they are.
func appendRaw(dst, literals []byte) []byte {
	header := uint32(3<<2) | uint32(len(literals))<<4
	dst = append(dst, byte(header), byte(header>>8), byte(header>>16))
	return append(dst, literals...)
}

// sequences are n times the same: width literals, then a match of lengthSize bytes.
type sequences struct {
	n, width int
	// offset is the code of the match's offset, and extra its further bits, as many as the code says. Zero is
	// the offset of the sequence before.
	offset byte
	extra  uint
}

// append appends a sequences section whose three codes are constant, so that a sequence is only
// its further bits (RFC 8878, 3.1.1.3.2).
func (q sequences) append(dst []byte) []byte {
	if q.n < 128 {
		dst = append(dst, byte(q.n))
	} else {
		dst = append(dst, byte(q.n>>8)+128, byte(q.n))
	}
	const constant = 1<<6 | 1<<4 | 1<<2
	length, base, size := literalsCode(q.width)
	dst = append(dst, constant, length, q.offset, lengthSize-3)
	each := q.extra<<size | uint(q.width-base)
	width := size + int(q.offset)
	// Bits are read from the end, which a one marks.
	held, n := uint64(0), 0
	for range q.n {
		held |= uint64(each) << n
		for n += width; n >= 8; n -= 8 {
			dst = append(dst, byte(held))
			held >>= 8
		}
	}
	return append(dst, byte(held|1<<n))
}

// literalsCode is the code of a number of literals below 256, the least number of that code and how many
// further bits it has (RFC 8878, table 15).
func literalsCode(n int) (code byte, base, size int) {
	if n < 16 {
		return byte(n), n, 0
	}
	table := [...]struct{ base, size int }{{16, 1}, {18, 1}, {20, 1}, {22, 1}, {24, 2}, {28, 2}, {32, 3}, {40, 3},
		{48, 4}, {64, 6}, {128, 7}, {256, 8}}
	i := 0
	for n >= table[i+1].base {
		i++
	}
	return byte(16 + i), table[i].base, table[i].size
}
