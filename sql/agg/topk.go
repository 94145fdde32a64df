package agg

import (
	"cmp"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// frequent counts up to a number of values per group exactly. When there are more, the median of
// the counts is taken off all and those left without are forgotten (the frequent items sketch of
// Anderson et al., "A high-performance algorithm for identifying frequent items in data streams",
// 2017). Half of the values go each time, so the counts are off by at most 2/capacity of the rows.
type frequent struct {
	spec Spec
	set
	// counts has an entry for each value of the set; those that were forgotten have 0.
	counts []int64
	// off is what was taken off the counts of each group.
	off []int64
	// dead is how many values were forgotten but are still in the set.
	dead int
}

// capacity is how many values of a group are counted.
func (s Spec) capacity() int { return max(256, 16*s.Limit) }

func (a *frequent) grow(n int) {
	a.set.grow(n)
	a.off = extend(a.off, n)
}

func (a *frequent) memory() int64 {
	return a.set.memory() + int64(8*(cap(a.counts)+cap(a.off)))
}

func (a *frequent) add(groups []uint32, args []*column.Column, rows []int32) {
	c := args[0]
	for k, g := range groups {
		if r := int(rows[k]); !c.IsNull(r) {
			a.count(a.put(g, c, r), g, 1)
			a.shrink(g)
		}
	}
}

// count adds to value i of group g, which may be new or forgotten.
func (a *frequent) count(i int, g uint32, n int64) {
	switch {
	case i == len(a.counts):
		a.counts = append(a.counts, 0)
	case a.counts[i] == 0:
		a.dead--
		a.link(uint32(i), g)
	}
	a.counts[i] += n
}

func (a *frequent) link(i, g uint32) {
	a.next[i], a.head[g] = a.head[g], i+1
	a.size[g]++
}

// shrink forgets values of a group that has too many.
func (a *frequent) shrink(g uint32) {
	for int(a.size[g]) > a.spec.capacity() {
		values := a.of(g, nil)
		counts := make([]int64, len(values))
		for k, i := range values {
			counts[k] = a.counts[i]
		}
		slices.Sort(counts)
		median := counts[len(counts)/2]
		a.off[g] += median
		a.head[g], a.size[g] = 0, 0
		for _, i := range slices.Backward(values) {
			if a.counts[i] = max(0, a.counts[i]-median); a.counts[i] == 0 {
				a.dead++
			} else {
				a.link(i, g)
			}
		}
	}
	if a.dead > 64 && 2*a.dead > len(a.counts) {
		a.compact()
	}
}

// compact lets go of the values that were forgotten.
func (a *frequent) compact() {
	fresh := newSet(a.layout, a.spec.Args[0])
	fresh.grow(len(a.head))
	var counts []int64
	for i, n := range a.counts {
		if n > 0 {
			fresh.take(a.group[i], &a.set, i)
			counts = append(counts, n)
		}
	}
	a.set, a.counts, a.dead = fresh, counts, 0
}

func (a *frequent) merge(other accumulator, groups, into []uint32) {
	o := other.(*frequent)
	var values []uint32
	for k, g := range into {
		from := groups[k]
		values = o.of(from, values[:0])
		for _, i := range slices.Backward(values) {
			a.count(a.take(g, &o.set, int(i)), g, o.counts[i])
		}
		a.off[g] += o.off[from]
		a.shrink(g)
	}
}

// compareValues orders two values of the set.
func (a *frequent) compareValues(x, y uint32) int {
	return a.values.compare(a.spec.Args[0], int(x), &a.values, int(y))
}

func (a *frequent) result(g int, out *build.Column) {
	values := a.of(uint32(g), nil)
	slices.SortFunc(values, func(x, y uint32) int {
		return cmp.Or(cmp.Compare(a.counts[y], a.counts[x]), a.compareValues(x, y))
	})
	item := out.Elem()
	for _, i := range values[:min(len(values), a.spec.Limit)] {
		a.values.result(a.spec.Args[0], int(i), item.Field(0))
		item.Field(1).Int(a.counts[i] + a.off[g])
		item.EndStruct()
	}
	out.EndList()
}

// append writes the values of each group in their order, which does not tell what was forgotten when.
func (a *frequent) append(dst []byte) []byte {
	for g := range a.head {
		values := a.of(uint32(g), nil)
		slices.SortFunc(values, a.compareValues)
		dst = appendUvarint(appendVarint(dst, a.off[g]), len(values))
		for _, i := range values {
			dst = appendVarint(a.values.append(dst, int(i)), a.counts[i])
		}
	}
	return dst
}

func (a *frequent) read(r *Reader, n int) {
	a.grow(n)
	one := newSet(a.layout, a.spec.Args[0])
	for g := range n {
		if a.off[g] = r.Varint("count"); a.off[g] < 0 {
			r.fail("count")
		}
		for range r.Count("values") {
			one.values = keys{text: one.values.text}
			one.values.read(r, 1, fixedKey(a.spec.Args[0]))
			count := r.Varint("count")
			if r.err != nil {
				return
			}
			if one.values.null[0] || count <= 0 {
				r.fail("value")
				return
			}
			i := a.take(uint32(g), &one, 0)
			if i != len(a.counts) {
				r.fail("value")
				return
			}
			a.counts = append(a.counts, count)
		}
		if int(a.size[g]) > a.spec.capacity() {
			r.fail("values")
		}
	}
}
