package expr

import (
	"slices"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

func TestUnnestGivesARowPerElement(t *testing.T) {
	b := build.New(listOf(bigint))
	for _, list := range [][]int64{{1, 2}, nil, {}, {3}} {
		if list == nil {
			b.Null()
			continue
		}
		for _, v := range list {
			b.Elem().Int(v)
		}
		b.EndList()
	}
	c := b.Finish()
	for _, each := range []struct {
		sel               []int32
		outer             bool
		parents, elements []int32
	}{
		{[]int32{0, 1, 2, 3}, false, []int32{0, 0, 3}, []int32{0, 1, 2}},
		{[]int32{0, 1, 2, 3}, true, []int32{0, 0, 1, 2, 3}, []int32{0, 1, -1, -1, 2}},
		{[]int32{2, 3}, true, []int32{2, 3}, []int32{-1, 2}},
		{nil, true, nil, nil},
	} {
		parents, elements := Unnest(c, each.sel, each.outer, nil, nil)
		if !slices.Equal(parents, each.parents) || !slices.Equal(elements, each.elements) {
			t.Errorf("rows %v: parents %v, elements %v", each.sel, parents, elements)
		}
	}
	if c.Type.Kind != column.List || c.Nulls != 1 {
		t.Errorf("%s with %d nulls", c.Type, c.Nulls)
	}
}
