package stream

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// Sequence is a record's sequence number, taken apart. Its text is a decimal number of 56 digits,
// as of Amazon's service: in hexadecimal
//
//	2 | creation second of the shard, 9 | shard, lowest digit | index, 16 | 00 |
//	arrival second of the record, 9 | shard, 8 | 2
//
// so that numbers rise within a shard, and from parents to children.
type Sequence struct {
	// Created is the second when the shard was created, Arrived that when the record was stored; both
	// below 2^36.
	Created, Arrived int64
	Shard            record.ShardID
	// Index is the record's ordinal plus 1; 0 is the shard's beginning, and the highest its end.
	Index uint64
}

// endIndex is the index of the number behind all of a shard's records.
const endIndex = math.MaxInt64

// String is the decimal spelling.
func (q Sequence) String() string { return string(q.Append(nil)) }

// Append appends the decimal spelling to dst.
func (q Sequence) Append(dst []byte) []byte {
	shard := uint64(uint32(q.Shard))
	// The 47 hexadecimal digits as three words: the lower two have 16 each.
	created, arrived := uint64(q.Created)&(1<<36-1), uint64(q.Arrived)&(1<<36-1)
	return appendDecimal(dst, [3]uint64{
		2<<56 | created<<20 | shard&15<<16 | q.Index>>48,
		q.Index<<16 | arrived>>28,
		arrived<<36 | shard<<4 | 2,
	})
}

// group is the highest power of ten in a word, of groupDigits digits.
const (
	group       = 10_000_000_000_000_000_000
	groupDigits = 19
)

// pairs are the numbers below 100 in two digits each: half the divisions of one digit after the other.
const pairs = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849" +
	"5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"

// appendDecimal appends a number of three words, the highest first.
func appendDecimal(dst []byte, n [3]uint64) []byte {
	var text [3 * groupDigits]byte
	end := len(text)
	for range 3 {
		var rest uint64
		for i := range n {
			n[i], rest = bits.Div64(rest, n[i], group)
		}
		for range groupDigits / 2 {
			end -= 2
			pair := rest % 100 * 2
			text[end], text[end+1] = pairs[pair], pairs[pair+1]
			rest /= 100
		}
		end--
		text[end] = byte('0' + rest)
	}
	return append(dst, bytes.TrimLeft(text[:], "0")...)
}

// ParseSequence reads a sequence number that String may have written. Errors wrap ErrInvalid.
func ParseSequence(text string) (Sequence, error) {
	bad := func(why string) (Sequence, error) {
		return Sequence{}, fmt.Errorf("%w: sequence number %.60q: %s", ErrInvalid, text, why)
	}
	if len(text) != 56 {
		return bad("want 56 digits")
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || n.Sign() < 0 || text[0] == '+' {
		return bad("want a decimal number")
	}
	hex := n.Text(16)
	if len(hex) != 47 || hex[0] != '2' || hex[27:29] != "00" || hex[46] != '2' {
		return bad("it is not of a known version")
	}
	part := func(from, to int) uint64 {
		v, _ := new(big.Int).SetString(hex[from:to], 16)
		return v.Uint64()
	}
	q := Sequence{
		Created: int64(part(1, 10)), Index: part(11, 27),
		Arrived: int64(part(29, 38)), Shard: record.ShardID(part(38, 46)),
	}
	if part(10, 11) != uint64(q.Shard&15) || q.Index > endIndex {
		return bad("its parts contradict each other")
	}
	return q, nil
}

// Ordinal is the record's place in its shard. For the shard's beginning ok is false.
func (q Sequence) Ordinal() (o record.Ordinal, ok bool) {
	return record.Ordinal(q.Index) - 1, q.Index > 0
}

// Sequence is the number of the shard's record that was stored at an arrival time, in milliseconds
// since the epoch.
func (s Shard) Sequence(o record.Ordinal, arrival int64) Sequence {
	return Sequence{
		Created: s.Created.Unix(), Arrived: time.UnixMilli(arrival).Unix(), Shard: s.ID, Index: uint64(o) + 1,
	}
}

// First is the number where the shard begins: below that of every record.
func (s Shard) First() Sequence {
	return Sequence{Created: s.Created.Unix(), Arrived: s.Created.Unix(), Shard: s.ID}
}

// Last is the number where a closed shard ends: above that of every record.
func (s Shard) Last() Sequence {
	return Sequence{Created: s.Created.Unix(), Arrived: s.Closed.Unix(), Shard: s.ID, Index: endIndex}
}
