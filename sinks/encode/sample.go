package encode

import (
	"encoding/binary"
	"math"

	"github.com/millrace-io/millrace/engine/column"
)

const (
	// sampleRows is up to how many rows a file is small: its columns have one page each, so that a look at some
	// values tells whether a dictionary would be declined, and those of most are never looked up.
	sampleRows = pageRows / 8
	sampleSize = 128
	// sampleRepeats is how many of the sample may be like others. With a third of 1,000 values like others, eight
	// of the sample are.
	sampleRepeats = 2
	sampleSlots   = 4 * sampleSize
)

// Expect tells a new file, which need not know, that it will have so many rows and no more.
func Expect(e Encoder, n int64) {
	if f, ok := e.(*parquetFile); ok && n <= sampleRows && n >= 4*sampleSize {
		for i := range f.chunks {
			f.chunks[i].sample = f.chunks[i].encoded
		}
	}
}

// differ reports whether hardly any of the values of the rows are alike.
func differ(c *column.Column, r rows) bool {
	if r.len() < 4*sampleSize {
		return false
	}
	var seen [sampleSlots]uint64
	repeats := 0
	for i := range sampleSize {
		// One more, for a free place is zero.
		print := fingerprint(c, r.at(i*r.len()/sampleSize)) | 1
		at := print * 0x9e3779b97f4a7c15 >> 32 % sampleSlots
		for ; seen[at] != 0 && seen[at] != print; at = (at + 1) % sampleSlots {
		}
		if seen[at] == print {
			if repeats++; repeats > sampleRepeats {
				return false
			}
		}
		seen[at] = print
	}
	return true
}

// fingerprint is the same for equal values. For others it may be: then they are taken to repeat, and counted.
func fingerprint(c *column.Column, row int) uint64 {
	switch {
	case c.Dict != nil:
		return uint64(c.IDs[row]) << 1
	case c.Type.Kind == column.Double:
		bits := math.Float64bits(c.Float64s[row])
		return bits ^ bits<<7
	case c.Type.Kind == column.Float:
		return uint64(math.Float32bits(c.Float32s[row])) << 1
	}
	text := c.Text(row)
	var ends [16]byte
	if n := len(text); n >= 16 {
		copy(ends[:8], text)
		copy(ends[8:], text[n-8:])
	} else {
		copy(ends[:], text)
	}
	return (binary.LittleEndian.Uint64(ends[:8])*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(ends[8:]) ^ uint64(len(text))) << 1
}
