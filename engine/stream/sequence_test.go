package stream

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// TestSequenceReadsNumbersOfTheService takes apart numbers that AWS's documentation shows.
func TestSequenceReadsNumbersOfTheService(t *testing.T) {
	for text, shard := range map[string]record.ShardID{
		"49590338271490256608559692538361571095921575989136588898": 6,
		"49544985256907370027570885864065577703022652638596431874": 0,
	} {
		q, err := ParseSequence(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		created, arrived := time.Unix(q.Created, 0), time.Unix(q.Arrived, 0)
		if q.String() != text || q.Shard != shard || arrived.Before(created) || created.Year() < 2013 || arrived.Year() > 2019 {
			t.Errorf("%s: shard %d created %s, record %d arrived %s; written as %s", text, uint32(q.Shard), created, q.Index, arrived, q)
		}
	}
}

func TestSequenceFollowsTheLayout(t *testing.T) {
	q := Sequence{Created: 0x123456789, Arrived: 0x0abcdef01, Shard: 0x2f, Index: 0x0fedcba987654321}
	// 2 | 123456789 | f | 0fedcba987654321 | 00 | 0abcdef01 | 0000002f | 2
	if got := q.String(); got != hexToDecimal(t, "2123456789f0fedcba987654321000abcdef010000002f2") || len(got) != 56 {
		t.Errorf("%+v is %s", q, got)
	}
	for _, q := range []Sequence{{}, {Created: 1<<36 - 1, Arrived: 1<<36 - 1, Shard: math.MaxUint32, Index: endIndex}, q} {
		if back, err := ParseSequence(q.String()); err != nil || back != q {
			t.Errorf("%+v came back as %+v, %v", q, back, err)
		}
	}
}

func hexToDecimal(t *testing.T, hex string) string {
	t.Helper()
	digits := []int{0}
	for _, c := range hex {
		carry := int(c - '0')
		if c >= 'a' {
			carry = int(c-'a') + 10
		}
		for i := range digits {
			carry += digits[i] * 16
			digits[i], carry = carry%10, carry/10
		}
		for ; carry > 0; carry /= 10 {
			digits = append(digits, carry%10)
		}
	}
	var text string
	for _, d := range digits {
		text = string(rune('0'+d)) + text
	}
	return text
}

func TestSequenceNumbersRise(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	parent := Shard{ID: 3, Created: time.Unix(1_700_000_000, 0)}
	last := parent.First().String()
	arrival := parent.Created.UnixMilli()
	var o record.Ordinal
	for range 1000 {
		o += record.Ordinal(r.IntN(1000))
		arrival += r.Int64N(100_000)
		next := parent.Sequence(o, arrival)
		if back, ok := next.Ordinal(); !ok || back != o || next.String() <= last {
			t.Fatalf("record %d has number %s after %s", o, next, last)
		}
		last = next.String()
		o++
	}
	parent.Closed = time.UnixMilli(arrival)
	child := Shard{ID: 4, Created: parent.Created.Add(time.Second)}
	if end := parent.Last().String(); end <= last || child.First().String() <= end {
		t.Errorf("the parent ends at %s after %s, the child begins at %s", end, last, child.First())
	}
	if _, ok := child.First().Ordinal(); ok {
		t.Error("the beginning of a shard has an ordinal")
	}
}

func FuzzSequence(f *testing.F) {
	f.Add(Sequence{Created: 1e9, Arrived: 2e9, Shard: 7, Index: 5}.String())
	f.Add("49590338271490256608559692538361571095921575989136588898")
	f.Add("+9590338271490256608559692538361571095921575989136588898")
	f.Add("00000000000000000000000000000000000000000000000000000000")
	f.Fuzz(func(t *testing.T, text string) {
		q, err := ParseSequence(text)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Error(err)
			}
			return
		}
		if q.String() != text {
			t.Errorf("%q is %+v, which is written %s", text, q, q)
		}
	})
}
