package expr

import (
	"math"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
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
	if !untyped(x) && !isNumber(x.typ()) {
		return nil, e.Position().Errorf("%s needs a number, but this is of type %s", strings.ToUpper(function), x.typ())
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

// buildRound rounds half away from zero, to a literal number of digits.
func buildRound(c *compiler, e *ast.Call) (node, error) {
	digits := int64(0)
	if len(e.Args) == 2 {
		n, ok := e.Args[1].(*ast.Number)
		if !ok || !n.Integer || n.Int < -15 || n.Int > 15 {
			return nil, e.Args[1].Position().Errorf("the digits of ROUND must be a number from -15 to 15")
		}
		digits = n.Int
	}
	x, err := c.number(e.Args[0], e.Name)
	if err != nil {
		return nil, err
	}
	if x.typ().Kind == column.BigInt {
		if digits >= 0 {
			return x, nil
		}
		if x, err = coerce(x, double, e.Pos); err != nil {
			return nil, err
		}
	}
	scale := math.Pow10(int(digits))
	return fold(onFloats(x, func(f float64) float64 {
		if v := math.Round(f*scale) / scale; finite(v) {
			return v
		}
		return f
	}), x), nil
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

func buildTrunc(c *compiler, e *ast.Call) (node, error) {
	unit, err := unitOf(e.Args[0])
	if err != nil {
		return nil, err
	}
	x, err := c.arg(e.Args[1], timestamp, e.Name)
	if err != nil {
		return nil, err
	}
	return fold(&unary[int64]{t: timestamp, x: x, fn: func(v int64) (int64, bool) { return temporal.Trunc(unit, v) }}, x), nil
}

func unitOf(e ast.Expr) (string, error) {
	s, ok := e.(*ast.String)
	if !ok {
		return "", e.Position().Errorf("the unit must be a text literal such as 'hour'")
	}
	unit, _, ok := temporal.Unit(s.Value)
	if !ok {
		return "", s.Errorf("unknown unit %q; use microsecond to year", s.Value)
	}
	return unit, nil
}

func buildExtract(c *compiler, e *ast.Call) (node, error) {
	s, ok := e.Args[0].(*ast.String)
	if !ok {
		return nil, e.Args[0].Position().Errorf("the part must be a word such as HOUR: EXTRACT(HOUR FROM x)")
	}
	return c.part(strings.ToLower(s.Value), e.Args[1])
}

func (c *compiler) part(part string, e ast.Expr) (node, error) {
	if !slices.Contains(temporal.Parts, part) {
		return nil, e.Position().Errorf("unknown part %q%s", part, ast.DidYouMean(part, temporal.Parts))
	}
	x, err := c.arg(e, timestamp, part)
	if err != nil {
		return nil, err
	}
	return fold(&unary[int64]{t: bigint, x: x, fn: func(v int64) (int64, bool) { return temporal.Part(part, v), true }}, x), nil
}
