package expr

import (
	"math"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/decimal"
)

func isDecimal(t column.Type) bool { return t.Kind == column.Decimal }

// decimalType is decimal(precision, scale), at most 38 digits. What then does not fit is NULL.
func decimalType(precision, scale int) column.Type {
	return column.Type{Kind: column.Decimal, Precision: min(max(precision, scale, 1), decimal.MaxDigits), Scale: scale}
}

// asDecimal is the decimal type that holds all values of n exactly; false for doubles, except for
// literals with a point.
func asDecimal(n node) (column.Type, bool) {
	t := n.typ()
	c, literal := n.(*constant)
	switch t.Kind {
	case column.Decimal:
		return t, true
	case column.Int:
		return decimalType(10, 0), true
	case column.BigInt:
		if literal && !c.null {
			return decimalType(digits(c.i), 0), true
		}
		return decimalType(19, 0), true
	case column.Double:
		if literal && c.exact != "" {
			return literalType(c.exact)
		}
	}
	return column.Type{}, false
}

func digits(v int64) int {
	n := 1
	for v /= 10; v != 0; v /= 10 {
		n++
	}
	return n
}

// literalType is the type of a literal such as 12.50; false for one with an exponent or too many digits.
func literalType(s string) (column.Type, bool) {
	whole, fraction, _ := strings.Cut(strings.TrimLeft(s, "-"), ".")
	whole = strings.TrimLeft(whole, "0")
	if strings.ContainsAny(s, "eE") || len(whole)+len(fraction) > decimal.MaxDigits {
		return column.Type{}, false
	}
	return decimalType(len(whole)+len(fraction), len(fraction)), true
}

// meetDecimals is the type that two decimals meet in.
func meetDecimals(a, b column.Type) column.Type {
	scale := max(a.Scale, b.Scale)
	return decimalType(max(a.Precision-a.Scale, b.Precision-b.Scale)+scale, scale)
}

// exact reports whether two operands meet in a decimal: one is a decimal and the other has exact
// values too.
func exact(l, r node) (a, b column.Type, ok bool) {
	if !isDecimal(l.typ()) && !isDecimal(r.typ()) {
		return a, b, false
	}
	a, ok1 := asDecimal(l)
	b, ok2 := asDecimal(r)
	return a, b, ok1 && ok2
}

// wideAt is row i of a decimal column.
func wideAt(c *column.Column, i int32) decimal.Int128 {
	if c.Type.Wide() {
		return decimal.FromBytes(c.Fixed[16*i : 16*i+16])
	}
	return decimal.FromInt(c.Int64s[i])
}

// wides writes decimals of the type of a temp; what does not fit is NULL.
type wides struct {
	t     *temp
	fixed []byte
	ints  []int64
}

func (t *temp) wides() wides {
	if t.col.Type.Wide() {
		return wides{t: t, fixed: t.sixteens()}
	}
	return wides{t: t, ints: t.int64s()}
}

func (w *wides) set(i int32, v decimal.Int128, ok bool) {
	if !ok || !v.Fits(w.t.col.Type.Precision) {
		w.t.setNull(i)
		return
	}
	if w.fixed != nil {
		v.Put(w.fixed[16*i : 16*i+16])
		return
	}
	w.ints[i] = int64(v.Lo)
}

// decimals is + - * % of two decimals.
type decimals struct {
	op   byte
	t    column.Type
	l, r node
}

func (d *decimals) typ() column.Type { return d.t }

// decimalArithmetic is the exact operation on operands of types a and b. The result has the digits
// it needs, up to 38: for + and - one more than the longer operand, for * the sum of both.
func (c *compiler) decimalArithmetic(op byte, l, r node, a, b column.Type, at ast.Expr) (node, error) {
	scale := max(a.Scale, b.Scale)
	whole := max(a.Precision-a.Scale, b.Precision-b.Scale)
	t := decimalType(whole+scale+1, scale)
	switch op {
	case '*':
		if a.Scale+b.Scale > decimal.MaxDigits {
			return nil, at.Position().Errorf("the product of %s and %s has more than %d decimals; cast an operand to fewer", a, b, decimal.MaxDigits)
		}
		t = decimalType(a.Precision+b.Precision, a.Scale+b.Scale)
	case '%':
		t = decimalType(min(a.Precision-a.Scale, b.Precision-b.Scale)+scale, scale)
	}
	l, err := coerce(l, a, at.Position())
	if err != nil {
		return nil, err
	}
	if r, err = coerce(r, b, at.Position()); err != nil {
		return nil, err
	}
	return fold(&decimals{op: op, t: t, l: l, r: r}, l, r), nil
}

func (d *decimals) eval(x *exec) *column.Column {
	l, r := d.l.eval(x), d.r.eval(x)
	t := x.temp(d.t)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(l, r)
	a, b := l.Type, r.Type
	// Up to 18 digits nothing overflows, so that a loop over whole numbers does.
	if d.op != '%' && !a.Wide() && !b.Wide() && !d.t.Wide() {
		d.narrow(t, l, r, x.sel)
	} else {
		d.wide(t, l, r, x.sel)
	}
	x.release(l, r)
	return &t.col
}

func (d *decimals) narrow(t *temp, l, r *column.Column, sel []int32) {
	out := t.int64s()
	a, b := l.Int64s[:len(out)], r.Int64s[:len(out)]
	if d.op == '*' {
		for _, i := range sel {
			out[i] = a[i] * b[i]
		}
		return
	}
	up, _ := decimal.Power(d.t.Scale - l.Type.Scale).Int()
	down, _ := decimal.Power(d.t.Scale - r.Type.Scale).Int()
	if d.op == '-' {
		down = -down
	}
	for _, i := range sel {
		out[i] = a[i]*up + b[i]*down
	}
}

func (d *decimals) wide(t *temp, l, r *column.Column, sel []int32) {
	up, down := decimal.FromInt(1), decimal.FromInt(1)
	if d.op != '*' {
		up, down = decimal.Power(d.t.Scale-l.Type.Scale), decimal.Power(d.t.Scale-r.Type.Scale)
	}
	out := t.wides()
	for _, i := range sel {
		if t.col.IsNull(int(i)) {
			continue
		}
		a, ok1 := wideAt(l, i).Mul(up)
		b, ok2 := wideAt(r, i).Mul(down)
		v, ok := decimal.Int128{}, ok1 && ok2
		if ok {
			switch d.op {
			case '+':
				v, ok = a.Add(b)
			case '-':
				v, ok = a.Sub(b)
			case '*':
				v, ok = a.Mul(b)
			default:
				if ok = b.Sign() != 0; ok {
					_, v = a.QuoRem(b)
				}
			}
		}
		out.set(i, v, ok)
	}
}

// rescale is a decimal with other digits.
type rescale struct {
	x    node
	to   column.Type
	mode decimal.Rounding
	// places is the scale that is rounded to, at most that of the type; below zero it is tens, hundreds and so on.
	places int
}

func (r *rescale) typ() column.Type { return r.to }

func (r *rescale) eval(x *exec) *column.Column {
	c := r.x.eval(x)
	t := x.temp(r.to)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(c)
	out := t.wides()
	for _, i := range x.sel {
		if !t.col.IsNull(int(i)) {
			v, ok := r.value(wideAt(c, i), c.Type.Scale)
			out.set(i, v, ok)
		}
	}
	x.release(c)
	return &t.col
}

// value is v of a scale as the type has it, and whether it fits.
func (r *rescale) value(v decimal.Int128, scale int) (decimal.Int128, bool) {
	if r.places >= 0 {
		v, ok := v.Rescale(scale, r.places, r.mode)
		if ok && r.places < r.to.Scale {
			v, ok = v.Rescale(r.places, r.to.Scale, r.mode)
		}
		return v, ok
	}
	// Rounding to tens is truncation to units of tens and back, see Rescale.
	unit := -r.places
	if scale+unit > decimal.MaxDigits {
		return decimal.Int128{}, true
	}
	v, ok := v.Rescale(scale+unit, 0, r.mode)
	if !ok {
		return v, false
	}
	return v.Mul(decimal.Power(unit))
}

// roundDecimal rounds to a number of digits. The result has one digit more, for 9.9 becomes 10.
func roundDecimal(x node, places int, mode decimal.Rounding) node {
	t := x.typ()
	if places >= t.Scale {
		return x
	}
	scale := max(places, 0)
	to := decimalType(t.Precision-t.Scale+scale+1, scale)
	if mode == decimal.Truncate {
		to = decimalType(t.Precision-t.Scale+scale, scale)
	}
	return fold(&rescale{x: x, to: to, mode: mode, places: places}, x)
}

// signedDecimal is -x or ABS(x).
type signedDecimal struct {
	x   node
	abs bool
}

func (s *signedDecimal) typ() column.Type { return s.x.typ() }

func (s *signedDecimal) eval(x *exec) *column.Column {
	c := s.x.eval(x)
	t := x.temp(c.Type)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(c)
	out := t.wides()
	for _, i := range x.sel {
		if t.col.IsNull(int(i)) {
			continue
		}
		v := wideAt(c, i)
		if !s.abs || v.Sign() < 0 {
			v = v.Neg()
		}
		out.set(i, v, true)
	}
	x.release(c)
	return &t.col
}

// toDecimal is a cast to a decimal; digits that do not fit the scale are rounded half away from zero.
func toDecimal(t *temp, in *column.Column, sel []int32) {
	to := t.col.Type
	if from := in.Type; isDecimal(from) && !from.Wide() && !to.Wide() && to.Scale >= from.Scale && to.Precision-to.Scale >= from.Precision-from.Scale {
		// Nothing is rounded and everything fits.
		out := t.int64s()
		up, _ := decimal.Power(to.Scale - from.Scale).Int()
		for _, i := range sel {
			out[i] = in.Int64s[i] * up
		}
		return
	}
	out := t.wides()
	power := decimal.Power(to.Scale)
	for _, i := range sel {
		if t.col.IsNull(int(i)) {
			continue
		}
		var v decimal.Int128
		ok := true
		switch in.Type.Kind {
		case column.Decimal:
			v, ok = wideAt(in, i).Rescale(in.Type.Scale, to.Scale, decimal.HalfAway)
		case column.Int:
			v, ok = decimal.FromInt(int64(in.Int32s[i])).Mul(power)
		case column.BigInt:
			v, ok = decimal.FromInt(in.Int64s[i]).Mul(power)
		case column.Boolean:
			v, ok = decimal.FromInt(int64(bit(in.Bools.Get(int(i))))).Mul(power)
		case column.String:
			v, ok = decimal.Parse(in.Text(int(i)), to.Precision, to.Scale)
		default:
			v, ok = fromDouble(number(in, i), power.Float(), to)
		}
		out.set(i, v, ok)
	}
}

// fromDouble rounds at the last decimal. Beyond 2^53 the product is no longer exact, so that the
// digits of the double's shortest text are taken.
func fromDouble(f, power float64, to column.Type) (decimal.Int128, bool) {
	if v := f * power; math.Abs(v) < 1<<53 {
		return decimal.FromFloat(v)
	}
	var buf [64]byte
	return decimal.Parse(strconv.AppendFloat(buf[:0], f, 'e', -1, 64), to.Precision, to.Scale)
}
