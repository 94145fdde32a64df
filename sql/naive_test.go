package sql_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// naive is an expression with its meaning, row by row: nil, bool, int64, float64 or string.
type naive struct {
	text string
	eval func(row []any) any
}

// grammar makes random expressions of a kind.
type grammar struct{ r *rand.Rand }

var naiveColumns = "a bigint, b bigint, i int, d double, e float, k string, l string, o boolean, p boolean"

func (g *grammar) pick(list ...string) string { return list[g.r.IntN(len(list))] }

func (g *grammar) column(names ...string) naive {
	schema, _ := sqltest.Schema(naiveColumns)
	name := g.pick(names...)
	i := schema.Index(name)
	return naive{name, func(row []any) any { return row[i] }}
}

// strict applies f unless an operand is null.
func strict(text string, f func(v ...any) any, operands ...naive) naive {
	return naive{text, func(row []any) any {
		v := make([]any, len(operands))
		for i, o := range operands {
			if v[i] = o.eval(row); v[i] == nil {
				return nil
			}
		}
		return f(v...)
	}}
}

func (g *grammar) integer(depth int) naive {
	if depth == 0 {
		if g.r.IntN(3) == 0 {
			v := []int64{0, 1, -1, 2, 7, math.MaxInt64, math.MinInt64, 1 << 31}[g.r.IntN(8)]
			return naive{fmt.Sprint(v), func([]any) any { return v }}
		}
		return g.column("a", "b", "i")
	}
	switch g.r.IntN(7) {
	case 0, 1, 2:
		l, r, op := g.integer(depth-1), g.integer(depth-1), g.pick("+", "-", "*", "%")
		return strict("("+l.text+" "+op+" "+r.text+")", func(v ...any) any { return bigOp(op, v[0].(int64), v[1].(int64)) }, l, r)
	case 3:
		x := g.text(depth - 1)
		return strict("LENGTH("+x.text+")", func(v ...any) any { return int64(len([]rune(v[0].(string)))) }, x)
	case 4:
		return g.choice(depth, g.integer)
	case 5:
		x := g.condition(depth - 1)
		return strict("CAST("+x.text+" AS BIGINT)", func(v ...any) any {
			if v[0].(bool) {
				return int64(1)
			}
			return int64(0)
		}, x)
	}
	x := g.integer(depth - 1)
	return strict("(- "+x.text+")", func(v ...any) any { return bigOp("-", 0, v[0].(int64)) }, x)
}

// bigOp computes with numbers that cannot overflow.
func bigOp(op string, l, r int64) any {
	x, y, out := big.NewInt(l), big.NewInt(r), new(big.Int)
	switch op {
	case "+":
		out.Add(x, y)
	case "-":
		out.Sub(x, y)
	case "*":
		out.Mul(x, y)
	default:
		if r == 0 {
			return nil
		}
		out.Rem(x, y)
	}
	if !out.IsInt64() {
		return nil
	}
	return out.Int64()
}

func (g *grammar) double(depth int) naive {
	if depth == 0 {
		if g.r.IntN(3) == 0 {
			v := []float64{0.5, -1.25, 1e300, 3.0}[g.r.IntN(4)]
			text := fmt.Sprintf("%g", v)
			if v == 3 {
				text = "3.0"
			}
			return naive{text, func([]any) any { return v }}
		}
		return g.column("d", "e")
	}
	if g.r.IntN(4) == 0 {
		return g.choice(depth, g.double)
	}
	l, r, op := g.number(depth-1), g.double(depth-1), g.pick("+", "-", "*", "/")
	return strict("("+l.text+" "+op+" "+r.text+")", func(v ...any) any {
		x, y := asFloat(v[0]), asFloat(v[1])
		z := map[string]float64{"+": x + y, "-": x - y, "*": x * y, "/": x / y}[op]
		if math.IsNaN(z) || math.IsInf(z, 0) {
			return nil
		}
		return z
	}, l, r)
}

func (g *grammar) number(depth int) naive {
	if g.r.IntN(2) == 0 {
		return g.integer(depth)
	}
	return g.double(depth)
}

func asFloat(v any) float64 {
	if i, ok := v.(int64); ok {
		return float64(i)
	}
	return v.(float64)
}

func (g *grammar) text(depth int) naive {
	if depth == 0 {
		if g.r.IntN(3) == 0 {
			v := []string{"", "a", "ab", "ÄÖ", "it's"}[g.r.IntN(5)]
			return naive{"'" + strings.ReplaceAll(v, "'", "''") + "'", func([]any) any { return v }}
		}
		return g.column("k", "l")
	}
	switch g.r.IntN(4) {
	case 0:
		l, r := g.text(depth-1), g.text(depth-1)
		return strict("("+l.text+" || "+r.text+")", func(v ...any) any { return v[0].(string) + v[1].(string) }, l, r)
	case 1:
		return g.choice(depth, g.text)
	case 2:
		x := g.text(depth - 1)
		from, n := g.r.IntN(5), g.r.IntN(4)
		return strict(fmt.Sprintf("SUBSTR(%s, %d, %d)", x.text, from, n), func(v ...any) any {
			out := []rune{}
			for i, c := range []rune(v[0].(string)) {
				if i+1 >= from && i+1 < from+n {
					out = append(out, c)
				}
			}
			return string(out)
		}, x)
	}
	x := g.text(depth - 1)
	return strict("UPPER("+x.text+")", func(v ...any) any { return strings.ToUpper(v[0].(string)) }, x)
}

// choice is a CASE or COALESCE of values that sub makes.
func (g *grammar) choice(depth int, sub func(int) naive) naive {
	x, y := sub(depth-1), sub(depth-1)
	if g.r.IntN(2) == 0 {
		return naive{"COALESCE(" + x.text + ", " + y.text + ")", func(row []any) any {
			if v := x.eval(row); v != nil {
				return v
			}
			return y.eval(row)
		}}
	}
	c, els := g.condition(depth-1), g.r.IntN(2) == 0
	text := "CASE WHEN " + c.text + " THEN " + x.text
	if els {
		text += " ELSE " + y.text
	}
	return naive{text + " END", func(row []any) any {
		switch {
		case c.eval(row) == true:
			return x.eval(row)
		case els:
			return y.eval(row)
		}
		return nil
	}}
}

func (g *grammar) condition(depth int) naive {
	if depth == 0 {
		return g.column("o", "p")
	}
	switch g.r.IntN(8) {
	case 0, 1:
		return g.logic(depth)
	case 2:
		x := g.condition(depth - 1)
		return strict("(NOT "+x.text+")", func(v ...any) any { return !v[0].(bool) }, x)
	case 3:
		x := []func(int) naive{g.integer, g.double, g.text, g.condition}[g.r.IntN(4)](depth - 1)
		return naive{"(" + x.text + " IS NULL)", func(row []any) any { return x.eval(row) == nil }}
	case 4:
		l, r, op := g.text(depth-1), g.text(depth-1), g.pick("=", "<>", "<", "<=", ">", ">=")
		return strict("("+l.text+" "+op+" "+r.text+")", func(v ...any) any {
			return ordered(op, strings.Compare(v[0].(string), v[1].(string)))
		}, l, r)
	case 5:
		x := g.text(depth - 1)
		return strict("("+x.text+" IN ('a', 'ab', 'ÄÖ'))", func(v ...any) any {
			return v[0] == "a" || v[0] == "ab" || v[0] == "ÄÖ"
		}, x)
	case 6:
		x := g.column("a", "b")
		return strict("("+x.text+" BETWEEN 0 AND 5)", func(v ...any) any { return v[0].(int64) >= 0 && v[0].(int64) <= 5 }, x)
	}
	l, r, op := g.number(depth-1), g.number(depth-1), g.pick("=", "<>", "<", "<=", ">", ">=")
	return strict("("+l.text+" "+op+" "+r.text+")", func(v ...any) any {
		x, ok := v[0].(int64)
		y, both := v[1].(int64)
		if ok && both {
			return ordered(op, big.NewInt(x).Cmp(big.NewInt(y)))
		}
		return ordered(op, big.NewFloat(asFloat(v[0])).Cmp(big.NewFloat(asFloat(v[1]))))
	}, l, r)
}

func ordered(op string, order int) bool {
	return map[string]bool{"=": order == 0, "<>": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[op]
}

func (g *grammar) logic(depth int) naive {
	l, r := g.condition(depth-1), g.condition(depth-1)
	decides, word := true, "OR"
	if g.r.IntN(2) == 0 {
		decides, word = false, "AND"
	}
	return naive{"(" + l.text + " " + word + " " + r.text + ")", func(row []any) any {
		x, y := l.eval(row), r.eval(row)
		switch {
		case x == decides || y == decides:
			return decides
		case x == nil || y == nil:
			return nil
		}
		return !decides
	}}
}

// naiveRows are random cells, and what they mean.
func naiveRows(r *rand.Rand, n int) (cells [][]string, rows [][]any) {
	for range n {
		row := []any{
			[]int64{0, 1, -1, 3, 5, math.MaxInt64, math.MinInt64, r.Int64()}[r.IntN(8)], int64(r.IntN(7) - 2), int64(r.IntN(100) - 50),
			[]float64{0, 0.5, -3, 1e300, r.NormFloat64()}[r.IntN(5)], float64(float32(r.IntN(9)) / 4),
			[]string{"", "a", "ab", "b", "ÄÖ", "x"}[r.IntN(6)], []string{"a", "ab", "zz"}[r.IntN(3)], r.IntN(2) == 0, r.IntN(2) == 0,
		}
		line := make([]string, len(row))
		for i := range row {
			if r.IntN(5) == 0 {
				row[i] = nil
			}
			switch v := row[i].(type) {
			case nil:
				line[i] = "null"
			case string:
				line[i] = "'" + v + "'"
			default:
				line[i] = fmt.Sprint(v)
			}
		}
		cells, rows = append(cells, line), append(rows, row)
	}
	return cells, rows
}

// valueAt is row i of a column as a naive value.
func valueAt(c *column.Column, i int) any {
	if c.IsNull(i) {
		return nil
	}
	switch c.Type.Kind {
	case column.Boolean:
		return c.Bools.Get(i)
	case column.Int:
		return int64(c.Int32s[i])
	case column.BigInt:
		return c.Int64s[i]
	case column.Float:
		return float64(c.Float32s[i])
	case column.Double:
		return c.Float64s[i]
	}
	return string(c.Text(i))
}

func TestRandomExpressionsMeanWhatTheNaiveEvaluatorSays(t *testing.T) {
	schema, err := sqltest.Schema(naiveColumns)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 7))
		g := &grammar{r}
		n := []func(int) naive{g.integer, g.double, g.text, g.condition}[r.IntN(4)](1 + r.IntN(4))
		e, err := sql.CompileExpr(n.text, schema)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, n.text, err)
		}
		// Twice, so that memory that is used again shows.
		for round := range 2 {
			cells, rows := naiveRows(r, 1+r.IntN(40))
			b, err := sqltest.Batch(schema, cells, (seed+uint64(round))%2 == 0)
			if err != nil {
				t.Fatal(err)
			}
			if r.IntN(2) == 0 {
				b.Selection = []int32{}
				for i := range int32(b.Rows) {
					if r.IntN(3) > 0 {
						b.Selection = append(b.Selection, i)
					}
				}
			}
			checkNaive(t, seed, n, e, b, rows)
			if e.Type().Kind == column.Boolean {
				checkPredicate(t, seed, n, b, rows)
			}
		}
	}
}

func selected(b *column.Batch) []int32 {
	if b.Selection != nil {
		return b.Selection
	}
	out := []int32{}
	for i := range int32(b.Rows) {
		out = append(out, i)
	}
	return out
}

func checkNaive(t *testing.T, seed uint64, n naive, e *sql.Expr, b *column.Batch, rows [][]any) {
	t.Helper()
	c, err := e.Eval(b)
	if err != nil {
		t.Fatalf("seed %d: %s: %v", seed, n.text, err)
	}
	if c.Len != b.Rows {
		t.Fatalf("seed %d: %s: %d rows of %d", seed, n.text, c.Len, b.Rows)
	}
	for _, i := range selected(b) {
		if got, want := valueAt(c, int(i)), n.eval(rows[i]); got != want {
			t.Fatalf("seed %d: %s over %v is %v, want %v", seed, n.text, rows[i], got, want)
		}
	}
}

func checkPredicate(t *testing.T, seed uint64, n naive, b *column.Batch, rows [][]any) {
	t.Helper()
	p, err := sql.CompilePredicate(n.text, b.Schema)
	if err != nil {
		t.Fatalf("seed %d: %s: %v", seed, n.text, err)
	}
	got, err := p.Select(b, []int32{-1})
	if err != nil {
		t.Fatalf("seed %d: %s: %v", seed, n.text, err)
	}
	want := []int32{-1}
	for _, i := range selected(b) {
		if n.eval(rows[i]) == true {
			want = append(want, i)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("seed %d: %s selects %v, want %v", seed, n.text, got, want)
	}
}
