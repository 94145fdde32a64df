package record

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"math/big"
)

// HashKey is an unsigned 128-bit number, the space that shards divide among themselves.
type HashKey struct{ Hi, Lo uint64 }

// MaxHashKey is 2^128-1.
var MaxHashKey = HashKey{Hi: ^uint64(0), Lo: ^uint64(0)}

// Hash is the MD5 of a partition key as a big-endian number (Kinesis API, PutRecord). MD5 spreads
// keys here; nothing relies on it being hard to reverse.
func Hash(partitionKey []byte) HashKey {
	sum := md5.Sum(partitionKey)
	return HashKey{Hi: binary.BigEndian.Uint64(sum[:8]), Lo: binary.BigEndian.Uint64(sum[8:])}
}

// Compare is -1, 0 or 1 as h is below, at or above o.
func (h HashKey) Compare(o HashKey) int {
	switch {
	case h.Hi != o.Hi && h.Hi < o.Hi, h.Hi == o.Hi && h.Lo < o.Lo:
		return -1
	case h == o:
		return 0
	}
	return 1
}

// Less reports whether h is below o.
func (h HashKey) Less(o HashKey) bool { return h.Compare(o) < 0 }

// Next is the hash key after h, 0 after the highest.
func (h HashKey) Next() HashKey {
	h.Lo++
	if h.Lo == 0 {
		h.Hi++
	}
	return h
}

// Prev is the hash key before h, the highest before 0.
func (h HashKey) Prev() HashKey {
	if h.Lo == 0 {
		h.Hi--
	}
	h.Lo--
	return h
}

// String is the decimal spelling, as the Kinesis API prints hash keys.
func (h HashKey) String() string { return h.big().String() }

// MarshalText is String, so that documents hold the decimal spelling.
func (h HashKey) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is ParseHashKey.
func (h *HashKey) UnmarshalText(text []byte) error {
	k, err := ParseHashKey(string(text))
	*h = k
	return err
}

// ParseHashKey reads a decimal hash key of 0 to 2^128-1.
func ParseHashKey(text string) (HashKey, error) {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || n.Sign() < 0 || n.BitLen() > 128 || len(text) > 39 {
		return HashKey{}, fmt.Errorf("hash key %q: want a decimal number from 0 to 2^128-1", text)
	}
	return fromBig(n), nil
}

// Range is an inclusive range of hash keys.
type Range struct {
	Start HashKey `json:"start"`
	End   HashKey `json:"end"`
}

// AllKeys is the range of every hash key.
func AllKeys() Range { return Range{End: MaxHashKey} }

// Contains reports whether h lies in r.
func (r Range) Contains(h HashKey) bool { return !h.Less(r.Start) && !r.End.Less(h) }

// Intersect returns the keys that lie in both; ok is false when there are none.
func (r Range) Intersect(o Range) (both Range, ok bool) {
	if r.Start.Less(o.Start) {
		r.Start = o.Start
	}
	if o.End.Less(r.End) {
		r.End = o.End
	}
	return r, !r.End.Less(r.Start)
}

// Precedes reports whether o begins right behind r.
func (r Range) Precedes(o Range) bool { return r.End != MaxHashKey && r.End.Next() == o.Start }

// String is both ends, inclusive.
func (r Range) String() string { return r.Start.String() + "-" + r.End.String() }

// Middle is the key that halves r best: the first of its upper half.
func (r Range) Middle() HashKey {
	n := r.Start.big()
	n.Add(n, r.End.big())
	return fromBig(n.Add(n, big.NewInt(1)).Rsh(n, 1))
}

// EvenRanges cuts the whole space into n ranges of floor(2^128/n) keys; the last takes the rest
// (Kinesis API, CreateStream).
func EvenRanges(n int) []Range {
	width := new(big.Int).Lsh(big.NewInt(1), 128)
	width.Div(width, big.NewInt(int64(n)))
	ranges := make([]Range, n)
	start := new(big.Int)
	for i := range ranges {
		ranges[i].Start = fromBig(start)
		start.Add(start, width)
		ranges[i].End = fromBig(new(big.Int).Sub(start, big.NewInt(1)))
	}
	ranges[n-1].End = MaxHashKey
	return ranges
}

func (h HashKey) big() *big.Int {
	n := new(big.Int).SetUint64(h.Hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(h.Lo))
}

func fromBig(n *big.Int) HashKey {
	lo := new(big.Int).And(n, new(big.Int).SetUint64(^uint64(0)))
	return HashKey{Hi: new(big.Int).Rsh(n, 64).Uint64(), Lo: lo.Uint64()}
}
