package agg

import (
	"math"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/decimal"
)

// variance is the number, mean and sum of squared distances from the mean, kept up to date by
// Welford's method and merged by Chan's, which do not cancel like sums of squares do.
type variance struct {
	spec  Spec
	count []int64
	mean  []float64
	m2    []float64
}

func (a *variance) grow(n int) {
	a.count, a.mean, a.m2 = extend(a.count, n), extend(a.mean, n), extend(a.m2, n)
}

func (a *variance) memory() int64 { return int64(8 * (cap(a.count) + cap(a.mean) + cap(a.m2))) }

func (a *variance) add(groups []uint32, args []*column.Column, rows []int32) {
	in := numbersOf(args[0])
	for k, g := range groups {
		r := int(rows[k])
		if in.c.IsNull(r) {
			continue
		}
		x := in.at(r)
		a.count[g]++
		d := x - a.mean[g]
		a.mean[g] += d / float64(a.count[g])
		a.m2[g] += d * (x - a.mean[g])
	}
}

func (a *variance) merge(other accumulator, groups, into []uint32) {
	o := other.(*variance)
	for k, g := range into {
		from := groups[k]
		if o.count[from] == 0 {
			continue
		}
		if a.count[g] == 0 {
			a.count[g], a.mean[g], a.m2[g] = o.count[from], o.mean[from], o.m2[from]
			continue
		}
		mine, theirs := float64(a.count[g]), float64(o.count[from])
		d := o.mean[from] - a.mean[g]
		a.count[g] += o.count[from]
		a.mean[g] += d * theirs / (mine + theirs)
		a.m2[g] += o.m2[from] + d*d*mine*theirs/(mine+theirs)
	}
}

func (a *variance) result(g int, out *build.Column) {
	n := float64(a.count[g])
	if a.spec.Func == VarSamp || a.spec.Func == StddevSamp {
		n--
	}
	if n <= 0 {
		out.Null()
		return
	}
	v := a.m2[g] / n
	if a.spec.Func == StddevPop || a.spec.Func == StddevSamp {
		v = math.Sqrt(v)
	}
	finite(v, out)
}

func (a *variance) append(dst []byte) []byte {
	for i := range a.count {
		dst = appendUvarint(dst, int(a.count[i]))
		dst = appendFloat(appendFloat(dst, a.mean[i]), a.m2[i])
	}
	return dst
}

func (a *variance) read(r *Reader, n int) {
	a.grow(n)
	for i := range n {
		a.count[i] = int64(r.Uvarint("count") & math.MaxInt64)
		a.mean[i], a.m2[i] = r.float("mean"), r.float("squares")
	}
}

// numbers reads a BigInt, Double or Decimal column as doubles.
type numbers struct {
	c     *column.Column
	scale float64
}

func numbersOf(c *column.Column) numbers {
	n := numbers{c: c}
	if c.Type.Kind == column.Decimal {
		n.scale = decimal.Power(c.Type.Scale).Float()
	}
	return n
}

func (n numbers) at(r int) float64 {
	switch {
	case n.c.Type.Kind == column.Double:
		return n.c.Float64s[r]
	case n.scale == 0:
		return float64(n.c.Int64s[r])
	case n.c.Type.Wide():
		return decimal.FromBytes(n.c.Fixed[16*r:]).Float() / n.scale
	}
	return float64(n.c.Int64s[r]) / n.scale
}
