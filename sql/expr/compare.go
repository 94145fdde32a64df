package expr

import (
	"bytes"
	"cmp"
	"weak"

	"github.com/millrace-io/millrace/engine/column"
)

// compare is a comparison of two operands of the same type: BigInt, Double, Timestamp or text.
type compare struct {
	// op is = <> < or <=; the others are these with the operands swapped.
	op   string
	l, r node
}

// newCompare swaps operands so that kernels know four operators.
func newCompare(op string, l, r node) node {
	switch op {
	case ">":
		op, l, r = "<", r, l
	case ">=":
		op, l, r = "<=", r, l
	}
	return &compare{op: op, l: l, r: r}
}

func (c *compare) typ() column.Type { return boolean }

func (c *compare) eval(x *exec) *column.Column {
	l := c.l.eval(x)
	r := c.r.eval(x)
	t := x.temp(boolean)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(l, r)
	out := t.bits()
	switch c.l.typ().Kind {
	case column.BigInt, column.Timestamp, column.Time:
		compareBits(c.op, out, l.Int64s, r.Int64s, x.sel)
	case interval.Kind:
		compareBits(c.op, out, l.Int64s, r.Int64s, x.sel)
	case column.Double:
		compareBits(c.op, out, l.Float64s, r.Float64s, x.sel)
	case column.Decimal:
		if l.Type.Wide() {
			c.wides(t, l, r, x.sel)
		} else {
			compareBits(c.op, out, l.Int64s, r.Int64s, x.sel)
		}
	default:
		c.texts(t, l, r, x.sel)
	}
	x.release(l, r)
	return &t.col
}

func compareBits[T int64 | float64](op string, out []byte, l, r []T, sel []int32) {
	switch op {
	case "=":
		for _, i := range sel {
			out[i>>3] |= byte(bit(l[i] == r[i])) << (i & 7)
		}
	case "<>":
		for _, i := range sel {
			out[i>>3] |= byte(bit(l[i] != r[i])) << (i & 7)
		}
	case "<":
		for _, i := range sel {
			out[i>>3] |= byte(bit(l[i] < r[i])) << (i & 7)
		}
	default:
		for _, i := range sel {
			out[i>>3] |= byte(bit(l[i] <= r[i])) << (i & 7)
		}
	}
}

func (c *compare) texts(t *temp, l, r *column.Column, sel []int32) {
	out := t.col.Bools
	for _, i := range sel {
		if t.col.IsNull(int(i)) {
			continue
		}
		if holds(c.op, bytes.Compare(l.Text(int(i)), r.Text(int(i)))) {
			out[i>>3] |= 1 << (i & 7)
		}
	}
}

func (c *compare) wides(t *temp, l, r *column.Column, sel []int32) {
	out := t.col.Bools
	for _, i := range sel {
		if !t.col.IsNull(int(i)) && holds(c.op, wideAt(l, i).Cmp(wideAt(r, i))) {
			out[i>>3] |= 1 << (i & 7)
		}
	}
}

// holds reports whether op holds between two values that compare as order says.
func holds(op string, order int) bool {
	switch op {
	case "=":
		return order == 0
	case "<>":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}

// filter compares numbers with a literal without making a column.
func (c *compare) filter(x *exec, dst []int32) []int32 {
	right, ok := c.r.(*constant)
	column1, op := c.l, c.op
	if !ok {
		if right, ok = c.l.(*constant); ok {
			column1, op = c.r, swapped(c.op)
		}
	}
	kind := c.l.typ().Kind
	if !ok || right.null || !inWords(c.l.typ()) {
		v := c.eval(x)
		defer x.release(v)
		if x.err != nil {
			return dst
		}
		return trueRows(v, x.sel, dst)
	}
	v := column1.eval(x)
	defer x.release(v)
	switch {
	case x.err != nil:
		return dst
	case kind == column.Double:
		return keepIf(op, v.Float64s, right.f, v, x.sel, dst)
	default:
		return keepIf(op, v.Int64s, right.i, v, x.sel, dst)
	}
}

// inWords reports whether values of a type are compared as Int64s or Float64s.
func inWords(t column.Type) bool {
	switch t.Kind {
	case column.BigInt, column.Double, column.Timestamp, column.Time, interval.Kind:
		return true
	}
	return t.Kind == column.Decimal && !t.Wide()
}

func swapped(op string) string {
	switch op {
	case "<":
		return ">"
	case "<=":
		return ">="
	}
	return op
}

func keepIf[T cmp.Ordered](op string, in []T, v T, c *column.Column, sel, dst []int32) []int32 {
	k := len(dst)
	dst = reserve(dst, len(sel))
	out := dst[:k+len(sel)]
	if c.Valid != nil {
		for _, i := range sel {
			out[k] = i
			k += bit(c.Valid.Get(int(i)) && holds(op, cmp.Compare(in[i], v)))
		}
		return out[:k]
	}
	switch op {
	case "=":
		for _, i := range sel {
			out[k] = i
			k += bit(in[i] == v)
		}
	case "<>":
		for _, i := range sel {
			out[k] = i
			k += bit(in[i] != v)
		}
	case "<":
		for _, i := range sel {
			out[k] = i
			k += bit(in[i] < v)
		}
	case "<=":
		for _, i := range sel {
			out[k] = i
			k += bit(in[i] <= v)
		}
	case ">":
		for _, i := range sel {
			out[k] = i
			k += bit(in[i] > v)
		}
	default:
		for _, i := range sel {
			out[k] = i
			k += bit(in[i] >= v)
		}
	}
	return out[:k]
}

// textTest is a condition on one text: a comparison with literals, IN, LIKE. On a dictionary
// column it is decided once per value.
type textTest struct {
	x  node
	fn func([]byte) bool
}

// tested is a condition and a dictionary, which it does not keep alive.
type tested struct {
	test *textTest
	dict weak.Pointer[column.Dict]
}

// maxTables is how many outcomes an exec remembers: conditions times shards of a task.
const maxTables = 64

func (t *textTest) typ() column.Type { return boolean }

// table is the outcome per id, 0 or 1.
func (t *textTest) table(x *exec, c *column.Column) []byte {
	key := tested{t, weak.Make(c.Dict)}
	seen := x.tables[key]
	if len(seen) >= c.DictLen {
		return seen
	}
	if x.tables == nil || len(x.tables) >= maxTables {
		x.tables = make(map[tested][]byte)
	}
	for id := len(seen); id < c.DictLen; id++ {
		v := c.Dict.Bytes[c.Dict.Offsets[id]:c.Dict.Offsets[id+1]]
		seen = append(seen, byte(bit(t.fn(v))))
	}
	x.tables[key] = seen
	return seen
}

func (t *textTest) eval(x *exec) *column.Column {
	c := t.x.eval(x)
	out := x.temp(boolean)
	if x.err != nil {
		return &out.col
	}
	out.nullsOf(c)
	rows := t.keep(x, c, x.list())
	b := out.bits()
	for _, i := range rows {
		b[i>>3] |= 1 << (i & 7)
	}
	x.giveBack(rows)
	x.release(c)
	return &out.col
}

func (t *textTest) filter(x *exec, dst []int32) []int32 {
	c := t.x.eval(x)
	if x.err != nil {
		return dst
	}
	defer x.release(c)
	return t.keep(x, c, dst)
}

func (t *textTest) keep(x *exec, c *column.Column, dst []int32) []int32 {
	k, sel := len(dst), x.sel
	dst = reserve(dst, len(sel))
	out := dst[:k+len(sel)]
	switch {
	case c.Dict != nil && c.Valid == nil:
		table := t.table(x, c)
		for _, i := range sel {
			out[k] = i
			k += int(table[c.IDs[i]])
		}
	case c.Dict != nil:
		table := t.table(x, c)
		for _, i := range sel {
			if c.Valid.Get(int(i)) {
				out[k] = i
				k += int(table[c.IDs[i]])
			}
		}
	default:
		for _, i := range sel {
			if !c.IsNull(int(i)) && t.fn(c.Text(int(i))) {
				out[k] = i
				k++
			}
		}
	}
	return out[:k]
}
