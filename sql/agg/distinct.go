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
	if !a.values.text {
		for len(rows) > 0 {
			n := min(len(rows), probes)
			a.addWords(groups[:n], c, rows[:n])
			groups, rows = groups[n:], rows[n:]
		}
		return
	}
	for k, g := range groups {
		if r := int(rows[k]); !c.IsNull(r) {
			a.put(g, c, r)
		}
	}
}

// addWords puts up to probes values, of which most were seen before as a rule.
func (a *distinct) addWords(groups []uint32, c *column.Column, rows []int32) {
	var p probe
	for k, g := range groups {
		if r := int(rows[k]); !c.IsNull(r) {
			p.groups[p.n], p.words[p.n], p.at[p.n] = g, wordOf(c, r), int32(r)
			p.n++
		}
	}
	for _, k := range a.strange(&p) {
		a.put(p.groups[k], c, int(p.at[k]))
	}
}

func (a *distinct) merge(other accumulator, groups, into []uint32) {
	o := other.(*distinct)
	var values []uint32
	var p probe
	take := func() {
		for _, k := range a.strange(&p) {
			a.take(p.groups[k], &o.set, int(p.at[k]))
		}
		p.n = 0
	}
	for k, g := range groups {
		values = o.set.of(g, values[:0])
		// In the order they came, so that a snapshot is that of the rows.
		for i := len(values) - 1; i >= 0; i-- {
			v := values[i]
			if a.values.text {
				a.take(into[k], &o.set, int(v))
				continue
			}
			if p.groups[p.n], p.words[p.n], p.at[p.n] = into[k], o.values.words[v], int32(v); p.n == probes-1 {
				p.n++
				take()
				continue
			}
			p.n++
		}
	}
	take()
}

func (a *distinct) result(g int, out *build.Column) {
	n := int64(a.size[g])
	if g < len(a.counted) {
		n += a.counted[g]
	}
	out.Int(n)
}

func (a *distinct) read(r *Reader, n int) { a.set.read(r, n, fixedKey(a.of)) }
