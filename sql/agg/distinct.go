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
	// marked are the aggregates of the same values with conditions; marks has a bit for each of them per value.
	marked []*marked
	marks  []uint8
}

// settle counts the values and forgets them.
func (a *distinct) settle() {
	a.counted = extend(a.counted, len(a.size))
	for g, n := range a.size {
		a.counted[g] += int64(n)
	}
	for _, m := range a.marked {
		m.settle()
	}
	a.marks = nil
	groups := len(a.head)
	a.set = newSet(a.layout, a.of)
	a.grow(groups)
}

func (a *distinct) add(groups []uint32, args []*column.Column, rows []int32) {
	a.addMarked(groups, args[0], rows, nil)
}

func (a *distinct) memory() int64 { return a.set.memory() + int64(8*cap(a.counted)+cap(a.marks)) }

// addMarked is add with the conditions that are true of each row; marks may be nil.
func (a *distinct) addMarked(groups []uint32, c *column.Column, rows []int32, marks []uint8) {
	if !a.values.text {
		for len(rows) > 0 {
			n := min(len(rows), probes)
			a.addWords(groups[:n], c, rows[:n], marks)
			groups, rows, marks = groups[n:], rows[n:], marks[min(n, len(marks)):]
		}
		return
	}
	for k, g := range groups {
		r := int(rows[k])
		if c.IsNull(r) {
			continue
		}
		if i := a.put(g, c, r); marks != nil {
			a.note(i, g, marks[k])
		}
	}
}

// addWords puts up to probes values, of which most were seen before as a rule.
func (a *distinct) addWords(groups []uint32, c *column.Column, rows []int32, marks []uint8) {
	var p probe
	for k, g := range groups {
		if r := int(rows[k]); !c.IsNull(r) {
			p.groups[p.n], p.words[p.n], p.at[p.n] = g, wordOf(c, r), int32(r)
			if marks != nil {
				p.marks[p.n] = marks[k]
			}
			p.n++
		}
	}
	for _, k := range a.strange(&p) {
		p.found[k][0] = uint32(a.put(p.groups[k], c, int(p.at[k]))) + 1
	}
	a.noteAll(&p)
}

// noteAll notes the conditions of the values that were looked for, which are all found.
func (a *distinct) noteAll(p *probe) {
	if len(a.marked) == 0 {
		return
	}
	for k, i := range p.found[:p.n] {
		a.note(int(i[0]-1), p.groups[k], p.marks[k])
	}
}

func (a *distinct) merge(other accumulator, groups, into []uint32) {
	o := other.(*distinct)
	var values []uint32
	var p probe
	take := func() {
		for _, k := range a.strange(&p) {
			p.found[k][0] = uint32(a.take(p.groups[k], &o.set, int(p.at[k]))) + 1
		}
		a.noteAll(&p)
		p.n = 0
	}
	for k, g := range groups {
		values = o.set.of(g, values[:0])
		// In the order they came, so that a snapshot is that of the rows.
		for i := len(values) - 1; i >= 0; i-- {
			v := values[i]
			if a.values.text {
				a.note(a.take(into[k], &o.set, int(v)), into[k], o.marksOf(int(v)))
				continue
			}
			p.marks[p.n] = o.marksOf(int(v))
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
