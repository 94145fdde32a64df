package expr

import (
	"math"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/decimal"
	"github.com/millrace-io/millrace/sql/temporal"
)

func absInt(v int64) (int64, bool) {
	if v < 0 {
		return -v, v != math.MinInt64
	}
	return v, true
}

func signInt(v int64) (int64, bool) {
	switch {
	case v < 0:
		return -1, true
	case v > 0:
		return 1, true
	}
	return 0, true
}

func sign(f float64) float64 {
	switch {
	case f < 0:
		return -1
	case f > 0:
		return 1
	}
	return 0
}

// remainder has the sign of the dividend; by zero it is not a number.
func remainder(a, b float64) float64 { return math.Mod(a, b) }

// numeric keeps integers integers; without an integer form they pass unchanged.
func numeric(ints func(int64) (int64, bool), floats func(float64) float64) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		x, err := c.number(e.Args[0], e.Name)
		if err != nil {
			return nil, err
		}
		if isDecimal(x.typ()) {
			if x, err = coerce(x, double, e.Pos); err != nil {
				return nil, err
			}
		}
		if x.typ().Kind == column.Double {
			return fold(onFloats(x, floats), x), nil
		}
		if ints == nil {
			return x, nil
		}
		return fold(&unary[int64]{t: bigint, x: x, fn: ints}, x), nil
	}
}

// number compiles an argument to bigint or double.
func (c *compiler) number(e ast.Expr, function string) (node, error) {
	x, err := c.expr(e)
	if err != nil {
		return nil, err
	}
	t := double
	if isInteger(x.typ()) {
		t = bigint
	}
	if isDecimal(x.typ()) {
		return x, nil
	}
	if !untyped(x) && !isNumber(x.typ()) {
		return nil, e.Position().Errorf("%s needs a number, but this is of type %s", strings.ToUpper(function), nameOf(x.typ()))
	}
	return coerce(x, t, e.Position())
}

func onFloats(x node, fn func(float64) float64) node {
	return &unary[float64]{t: double, x: x, fn: func(f float64) (float64, bool) {
		v := fn(f)
		return v, finite(v)
	}}
}

func onDouble(fn func(float64) float64) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		x, err := c.arg(e.Args[0], double, e.Name)
		if err != nil {
			return nil, err
		}
		return fold(onFloats(x, fn), x), nil
	}
}

// rounding is ROUND, half away from zero, and TRUNC, to a literal number of digits.
func rounding(mode decimal.Rounding, fn func(float64) float64) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		digits := int64(0)
		if len(e.Args) == 2 {
			n, ok := e.Args[1].(*ast.Number)
			if !ok || !n.Integer || n.Int < -15 || n.Int > 15 {
				return nil, e.Args[1].Position().Errorf("the digits of %s must be a number from -15 to 15", upper(e.Name))
			}
			digits = n.Int
		}
		x, err := c.number(e.Args[0], e.Name)
		switch {
		case err != nil:
			return nil, err
		case isDecimal(x.typ()):
			return roundDecimal(x, int(digits), mode), nil
		case x.typ().Kind == column.BigInt && digits >= 0:
			return x, nil
		case x.typ().Kind == column.BigInt:
			return roundInt(x, int(-digits), mode), nil
		}
		return fold(onFloats(x, scaled(int(digits), fn)), x), nil
	}
}

// scaled rounds at a decimal place. A value too large to have one there is left alone.
func scaled(digits int, fn func(float64) float64) func(float64) float64 {
	scale, down := math.Pow10(digits), digits < 0
	if down {
		scale = math.Pow10(-digits)
	}
	return func(f float64) float64 {
		v := fn(f*scale) / scale
		if down {
			v = fn(f/scale) * scale
		}
		if finite(v) {
			return v
		}
		return f
	}
}

// roundInt rounds whole numbers to tens, hundreds and so on.
func roundInt(x node, digits int, mode decimal.Rounding) node {
	unit, _ := decimal.Power(digits).Int()
	return fold(&unary[int64]{t: bigint, x: x, fn: func(v int64) (int64, bool) {
		n, _ := decimal.FromInt(v).Rescale(digits, 0, mode)
		out, _ := n.Int()
		return temporal.MulInt(out, unit)
	}}, x)
}

// whole is FLOOR and CEIL.
func whole(mode decimal.Rounding, fn func(float64) float64) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		x, err := c.number(e.Args[0], e.Name)
		if err == nil && isDecimal(x.typ()) {
			return roundDecimal(x, 0, mode), nil
		}
		if err == nil && x.typ().Kind == column.Double {
			return fold(onFloats(x, fn), x), nil
		}
		return x, err
	}
}

// buildAbs is ABS.
func buildAbs(c *compiler, e *ast.Call) (node, error) {
	x, err := c.number(e.Args[0], e.Name)
	if err == nil && isDecimal(x.typ()) {
		return fold(&signedDecimal{x: x, abs: true}, x), nil
	}
	return numeric(absInt, math.Abs)(c, e)
}

// buildLog is LOG(x), of base 10, and LOG(base, x).
func buildLog(c *compiler, e *ast.Call) (node, error) {
	if len(e.Args) == 1 {
		return onDouble(log10)(c, e)
	}
	return doubles(func(v []value) (float64, bool) {
		return math.Log(v[1].f) / math.Log(v[0].f), v[0].f > 0 && v[1].f > 0
	})(c, e)
}

// log2 is exact for powers of two. math.Log2 loses most digits next to 1.
func log2(f float64) float64 {
	if fraction, exponent := math.Frexp(f); fraction == 0.5 {
		return float64(exponent - 1)
	}
	return math.Log(f) / math.Ln2
}

// log10 is exact for powers of ten.
func log10(f float64) float64 {
	v := math.Log(f) / math.Ln10
	if r := math.Round(v); math.Abs(v-r) < 1e-9 && math.Pow10(int(r)) == f {
		return r
	}
	return v
}

// atan2 has the sign of y. math.Atan2 loses it where y/x is too small to be told from zero.
func atan2(y, x float64) float64 { return math.Copysign(math.Atan2(y, x), y) }

// doubles is a function of doubles; a result that is not finite is NULL.
func doubles(fn func(v []value) (float64, bool)) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		return c.scalar(e, 0, double, []column.Type{double}, &scalar{double: fn})
	}
}

// shifted is x moved by a number of bits, 0 when all are moved out.
func shifted(left bool) func(v []value) (int64, bool) {
	return func(v []value) (int64, bool) {
		switch n := v[1].i; {
		case n < 0:
			return 0, false
		case n > 63:
			return 0, true
		case left:
			return v[0].i << n, true
		default:
			return v[0].i >> n, true
		}
	}
}

func buildMod(c *compiler, e *ast.Call) (node, error) {
	return c.binary(&ast.Binary{Pos: e.Pos, Op: "%", L: e.Args[0], R: e.Args[1]})
}

func buildDate(c *compiler, e *ast.Call) (node, error) {
	x, err := c.arg(e.Args[0], timestamp, e.Name)
	if err != nil {
		return nil, err
	}
	return fold(&convert{x: x, to: date}, x), nil
}

func unitOf(e ast.Expr) (string, error) {
	s, ok := e.(*ast.String)
	if !ok {
		return "", e.Position().Errorf("the unit must be a text literal such as 'hour'")
	}
	unit, _, ok := temporal.Unit(s.Value)
	if !ok {
		if meant := temporal.NearUnit(s.Value); meant != "" {
			return "", s.Errorf("unknown unit %q; did you mean %q?", s.Value, meant)
		}
		return "", s.Errorf("unknown unit %q; use microsecond to year", s.Value)
	}
	return unit, nil
}

func buildExtract(c *compiler, e *ast.Call) (node, error) {
	s, ok := e.Args[0].(*ast.String)
	if !ok {
		return nil, e.Args[0].Position().Errorf("the part must be a word such as HOUR: EXTRACT(HOUR FROM x)")
	}
	if part := strings.ToLower(s.Value); !slices.Contains(temporal.Parts, part) {
		return nil, s.Errorf("unknown part %q%s", part, ast.DidYouMean(part, temporal.Parts))
	}
	return c.part(strings.ToLower(s.Value), e.Args[1])
}

func (c *compiler) part(part string, e ast.Expr) (node, error) {
	switch part {
	case "epoch":
		return c.units(e, part, temporal.Second)
	}
	if x, err := c.expr(e); err == nil && x.typ().Kind == column.Time {
		// A time of day has the parts of 1970-01-01.
		return fold(&unary[int64]{t: bigint, x: x, fn: func(v int64) (int64, bool) { return temporal.Part(part, v), true }}, x), nil
	}
	x, err := c.arg(e, timestamp, part)
	if err != nil {
		return nil, err
	}
	return fold(&unary[int64]{t: bigint, x: x, fn: func(v int64) (int64, bool) { return temporal.Part(part, v), true }}, x), nil
}
