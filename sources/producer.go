package sources

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// ProducerID is a producer's id, the same in every run: a hash of what names the input. Each part
// counts by itself, so ("a", "bc") and ("ab", "c") differ. It is never zero.
func ProducerID(parts ...string) uint64 {
	h := xxhash.New()
	var size [8]byte
	for _, part := range parts {
		binary.LittleEndian.PutUint64(size[:], uint64(len(part)))
		_, _ = h.Write(size[:]) // a hash takes everything
		_, _ = h.WriteString(part)
	}
	return max(h.Sum64(), 1)
}
