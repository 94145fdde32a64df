package capacity

import (
	"math/bits"
	"slices"

	"github.com/millrace-io/millrace/engine/record"
)

// minKeys is how many sampled keys a cut must rest on.
const minKeys = 16

// cut is where to split a shard.
type cut struct {
	at record.HashKey
	// share is the part of the load that the heavier side keeps; 1 without a useful cut.
	share float64
	// hot is the heaviest single hash key and part its part of the load.
	hot  record.HashKey
	part float64
}

// findCut returns the start of the right side that divides the weight of keys best, within what a
// split may ask for: above the range's start + 1 and below its end (Kinesis API, SplitShard).
// It sorts keys. ok is false when there are too few to tell.
func findCut(r record.Range, keys []Key) (c cut, ok bool) {
	if len(keys) < minKeys {
		return cut{}, false
	}
	slices.SortFunc(keys, func(a, b Key) int { return a.Hash.Compare(b.Hash) })
	var total int64
	for _, k := range keys {
		total += k.Weight
	}
	c.share = 1
	var left, same int64
	for i, k := range keys {
		if i > 0 && keys[i-1].Hash != k.Hash {
			same = 0
			// Anywhere between two keys divides the sample alike; the middle is the best guess
			// for keys that were not sampled.
			at := between(keys[i-1].Hash, k.Hash)
			share := float64(max(left, total-left)) / float64(total)
			if share < c.share && legal(r, at) {
				c.at, c.share = at, share
			}
		}
		left += k.Weight
		same += k.Weight
		if part := float64(same) / float64(total); part > c.part {
			c.hot, c.part = k.Hash, part
		}
	}
	return c, true
}

// legal reports whether a shard may be split at a hash key.
func legal(r record.Range, at record.HashKey) bool {
	return next(r.Start).Less(at) && at.Less(r.End)
}

// between returns the middle of (a, b], for a < b.
func between(a, b record.HashKey) record.HashKey {
	lo, borrow := bits.Sub64(b.Lo, a.Lo, 0)
	hi, _ := bits.Sub64(b.Hi, a.Hi, borrow)
	// Half of the distance, rounded up: at least 1.
	half := record.HashKey{Hi: hi >> 1, Lo: lo>>1 | hi<<63}
	if lo&1 != 0 {
		half = next(half)
	}
	var carry uint64
	half.Lo, carry = bits.Add64(a.Lo, half.Lo, 0)
	half.Hi, _ = bits.Add64(a.Hi, half.Hi, carry)
	return half
}

// next is h + 1.
func next(h record.HashKey) record.HashKey {
	var carry uint64
	h.Lo, carry = bits.Add64(h.Lo, 1, 0)
	h.Hi += carry
	return h
}
