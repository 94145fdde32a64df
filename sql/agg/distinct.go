package agg

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// distinct counts different values exactly: it holds them all.
type distinct struct {
	set
	of column.Type
	// counted is how many values of each group settle let go of.
	counted []int64
}

// settle counts the values and forgets them.
func (a *distinct) settle() {
	a.counted = extend(a.counted, len(a.size))
	for g, n := range a.size {
		a.counted[g] += int64(n)
	}
	groups := len(a.head)
	a.set = newSet(a.layout, a.of)
	a.grow(groups)
}

func (a *distinct) add(groups []uint32, args []*column.Column, rows []int32) {
	c := args[0]
	for k, g := range groups {
		if r := int(rows[k]); !c.IsNull(r) {
			a.put(g, c, r)
		}
	}
}

func (a *distinct) merge(other accumulator, groups, into []uint32) {
	o := other.(*distinct)
	var values []uint32
	for k, g := range groups {
		values = o.set.of(g, values[:0])
		// In the order they came, so that a snapshot is that of the rows.
		for i := len(values) - 1; i >= 0; i-- {
			a.take(into[k], &o.set, int(values[i]))
		}
	}
}

func (a *distinct) result(g int, out *build.Column) {
	n := int64(a.size[g])
	if g < len(a.counted) {
		n += a.counted[g]
	}
	out.Int(n)
}

func (a *distinct) read(r *Reader, n int) { a.set.read(r, n, fixedKey(a.of)) }
