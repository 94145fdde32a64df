package agg

import (
	"math"
	"math/bits"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
)

// acc is a count, sum, average, smallest or largest value. Which slices are used follows from the spec.
type acc struct {
	spec Spec
	// count is of rows, or of the values that are not null.
	count []int64
	// low and high are the sum of integers in 128 bits, which cannot overflow.
	low  []uint64
	high []int64
	// floats is the sum of doubles, or the smallest or largest; ints and texts the latter.
	floats []float64
	ints   []int64
	texts  []string
	// held is the bytes of texts.
	held int64
	// seen is set for groups that had a value.
	seen []bool
}

func (a *acc) memory() int64 {
	return int64(8*(cap(a.count)+cap(a.low)+cap(a.high)+cap(a.floats)+cap(a.ints))+16*cap(a.texts)+cap(a.seen)) + a.held
}

func (s Spec) extreme() bool { return s.Func == Min || s.Func == Max }

func (s Spec) counts() bool { return s.Func == CountAll || s.Func == Count || s.Func == Avg }

func (s Spec) floating() bool { return s.arg() == column.Double }

func extend[T any](s []T, n int) []T {
	var zero T
	if n > len(s)+1 {
		s = slices.Grow(s, n-len(s))
	}
	for len(s) < n {
		s = append(s, zero)
	}
	return s
}

// grow makes room for n groups.
func (a *acc) grow(n int) {
	if a.spec.counts() {
		a.count = extend(a.count, n)
	}
	switch a.spec.Func {
	case Sum, Avg:
		if a.spec.floating() {
			a.floats = extend(a.floats, n)
		} else {
			a.low, a.high = extend(a.low, n), extend(a.high, n)
		}
	case Min, Max:
		switch {
		case a.spec.floating():
			a.floats = extend(a.floats, n)
		case a.spec.arg() == column.String:
			a.texts = extend(a.texts, n)
		default:
			a.ints = extend(a.ints, n)
		}
	}
	if a.spec.Func == Sum || a.spec.extreme() {
		a.seen = extend(a.seen, n)
	}
}

// add folds rows into groups, which are parallel.
func (a *acc) add(groups []uint32, args []*column.Column, rows []int32) {
	var c *column.Column
	if a.spec.Func != CountAll {
		c = args[0]
	}
	if c == nil || a.spec.Func == Count && c.Valid == nil {
		for _, g := range groups {
			a.count[g]++
		}
		return
	}
	if a.spec.counts() {
		a.addCounts(groups, c, rows)
	}
	switch {
	case a.spec.Func == Count:
	case a.spec.extreme() && a.spec.arg() == column.String:
		a.addTexts(groups, c, rows)
	case a.spec.extreme() && a.spec.floating():
		addExtremes(a.floats, a.seen, a.spec.Func == Max, groups, c.Float64s, c, rows)
	case a.spec.extreme():
		addExtremes(a.ints, a.seen, a.spec.Func == Max, groups, c.Int64s, c, rows)
	case a.spec.floating():
		a.addFloats(groups, c, rows)
	default:
		a.addInts(groups, c, rows)
	}
}

func (a *acc) addCounts(groups []uint32, c *column.Column, rows []int32) {
	if c.Valid == nil {
		for _, g := range groups {
			a.count[g]++
		}
		return
	}
	for k, g := range groups {
		r := rows[k]
		a.count[g] += int64(c.Valid[r>>3]>>(r&7)) & 1
	}
}

func (a *acc) addFloats(groups []uint32, c *column.Column, rows []int32) {
	in, sums, seen := c.Float64s, a.floats, a.seen
	switch {
	case c.Valid == nil && seen == nil:
		for k, g := range groups {
			sums[g] += in[rows[k]]
		}
	case c.Valid == nil:
		for k, g := range groups {
			sums[g] += in[rows[k]]
			seen[g] = true
		}
	default:
		for k, g := range groups {
			if r := rows[k]; c.Valid.Get(int(r)) {
				sums[g] += in[r]
				if seen != nil {
					seen[g] = true
				}
			}
		}
	}
}

func (a *acc) addInts(groups []uint32, c *column.Column, rows []int32) {
	in := c.Int64s
	for k, g := range groups {
		r := rows[k]
		if c.Valid != nil && !c.Valid.Get(int(r)) {
			continue
		}
		a.addInt(g, uint64(in[r]), in[r]>>63)
		if a.seen != nil {
			a.seen[g] = true
		}
	}
}

func (a *acc) addInt(g uint32, low uint64, high int64) {
	sum, carry := bits.Add64(a.low[g], low, 0)
	a.low[g] = sum
	a.high[g] += high + int64(carry)
}

func addExtremes[T int64 | float64](best []T, seen []bool, largest bool, groups []uint32, in []T, c *column.Column, rows []int32) {
	switch {
	case c.Valid == nil && largest:
		for k, g := range groups {
			if v := in[rows[k]]; v > best[g] || !seen[g] {
				best[g], seen[g] = v, true
			}
		}
	case c.Valid == nil:
		for k, g := range groups {
			if v := in[rows[k]]; v < best[g] || !seen[g] {
				best[g], seen[g] = v, true
			}
		}
	default:
		for k, g := range groups {
			r := rows[k]
			if v := in[r]; c.Valid.Get(int(r)) && (!seen[g] || v != best[g] && (v > best[g]) == largest) {
				best[g], seen[g] = v, true
			}
		}
	}
}

func (a *acc) addTexts(groups []uint32, c *column.Column, rows []int32) {
	for k, g := range groups {
		if r := int(rows[k]); !c.IsNull(r) {
			a.addText(g, c.Text(r))
		}
	}
}

func (a *acc) addText(g uint32, v []byte) {
	if a.seen[g] && (string(v) == a.texts[g] || (string(v) > a.texts[g]) != (a.spec.Func == Max)) {
		return
	}
	a.held += int64(len(v) - len(a.texts[g]))
	a.texts[g], a.seen[g] = string(v), true
}

// merge folds groups of o into the groups they belong to; the two lists are parallel.
func (a *acc) merge(other accumulator, groups, into []uint32) {
	o := other.(*acc)
	for i, g := range into {
		from := groups[i]
		if a.count != nil {
			a.count[g] += o.count[from]
		}
		if o.seen != nil && !o.seen[from] {
			continue
		}
		switch {
		case a.texts != nil:
			a.addText(g, []byte(o.texts[from]))
		case a.spec.extreme() && a.floats != nil:
			mergeExtreme(a.floats, a.seen, a.spec.Func == Max, g, o.floats[from])
		case a.spec.extreme():
			mergeExtreme(a.ints, a.seen, a.spec.Func == Max, g, o.ints[from])
		case a.floats != nil:
			a.floats[g] += o.floats[from]
		case a.low != nil:
			a.addInt(g, o.low[from], o.high[from])
		}
		if a.seen != nil {
			a.seen[g] = true
		}
	}
}

func mergeExtreme[T int64 | float64](best []T, seen []bool, largest bool, g uint32, v T) {
	if !seen[g] || (v > best[g]) == largest && v != best[g] {
		best[g] = v
	}
}

// wide is the sum of integers of a group as a float.
func (a *acc) wide(g int) float64 {
	if a.high[g] == int64(a.low[g])>>63 {
		return float64(int64(a.low[g]))
	}
	return float64(a.high[g])*math.Exp2(64) + float64(a.low[g])
}
