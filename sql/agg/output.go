package agg

import (
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// Sorted is the groups in the order of their keys, nulls first.
func (t *Table) Sorted() []int {
	order := make([]int, t.n)
	for g := range order {
		order[g] = g
	}
	t.Sort(order)
	return order
}

// Sort puts some groups in the order of their keys, nulls first.
func (t *Table) Sort(groups []int) {
	slices.SortFunc(groups, func(a, b int) int { return t.Compare(a, t, b) })
}

// Compare orders a group of t and one of o, which has the same layout, by their keys.
func (t *Table) Compare(g int, o *Table, theirs int) int {
	for i := range t.keys {
		if c := t.keys[i].compare(t.layout.Keys[i], g, &o.keys[i], theirs); c != 0 {
			return c
		}
	}
	return 0
}

// Portion is the groups in the i-th of n portions. A key is in the same one in all tables of the layout.
func (t *Table) Portion(i, n int) []uint32 {
	out := make([]uint32, 0, t.n/n+t.n/(8*n)+8)
	for g, h := range t.hashes {
		if int(h>>32*uint64(n)>>32) == i {
			out = append(out, uint32(g))
		}
	}
	return out
}

// Key appends key i of the groups to a column of its type.
func (t *Table) Key(i int, groups []int, out *build.Column) {
	for _, g := range groups {
		t.keys[i].result(t.layout.Keys[i], g, out)
	}
}

func (k *keys) result(t column.Type, g int, out *build.Column) {
	switch {
	case k.null[g]:
		out.Null()
	case k.text:
		out.Text(k.at(g))
	case floating(t.Kind):
		out.Float(fromWord(k.words[g]))
	default:
		out.Int(int64(k.words[g]))
	}
}

// Result appends the results of aggregate i to a column of its type.
func (t *Table) Result(i int, groups []int, out *build.Column) {
	a := t.accs[i]
	for _, g := range groups {
		a.result(g, out)
	}
}

func (a *acc) result(g int, out *build.Column) {
	switch a.spec.Func {
	case CountAll, Count:
		out.Int(a.count[g])
		return
	case Avg:
		a.average(g, out)
		return
	}
	switch {
	case !a.seen[g]:
		out.Null()
	case a.texts != nil:
		out.Text([]byte(a.texts[g]))
	case a.floats != nil:
		finite(a.floats[g], out)
	case a.ints != nil:
		out.Int(a.ints[g])
	case a.high[g] != int64(a.low[g])>>63:
		out.Null()
	default:
		out.Int(int64(a.low[g]))
	}
}

func (a *acc) average(g int, out *build.Column) {
	switch {
	case a.count[g] == 0:
		out.Null()
	case a.floats != nil:
		finite(a.floats[g]/float64(a.count[g]), out)
	default:
		finite(a.wide(g)/float64(a.count[g]), out)
	}
}

// finite appends f, or null if it is no finite number.
func finite(f float64, out *build.Column) {
	if f-f != 0 {
		out.Null()
		return
	}
	out.Float(f)
}
