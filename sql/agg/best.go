package agg

import (
	"encoding/binary"
	"math"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// best is the value of the row with the smallest or largest order. The value is the order itself
// when there is only one argument. A third one is the time that decides between equal orders, the
// earlier one being better: rows of several shards do not come by their time.
type best struct {
	largest bool
	// later takes the last of rows that are in the same place, not the first.
	later bool
	value *cells
	order cells
	// times are used only if timed.
	timed bool
	times []int64
	seen  []bool
}

func newBest(s Spec) *best {
	b := &best{
		largest: s.Func == Max || s.Func == MaxBy || s.Func == Last,
		later:   s.Func == Last,
		timed:   len(s.Args) > 2,
		order:   cells{of: s.Args[min(1, len(s.Args)-1)]},
	}
	if len(s.Args) > 1 {
		b.value = &cells{of: s.Args[0]}
	}
	return b
}

func (a *best) grow(n int) {
	a.order.grow(n)
	if a.value != nil {
		a.value.grow(n)
	}
	if a.timed {
		a.times = extend(a.times, n)
	}
	a.seen = extend(a.seen, n)
}

func (a *best) memory() int64 {
	n := a.order.memory() + int64(cap(a.seen)+8*cap(a.times))
	if a.value != nil {
		n += a.value.memory()
	}
	return n
}

// better reports whether a value whose order compares like this with that of group g takes its place.
func (a *best) better(g uint32, compared int, time int64) bool {
	switch {
	case compared != 0:
		return (compared < 0) == a.largest
	case a.timed:
		return time < a.times[g]
	}
	return a.later
}

// timeOf is the time of a row; one without is behind all others.
func timeOf(c *column.Column, row int) int64 {
	if c.IsNull(row) {
		return math.MaxInt64
	}
	return c.Int64s[row]
}

func (a *best) add(groups []uint32, args []*column.Column, rows []int32) {
	value, order := args[0], args[0]
	if a.value != nil {
		order = args[1]
	}
	time := int64(0)
	for k, g := range groups {
		r := int(rows[k])
		if value.IsNull(r) || order.IsNull(r) {
			continue
		}
		if a.timed {
			time = timeOf(args[2], r)
		}
		if a.seen[g] && !a.better(g, a.order.compareRow(g, order, r), time) {
			continue
		}
		a.seen[g] = true
		a.order.put(g, order, r)
		if a.value != nil {
			a.value.put(g, value, r)
		}
		if a.timed {
			a.times[g] = time
		}
	}
}

func (a *best) merge(other accumulator, groups, into []uint32) {
	o := other.(*best)
	time := int64(0)
	for k, g := range into {
		from := groups[k]
		if !o.seen[from] {
			continue
		}
		if a.timed {
			time = o.times[from]
		}
		if a.seen[g] && !a.better(g, a.order.compare(g, &o.order, from), time) {
			continue
		}
		a.seen[g] = true
		a.order.copyFrom(g, &o.order, from)
		if a.value != nil {
			a.value.copyFrom(g, o.value, from)
		}
		if a.timed {
			a.times[g] = time
		}
	}
}

func (a *best) result(g int, out *build.Column) {
	switch {
	case !a.seen[g]:
		out.Null()
	case a.value != nil:
		a.value.result(uint32(g), out)
	default:
		a.order.result(uint32(g), out)
	}
}

func (a *best) append(dst []byte) []byte {
	for g, seen := range a.seen {
		dst = append(dst, flag(seen))
		if !seen {
			continue
		}
		dst = a.order.append(dst, uint32(g))
		if a.value != nil {
			dst = a.value.append(dst, uint32(g))
		}
		if a.timed {
			dst = binary.AppendVarint(dst, a.times[g])
		}
	}
	return dst
}

func (a *best) read(r *Reader, n int) {
	a.grow(n)
	for g := range n {
		if a.seen[g] = r.flag("flag"); !a.seen[g] {
			continue
		}
		a.order.read(r, uint32(g))
		if a.value != nil && r.err == nil {
			a.value.read(r, uint32(g))
		}
		if a.timed && r.err == nil {
			a.times[g] = r.Varint("time")
		}
	}
}
