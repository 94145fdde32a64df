package agg

import "github.com/zeebo/xxh3"

// Sections are the groups of a table by key group, so that as many small tables can be folded one after
// another instead of all at once. Where a few groups have many different values, it is these that are
// divided: a group is then in all sections that have values of it, and the rest of it in one.
type Sections struct {
	table   *Table
	byValue bool
	groups  [KeyGroups][]uint32
	// values are those of each COUNT(DISTINCT …), by the place of the aggregate.
	values map[int]*[KeyGroups][]uint32
}

// Divisible reports whether tables of the layout can be divided by values.
func (l *Layout) Divisible() bool {
	for _, a := range l.Aggs {
		if a.Func == CountDistinct {
			return true
		}
	}
	return false
}

// Divide sorts the groups of a table, which must not change while the sections are in use.
func (t *Table) Divide(byValue bool) *Sections {
	s := &Sections{table: t, byValue: byValue}
	for g := range t.n {
		i := t.section(g)
		s.groups[i] = append(s.groups[i], uint32(g))
	}
	if !byValue {
		return s
	}
	s.values = make(map[int]*[KeyGroups][]uint32)
	for i, a := range t.accs {
		if d := distinctOf(a); d != nil {
			s.values[i] = new([KeyGroups][]uint32)
			for v := range d.group {
				k := d.values.section(v)
				s.values[i][k] = append(s.values[i][k], uint32(v))
			}
		}
	}
	return s
}

// distinctOf is an accumulator as one of different values, nil if it is none.
func distinctOf(a accumulator) *distinct {
	d, _ := a.(*distinct)
	return d
}

// section is the key group of a group.
func (t *Table) section(g int) int {
	h := uint64(0)
	for i := range t.keys {
		h = spread(h ^ t.keys[i].lasting(g))
	}
	return int(h >> 56)
}

func (k *keys) lasting(g int) uint64 {
	switch {
	case k.null[g]:
		return nullWord
	case k.text:
		return xxh3.Hash(k.at(g))
	}
	return spread(k.words[g])
}

func (k *keys) section(g int) int { return int(spread(k.lasting(g)) >> 56) }

// MergeSection folds a section of another table into t.
func (t *Table) MergeSection(o *Sections, i int) {
	if !o.byValue {
		t.MergeGroups(o.table, o.groups[i])
		return
	}
	into := make(map[uint32]uint32)
	enter := func(g uint32) uint32 {
		mine, ok := into[g]
		if !ok {
			mine = t.MergeKeys(o.table, []uint32{g})[0]
			into[g] = mine
		}
		return mine
	}
	var rest []uint32
	for _, g := range o.groups[i] {
		rest = append(rest, enter(g))
	}
	for n, a := range t.accs {
		d := distinctOf(a)
		if d == nil {
			a.merge(o.table.accs[n], o.groups[i], rest)
			continue
		}
		from := distinctOf(o.table.accs[n])
		for _, v := range o.values[n][i] {
			// A group that is new grows the accumulators of t.
			g := enter(from.group[v])
			d.note(d.take(g, &from.set, int(v)), g, from.marksOf(int(v)))
		}
	}
}

// MergeKeys enters the keys of some groups of o, without what was aggregated, and returns where they are.
func (t *Table) MergeKeys(o *Table, groups []uint32) []uint32 {
	into := make([]uint32, len(groups))
	for i, from := range groups {
		g := int(from)
		found := t.lookup(o.hashes[g], func(mine int) bool { return t.sameGroup(mine, o, g) })
		if found < 0 {
			for i := range t.keys {
				t.keys[i].copyFrom(&o.keys[i], g)
			}
			found = t.insert(o.hashes[g])
		}
		into[i] = uint32(found)
	}
	return into
}

// Settle counts different values and lets go of them: those that are folded in behind must be others.
func (t *Table) Settle() {
	for _, a := range t.accs {
		if d := distinctOf(a); d != nil {
			d.settle()
		}
	}
}
