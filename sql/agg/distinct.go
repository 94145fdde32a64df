package agg

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// distinct counts different values exactly: it holds them all.
type distinct struct {
	set
	of column.Type
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

func (a *distinct) result(g int, out *build.Column) { out.Int(int64(a.size[g])) }

func (a *distinct) read(r *Reader, n int) { a.set.read(r, n, fixedKey(a.of)) }
