package agg

import (
	"math/bits"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/decimal"
)

// decimals is the sum of decimals in 192 bits, which cannot overflow, and their number.
type decimals struct {
	spec      Spec
	count     []int64
	low, high []uint64
	top       []int64
}

func (a *decimals) grow(n int) {
	a.count, a.low, a.high, a.top = extend(a.count, n), extend(a.low, n), extend(a.high, n), extend(a.top, n)
}

func (a *decimals) memory() int64 {
	return int64(8 * (cap(a.count) + cap(a.low) + cap(a.high) + cap(a.top)))
}

func (a *decimals) add(groups []uint32, args []*column.Column, rows []int32) {
	c := args[0]
	wide := c.Type.Wide()
	for k, g := range groups {
		r := int(rows[k])
		if c.IsNull(r) {
			continue
		}
		a.count[g]++
		if wide {
			v := decimal.FromBytes(c.Fixed[16*r:])
			a.plus(g, v.Lo, uint64(v.Hi), v.Hi>>63)
			continue
		}
		v := c.Int64s[r]
		a.plus(g, uint64(v), uint64(v>>63), v>>63)
	}
}

func (a *decimals) plus(g uint32, low, high uint64, top int64) {
	var carry uint64
	a.low[g], carry = bits.Add64(a.low[g], low, 0)
	a.high[g], carry = bits.Add64(a.high[g], high, carry)
	a.top[g] += top + int64(carry)
}

func (a *decimals) merge(other accumulator, groups, into []uint32) {
	o := other.(*decimals)
	for k, g := range into {
		from := groups[k]
		a.count[g] += o.count[from]
		a.plus(g, o.low[from], o.high[from], o.top[from])
	}
}

func (a *decimals) result(g int, out *build.Column) {
	sum := decimal.Int128{Hi: int64(a.high[g]), Lo: a.low[g]}
	fits := a.top[g] == sum.Hi>>63
	switch {
	case a.count[g] == 0:
		out.Null()
	case a.spec.Func == Sum && (!fits || !sum.Fits(a.spec.Out.Precision)):
		out.Null()
	case a.spec.Func == Sum:
		var b [16]byte
		sum.Put(b[:])
		out.Text(b[:])
	default:
		f := float64(a.top[g])*(1<<64)*(1<<64) + float64(a.high[g])*(1<<64) + float64(a.low[g])
		if fits {
			f = sum.Float()
		}
		finite(f/decimal.Power(a.spec.Args[0].Scale).Float()/float64(a.count[g]), out)
	}
}

func (a *decimals) append(dst []byte) []byte {
	for i := range a.count {
		dst = appendUvarint(dst, int(a.count[i]))
		dst = appendWord(appendWord(appendWord(dst, a.low[i]), a.high[i]), uint64(a.top[i]))
	}
	return dst
}

func (a *decimals) read(r *Reader, n int) {
	a.grow(n)
	for i := range n {
		a.count[i] = int64(r.Uvarint("count"))
		a.low[i], a.high[i], a.top[i] = r.word("sum"), r.word("sum"), int64(r.word("sum"))
	}
}
