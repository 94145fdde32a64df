package agg

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// Func is an aggregate function.
type Func uint8

// The aggregate functions. The values are written to snapshots. Rows whose argument is null are
// left out, except by CountAll and List.
const (
	// CountAll counts rows, Count those whose argument is not null.
	CountAll Func = iota
	Count
	Sum
	Avg
	Min
	Max
	// CountDistinct is exact, ApproxDistinct within 1.6 % (one standard deviation).
	CountDistinct
	ApproxDistinct
	// The variance and its root, divided by n or by n-1.
	VarPop
	VarSamp
	StddevPop
	StddevSamp
	// Quantile is the value at Spec.Fraction of the sorted values, within 0.8 % of it.
	Quantile
	// First and Last are the values of the smallest and largest second argument, in ties that of
	// the first and last row; MinBy and MaxBy that of the first row in any tie.
	First
	Last
	MinBy
	MaxBy
	// List is the Spec.Limit values with the smallest second argument, ordered by it.
	List
	// TopK is the Spec.Limit most frequent values and their numbers.
	TopK
	// MinsBy and MaxsBy are the Spec.Limit values of the rows with the smallest or largest second
	// argument, ordered by it, and of equal ones by the third.
	MinsBy
	MaxsBy
)

// Spec is one aggregate of a query.
type Spec struct {
	Func Func
	// Args are the types of the argument columns. Sum, Avg, variances and quantiles take BigInt,
	// Double or Decimal; the second argument of List and the third of MinsBy and MaxsBy is a
	// Timestamp; CountAll has none.
	Args []column.Type
	// Out is the type of the result.
	Out column.Type
	// Limit is that of List, TopK, MinsBy and MaxsBy, Fraction that of Quantile.
	Limit    int
	Fraction float64
	// Filtered aggregates have a boolean column behind their arguments: rows for which it is not
	// true are left out.
	Filtered bool
	// Same is the place, counted from 1, of an aggregate in front of this one that counts the different values of
	// the same argument without a condition; 0 for none. Both are CountDistinct, and this one is Filtered.
	Same int
}

// width is how many columns the aggregate is given.
func (s Spec) width() int {
	if s.Filtered {
		return len(s.Args) + 1
	}
	return len(s.Args)
}

// arg is the kind of the first argument.
func (s Spec) arg() column.Kind {
	if len(s.Args) == 0 {
		return column.Invalid
	}
	return s.Args[0].Kind
}

// accumulator is one aggregate of all groups of a table.
type accumulator interface {
	// grow makes room for n groups.
	grow(n int)
	// add folds rows into groups; the lists are parallel.
	add(groups []uint32, args []*column.Column, rows []int32)
	// merge folds groups of o, which is of the same type, into groups; the lists are parallel.
	merge(o accumulator, groups, into []uint32)
	result(g int, out *build.Column)
	append(dst []byte) []byte
	// read reads n groups into an empty accumulator.
	read(r *Reader, n int)
	memory() int64
}

// accumulator makes an empty one.
func (l *Layout) accumulator(s Spec) accumulator {
	switch s.Func {
	case CountDistinct:
		return &distinct{set: newSet(l, s.Args[0]), of: s.Args[0]}
	case ApproxDistinct:
		return &sketches{of: s.Args[0]}
	case VarPop, VarSamp, StddevPop, StddevSamp:
		return &variance{spec: s}
	case Quantile:
		return &quantiles{spec: s}
	case First, Last, MinBy, MaxBy:
		return newBest(s)
	case List:
		return newLists(s)
	case MinsBy, MaxsBy:
		return newRankings(s)
	case TopK:
		return &frequent{spec: s, set: newSet(l, s.Args[0])}
	}
	switch {
	case (s.Func == Sum || s.Func == Avg) && s.arg() == column.Decimal:
		return &decimals{spec: s}
	case s.extreme() && textKey(s.Args[0]) && s.arg() != column.String:
		return newBest(s)
	}
	return &acc{spec: s}
}

// part is rows and their groups.
type part struct {
	groups []uint32
	rows   []int32
	marks  []uint8
}

// keep is the rows for which a condition is true.
func (p *part) keep(condition *column.Column, groups []uint32, rows []int32) {
	p.groups, p.rows = p.groups[:0], p.rows[:0]
	for k, r := range rows {
		if condition.Bools.Get(int(r)) && !condition.IsNull(int(r)) {
			p.groups, p.rows = append(p.groups, groups[k]), append(p.rows, r)
		}
	}
}

// Add folds rows into their groups; args has the columns of each aggregate in turn.
func (t *Table) Add(groups []uint32, args []*column.Column, rows []int32) {
	rows = rows[:len(groups)]
	all := args
	for i, a := range t.accs {
		s := &t.layout.Aggs[i]
		own := args[:s.width()]
		args = args[s.width():]
		d := distinctOf(a)
		if !s.Filtered && (d == nil || d.marked == nil) {
			a.add(groups, own, rows)
			continue
		}
		if t.layout.leads[i] >= 0 {
			continue
		}
		p, ok := t.layout.spare.Get().(*part)
		if !ok {
			p = new(part)
		}
		if s.Filtered {
			p.keep(own[len(s.Args)], groups, rows)
			a.add(p.groups, own, p.rows)
		} else {
			p.marks = t.marksOf(i, all, rows, p.marks)
			d.addMarked(groups, own[0], rows, p.marks)
		}
		t.layout.spare.Put(p)
	}
}
