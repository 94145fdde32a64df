package expr

import (
	"math"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/temporal"
)

// onTime is a function from a timestamp to a whole number or time.
func (c *compiler) onTime(e ast.Expr, function string, t column.Type, fn func(int64) (int64, bool)) (node, error) {
	x, err := c.arg(e, timestamp, function)
	if err != nil {
		return nil, err
	}
	if t.Kind == column.Timestamp {
		fn = inYears(fn)
	}
	if t.Kind == column.Date {
		return fold(&scalar{t: t, args: []node{x}, whole: func(v []value) (int64, bool) { return fn(v[0].i) }}, x), nil
	}
	return fold(&unary[int64]{t: t, x: x, fn: fn}, x), nil
}

// inYears is a function of which only timestamps come.
func inYears[T any](fn func(T) (int64, bool)) func(T) (int64, bool) {
	return func(v T) (int64, bool) {
		at, ok := fn(v)
		return at, ok && temporal.InYears(at)
	}
}

func zoneOf(e ast.Expr) (*temporal.Zone, error) {
	s, ok := e.(*ast.String)
	if !ok {
		return nil, e.Position().Errorf("the time zone must be a text literal such as 'Europe/Berlin'")
	}
	z, err := temporal.LoadZone(s.Value)
	if err != nil {
		return nil, s.Errorf("%s", err)
	}
	return z, nil
}

// zoned is what clocks in a zone show.
func (c *compiler) zoned(e *ast.Zoned) (node, error) {
	z, err := temporal.LoadZone(e.Zone)
	if err != nil {
		return nil, e.Errorf("%s", err)
	}
	return c.onTime(e.X, "AT TIME ZONE", timestamp, z.Local)
}

func buildFromUTC(c *compiler, e *ast.Call) (node, error) {
	z, err := zoneOf(e.Args[1])
	if err != nil {
		return nil, err
	}
	return c.onTime(e.Args[0], e.Name, timestamp, z.Local)
}

func buildToUTC(c *compiler, e *ast.Call) (node, error) {
	z, err := zoneOf(e.Args[1])
	if err != nil {
		return nil, err
	}
	return c.onTime(e.Args[0], e.Name, timestamp, z.Instant)
}

// buildTrunc is DATE_TRUNC(unit, x[, zone]).
func buildTrunc(c *compiler, e *ast.Call) (node, error) {
	unit, err := unitOf(e.Args[0])
	if err != nil {
		return nil, err
	}
	trunc := func(v int64) (int64, bool) { return temporal.Trunc(unit, v) }
	if len(e.Args) == 3 {
		z, err := zoneOf(e.Args[2])
		if err != nil {
			return nil, err
		}
		trunc = func(v int64) (int64, bool) { return z.Trunc(unit, v) }
	}
	return c.onTime(e.Args[1], e.Name, timestamp, trunc)
}

// buildDiff is DATE_DIFF(unit, from, to).
func buildDiff(c *compiler, e *ast.Call) (node, error) {
	unit, err := unitOf(e.Args[0])
	if err != nil {
		return nil, err
	}
	return c.scalar(e, 1, bigint, []column.Type{timestamp, timestamp}, &scalar{whole: func(v []value) (int64, bool) {
		return temporal.Boundaries(unit, v[0].i, v[1].i)
	}})
}

// scalar compiles the arguments from one on to the types of a function; the last type repeats.
func (c *compiler) scalar(e *ast.Call, from int, t column.Type, types []column.Type, s *scalar) (node, error) {
	s.t = t
	for i, a := range e.Args[from:] {
		x, err := c.arg(a, types[min(i, len(types)-1)], e.Name)
		if err != nil {
			return nil, err
		}
		s.args = append(s.args, x)
	}
	return foldStrict(s), nil
}

// foldStrict is s, computed now if all arguments are literals, or NULL if one is.
func foldStrict(s *scalar) node {
	for _, a := range s.args {
		if c, ok := a.(*constant); ok && c.null {
			return &constant{t: s.t, null: true}
		}
	}
	return fold(s, s.args...)
}

func patternOf(e ast.Expr) (*temporal.Pattern, error) {
	s, ok := e.(*ast.String)
	if !ok {
		return nil, e.Position().Errorf("the pattern must be a text literal such as '%%Y-%%m-%%d'")
	}
	p, err := temporal.ParsePattern(s.Value)
	if err != nil {
		return nil, s.Errorf("%s", err)
	}
	return p, nil
}

// buildToTimestamp is TO_TIMESTAMP(seconds) and TO_TIMESTAMP(text, pattern).
func buildToTimestamp(c *compiler, e *ast.Call) (node, error) {
	if len(e.Args) == 1 {
		return fromEpoch(1e6)(c, e)
	}
	p, err := patternOf(e.Args[1])
	if err != nil {
		return nil, err
	}
	x, err := c.arg(e.Args[0], text, e.Name)
	if err != nil {
		return nil, err
	}
	return fold(&scalar{t: timestamp, args: []node{x}, whole: func(v []value) (int64, bool) { return p.Parse(v[0].s) }}, x), nil
}

func buildFormat(c *compiler, e *ast.Call) (node, error) {
	p, err := patternOf(e.Args[1])
	if err != nil {
		return nil, err
	}
	x, err := c.arg(e.Args[0], timestamp, e.Name)
	if err != nil {
		return nil, err
	}
	return fold(&scalar{t: text, args: []node{x}, text: func(dst []byte, v []value) ([]byte, bool) {
		return p.Append(dst, v[0].i), true
	}}, x), nil
}

// fromEpoch is a timestamp from a number of units since 1970, each of so many microseconds.
func fromEpoch(unit float64) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		x, err := c.number(e.Args[0], e.Name)
		if err != nil {
			return nil, err
		}
		s := &scalar{t: timestamp, args: []node{x}, whole: func(v []value) (int64, bool) { return temporal.MulInt(v[0].i, int64(unit)) }}
		switch x.typ().Kind {
		case column.Decimal:
			// Microseconds of all years have 18 digits.
			exact := decimalType(18, int(math.Log10(unit)))
			if s.args[0], err = coerce(x, exact, e.Pos); err != nil {
				return nil, err
			}
			s.whole = func(v []value) (int64, bool) { return v[0].i, true }
		case column.Double:
			s.whole = func(v []value) (int64, bool) {
				f := math.Round(v[0].f * unit)
				return int64(f), f >= -1<<62 && f <= 1<<62
			}
		}
		s.whole = inYears(s.whole)
		return fold(s, x), nil
	}
}

// sinceEpoch is the whole number of units since 1970, or in an interval.
func sinceEpoch(unit int64) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		return c.units(e.Args[0], e.Name, unit)
	}
}

func (c *compiler) units(e ast.Expr, function string, unit int64) (node, error) {
	fn := func(v int64) (int64, bool) { return (v - temporal.FloorMod(v, unit)) / unit, true }
	x, err := c.expr(e)
	if err != nil {
		return nil, err
	}
	if isInterval(x) {
		// An interval is cut towards zero, as a length.
		return fold(&unary[int64]{t: bigint, x: x, fn: func(v int64) (int64, bool) { return v / unit, true }}, x), nil
	}
	return c.onTime(e, function, bigint, fn)
}

func buildMakeDate(c *compiler, e *ast.Call) (node, error) {
	return c.scalar(e, 0, date, []column.Type{bigint}, &scalar{whole: func(v []value) (int64, bool) {
		m, ok := temporal.Make(v[0].i, v[1].i, v[2].i, 0, 0, 0)
		return m / temporal.Day, ok && (m >= 0 || m%temporal.Day == 0)
	}})
}

func buildMakeTimestamp(c *compiler, e *ast.Call) (node, error) {
	return c.scalar(e, 0, timestamp, []column.Type{bigint, bigint, bigint, bigint, bigint, double}, &scalar{whole: func(v []value) (int64, bool) {
		return temporal.Make(v[0].i, v[1].i, v[2].i, v[3].i, v[4].i, v[5].f)
	}})
}

func buildMakeTime(c *compiler, e *ast.Call) (node, error) {
	return c.scalar(e, 0, clock, []column.Type{bigint, bigint, double}, &scalar{whole: func(v []value) (int64, bool) {
		m, ok := temporal.Make(1970, 1, 1, v[0].i, v[1].i, v[2].f)
		return m, ok && m < temporal.Day
	}})
}

func buildLastDay(c *compiler, e *ast.Call) (node, error) {
	return c.onTime(e.Args[0], e.Name, date, func(v int64) (int64, bool) { return temporal.LastDay(v), true })
}

// nameOfDay is DAYNAME and MONTHNAME.
func nameOfDay(pattern string) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		return buildFormat(c, &ast.Call{Pos: e.Pos, Name: e.Name, Args: []ast.Expr{e.Args[0], &ast.String{Pos: e.Pos, Value: pattern}}})
	}
}

// distinct is IS [NOT] DISTINCT FROM, in terms of = and IS NULL.
func (c *compiler) distinct(e *ast.Distinct) (node, error) {
	return c.once(e.L, func(l ast.Expr) (node, error) {
		return c.once(e.R, func(r ast.Expr) (node, error) {
			equal := &ast.IsBool{Pos: e.Pos, X: &ast.Binary{Pos: e.Pos, Op: "=", L: l, R: r}, Value: true}
			nulls := &ast.Logic{Pos: e.Pos, And: true, Terms: []ast.Expr{&ast.IsNull{Pos: e.Pos, X: l}, &ast.IsNull{Pos: e.Pos, X: r}}}
			n, err := c.logic(&ast.Logic{Pos: e.Pos, Terms: []ast.Expr{equal, nulls}})
			if err == nil && !e.Not {
				n = fold(&not{n}, n)
			}
			return n, err
		})
	})
}

func upper(name string) string { return strings.ToUpper(name) }
