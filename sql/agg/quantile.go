package agg

import (
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// binShift leaves 6 bits of a double's fraction, so that the middle of a bin is at most 1/128 of
// a value away from it. Bins need no logarithm and are the same on every machine.
const binShift = 52 - 6

// bin counts the values whose leading bits are the same.
type bin struct {
	count uint64
	index int32
}

// histogram is the bins of one group, ascending, and what is known exactly.
type histogram struct {
	bins     []bin
	count    uint64
	min, max float64
}

// quantiles holds a histogram per group. Merged in any order they are the same.
type quantiles struct {
	spec Spec
	all  []histogram
	held int64
}

func (a *quantiles) grow(n int) { a.all = extend(a.all, n) }

func (a *quantiles) memory() int64 { return int64(48*cap(a.all)) + a.held }

// binOf numbers the bins by ascending value; that of zero is 0.
func binOf(x float64) int32 {
	b := math.Float64bits(x)
	if x < 0 {
		return -1 - int32(b&^(1<<63)>>binShift)
	}
	return int32(b &^ (1 << 63) >> binShift)
}

// middle is the value that stands for a bin.
func middle(index int32) float64 {
	switch {
	case index < 0:
		return -middle(-1 - index)
	case index == 0:
		return 0
	}
	from := math.Float64frombits(uint64(index) << binShift)
	return from + (math.Float64frombits(uint64(index+1)<<binShift)-from)/2
}

func (a *quantiles) add(groups []uint32, args []*column.Column, rows []int32) {
	in := numbersOf(args[0])
	for k, g := range groups {
		r := int(rows[k])
		if in.c.IsNull(r) {
			continue
		}
		x := in.at(r)
		if x-x != 0 {
			continue
		}
		h := &a.all[g]
		if h.count == 0 {
			h.min, h.max = x, x
		}
		h.min, h.max = min(h.min, x), max(h.max, x)
		a.count(h, binOf(x), 1)
	}
}

func (a *quantiles) count(h *histogram, index int32, n uint64) {
	h.count += n
	at, found := slices.BinarySearchFunc(h.bins, index, func(b bin, i int32) int { return int(b.index) - int(i) })
	if found {
		h.bins[at].count += n
		return
	}
	before := cap(h.bins)
	h.bins = slices.Insert(h.bins, at, bin{count: n, index: index})
	a.held += int64(16 * (cap(h.bins) - before))
}

func (a *quantiles) merge(other accumulator, groups, into []uint32) {
	o := other.(*quantiles)
	for k, g := range into {
		from, h := &o.all[groups[k]], &a.all[g]
		if from.count == 0 {
			continue
		}
		if h.count == 0 {
			h.min, h.max = from.min, from.max
		}
		h.min, h.max = min(h.min, from.min), max(h.max, from.max)
		for _, b := range from.bins {
			a.count(h, b.index, b.count)
		}
	}
}

func (a *quantiles) result(g int, out *build.Column) {
	h := &a.all[g]
	if h.count == 0 {
		out.Null()
		return
	}
	// The place of the value among all, from 0.
	rank := uint64(a.spec.Fraction * float64(h.count-1))
	switch rank {
	case 0:
		out.Float(h.min)
		return
	case h.count - 1:
		out.Float(h.max)
		return
	}
	for _, b := range h.bins {
		if rank < b.count {
			out.Float(min(max(middle(b.index), h.min), h.max))
			return
		}
		rank -= b.count
	}
	out.Float(h.max)
}

func (a *quantiles) append(dst []byte) []byte {
	for g := range a.all {
		h := &a.all[g]
		dst = appendUvarint(dst, len(h.bins))
		if len(h.bins) == 0 {
			continue
		}
		dst = appendFloat(appendFloat(dst, h.min), h.max)
		for _, b := range h.bins {
			dst = appendUvarint(appendVarint(dst, int64(b.index)), int(b.count))
		}
	}
	return dst
}

func (a *quantiles) read(r *Reader, n int) {
	a.grow(n)
	for g := range n {
		h := &a.all[g]
		bins := r.Count("bins")
		if bins == 0 {
			continue
		}
		h.min, h.max = r.float("smallest"), r.float("largest")
		last := int64(math.MinInt64)
		for range bins {
			index, count := r.Varint("bin"), r.Uvarint("count")
			if r.err != nil {
				return
			}
			if index <= last || index < math.MinInt32 || index > math.MaxInt32 || count == 0 || count > math.MaxInt64-h.count {
				r.fail("bin")
				return
			}
			last = index
			a.count(h, int32(index), count)
		}
	}
}
