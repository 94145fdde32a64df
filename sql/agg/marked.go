package agg

import (
	"math/bits"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// marked counts the different values of the rows that pass a condition. It holds none: the same values without a
// condition are counted too, and each of those has a mark. A value is looked for once, however many conditions
// there are.
type marked struct {
	of   *distinct
	bit  uint8
	size []uint32
	// counted is as in distinct.
	counted []int64
}

// maxMarked is how many conditions the values of one set have marks for.
const maxMarked = 8

// leads are the places of the aggregates that hold the values of others, -1 for those that hold their own.
func leads(aggs []Spec) []int {
	out, taken := make([]int, len(aggs)), make([]int, len(aggs))
	for i, a := range aggs {
		out[i] = a.Same - 1
		if out[i] < 0 {
			continue
		}
		if taken[out[i]]++; taken[out[i]] > maxMarked {
			out[i] = -1
		}
	}
	return out
}

// mark makes an accumulator of values that a holds.
func (a *distinct) mark() *marked {
	m := &marked{of: a, bit: 1 << len(a.marked)}
	a.marked = append(a.marked, m)
	return m
}

// note says that value i of group g came with conditions that were true.
func (a *distinct) note(i int, g uint32, marks uint8) {
	if len(a.marked) == 0 {
		return
	}
	a.marks = extend(a.marks, len(a.group))
	fresh := marks &^ a.marks[i]
	for a.marks[i] |= fresh; fresh != 0; fresh &= fresh - 1 {
		a.marked[bits.TrailingZeros8(fresh)].size[g]++
	}
}

// marksOf is what was noted of value i.
func (a *distinct) marksOf(i int) uint8 {
	if i < len(a.marks) {
		return a.marks[i]
	}
	return 0
}

// marksOf are the conditions that are true of rows, for the values that the i-th aggregate holds.
func (t *Table) marksOf(i int, args []*column.Column, rows []int32, dst []uint8) []uint8 {
	dst = append(dst[:0], make([]uint8, len(rows))...)
	bit, at := uint8(1), 0
	for k := range t.layout.Aggs {
		s := &t.layout.Aggs[k]
		if at += s.width(); t.layout.leads[k] != i {
			continue
		}
		condition := args[at-1]
		for n, r := range rows {
			if condition.Bools.Get(int(r)) && !condition.IsNull(int(r)) {
				dst[n] |= bit
			}
		}
		bit <<= 1
	}
	return dst
}

func (a *marked) grow(n int) { a.size = extend(a.size, n) }

// add does nothing: the rows come by way of the aggregate that holds the values, as do groups in merge.
func (a *marked) add([]uint32, []*column.Column, []int32) {}

func (a *marked) merge(accumulator, []uint32, []uint32) {}

func (a *marked) memory() int64 { return int64(4*cap(a.size) + 8*cap(a.counted)) }

// settle counts the values, which are about to be forgotten.
func (a *marked) settle() {
	a.counted = extend(a.counted, len(a.size))
	for g, n := range a.size {
		a.counted[g] += int64(n)
	}
	clear(a.size)
}

func (a *marked) result(g int, out *build.Column) {
	n := int64(a.size[g])
	if g < len(a.counted) {
		n += a.counted[g]
	}
	out.Int(n)
}

// append writes what a distinct writes.
func (a *marked) append(dst []byte) []byte {
	n := 0
	for _, size := range a.size {
		n += int(size)
	}
	dst = appendUvarint(dst, n)
	for i, marks := range a.of.marks {
		if marks&a.bit != 0 {
			dst = appendUvarint(dst, int(a.of.group[i]))
			dst = a.of.values.append(dst, i)
		}
	}
	return dst
}

// read is behind that of the aggregate that holds the values.
func (a *marked) read(r *Reader, n int) {
	a.grow(n)
	given := newSet(a.of.layout, a.of.of)
	for k := range r.Count("values") {
		g := r.Uvarint("group of a value")
		given.values.read(r, 1, fixedKey(a.of.of))
		if r.err != nil {
			return
		}
		if g >= uint64(n) || given.values.null[k] {
			r.fail("value")
			return
		}
		i := a.of.find(a.of.hashOf(&given, k, uint32(g)), func(i int) bool {
			return a.of.group[i] == uint32(g) && a.of.values.same(i, &given.values, k)
		})
		if i < 0 || a.of.marksOf(i)&a.bit != 0 {
			r.fail("value")
			return
		}
		a.of.note(i, uint32(g), a.bit)
	}
}

func (a *marked) written(groups []uint32) int {
	n, all := 0, 0
	for at, g := range groups {
		values := int(a.size[g])
		all += values
		n += values * uvarintSize(at)
		if !a.of.values.text {
			n += values * (1 + 8)
			continue
		}
		for i := a.of.head[g]; i != 0; i = a.of.next[i-1] {
			if a.of.marksOf(int(i-1))&a.bit != 0 {
				n += a.of.values.size(int(i - 1))
			}
		}
	}
	return n + uvarintSize(all)
}
