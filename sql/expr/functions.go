package expr

import (
	"bytes"
	"math"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/temporal"
)

// function is one scalar function.
type function struct {
	// min and max are how many arguments it takes; max -1 is any number.
	min, max int
	build    func(c *compiler, e *ast.Call) (node, error)
}

// Aggregates are the names that only make sense over the rows of a window.
var Aggregates = []string{"count", "sum", "avg", "min", "max"}

// LaterAggregates are names that the dialect keeps for aggregates and window functions, for which
// there is no operator yet.
var LaterAggregates = []string{"stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop",
	"approx_count_distinct", "quantile", "approx_quantile", "percentile_cont", "percentile_disc", "median", "mode",
	"top_k", "approx_top_k", "first", "last", "first_value", "last_value", "any_value", "array_agg", "string_agg", "listagg",
	"bool_and", "bool_or", "every", "count_if", "row_number", "rank", "dense_rank", "lag", "lead", "nth_value", "ntile"}

// functions is a function and not a variable because the builders refer back to it.
func functions() map[string]function {
	m := map[string]function{
		"upper":       {1, 1, mapping(func(dst, s []byte) []byte { return append(dst, bytes.ToUpper(s)...) })},
		"lower":       {1, 1, mapping(func(dst, s []byte) []byte { return append(dst, bytes.ToLower(s)...) })},
		"trim":        {1, 2, trimming(true, true)},
		"ltrim":       {1, 2, trimming(true, false)},
		"rtrim":       {1, 2, trimming(false, true)},
		"length":      {1, 1, measuring(func(b []byte) int64 { return int64(utf8.RuneCount(b)) })},
		"concat":      {1, -1, buildConcat},
		"substring":   {2, 3, buildSubstring},
		"coalesce":    {1, -1, buildCoalesce},
		"nullif":      {2, 2, buildNullIf},
		"if":          {3, 3, buildIf},
		"abs":         {1, 1, numeric(absInt, math.Abs)},
		"sign":        {1, 1, numeric(signInt, sign)},
		"floor":       {1, 1, numeric(nil, math.Floor)},
		"ceil":        {1, 1, numeric(nil, math.Ceil)},
		"round":       {1, 2, buildRound},
		"sqrt":        {1, 1, onDouble(math.Sqrt)},
		"ln":          {1, 1, onDouble(math.Log)},
		"exp":         {1, 1, onDouble(math.Exp)},
		"mod":         {2, 2, buildMod},
		"date":        {1, 1, buildDate},
		"date_trunc":  {2, 2, buildTrunc},
		"extract":     {2, 2, buildExtract},
		"greatest":    {1, -1, extreme("greatest", ">")},
		"least":       {1, -1, extreme("least", "<")},
		"starts_with": {2, 2, buildStartsWith},
	}
	for alias, name := range map[string]string{"ucase": "upper", "lcase": "lower", "char_length": "length", "substr": "substring",
		"character_length": "length", "ifnull": "coalesce", "nvl": "coalesce", "ceiling": "ceil", "date_part": "extract"} {
		m[alias] = m[name]
	}
	for _, part := range temporal.Parts {
		m[part] = function{1, 1, func(c *compiler, e *ast.Call) (node, error) { return c.part(part, e.Args[0]) }}
	}
	return m
}

func (c *compiler) call(e *ast.Call) (node, error) {
	if slices.Contains(Aggregates, e.Name) {
		return nil, e.Errorf("%s counts over the rows of a window: use it in the select list or HAVING of a query with GROUP BY TUMBLE(…)", strings.ToUpper(e.Name))
	}
	known := functions()
	f, ok := known[e.Name]
	switch {
	case e.Over != nil || e.Filter != nil || e.Within != nil:
		return nil, e.Errorf("%s is no aggregate; OVER, FILTER and WITHIN GROUP stand behind aggregates", strings.ToUpper(e.Name))
	case !ok && slices.Contains(LaterAggregates, e.Name):
		return nil, e.Errorf("%s is not available yet; use %s", strings.ToUpper(e.Name), strings.ToUpper(strings.Join(Aggregates, ", ")))
	case !ok && slices.Contains([]string{"now", "current_timestamp", "current_date", "random", "uuid"}, e.Name):
		return nil, e.Errorf("%s is not supported: a query gives the same rows when it is run again; use the event time", strings.ToUpper(e.Name))
	case !ok:
		names := append([]string(nil), Aggregates...)
		for n := range known {
			names = append(names, n)
		}
		sort.Strings(names)
		return nil, e.Errorf("unknown function %q%s", e.Name, ast.DidYouMean(e.Name, names))
	case e.Star || e.Distinct:
		return nil, e.Errorf("%s takes plain arguments, neither * nor DISTINCT", strings.ToUpper(e.Name))
	case len(e.Args) < f.min || f.max >= 0 && len(e.Args) > f.max:
		return nil, e.Errorf("%s takes %s, but there are %d", strings.ToUpper(e.Name), arity(f), len(e.Args))
	}
	return f.build(c, e)
}

func arity(f function) string {
	words := []string{"no", "one", "two", "three"}
	switch {
	case f.max < 0:
		return "at least " + words[f.min] + " argument"
	case f.min == f.max && f.min == 1:
		return "one argument"
	case f.min == f.max:
		return words[f.min] + " arguments"
	}
	return words[f.min] + " or " + words[f.max] + " arguments"
}

// arg compiles an argument to a type that a function needs.
func (c *compiler) arg(e ast.Expr, t column.Type, function string) (node, error) {
	x, err := c.expr(e)
	if err != nil {
		return nil, err
	}
	from := x.typ()
	fits := untyped(x) || from.Kind == t.Kind || isNumber(from) && t.Kind == column.Double || isInteger(from) && t.Kind == column.BigInt ||
		from.Kind == column.Date && t.Kind == column.Timestamp || from.Kind == column.UUID && t.Kind == column.String
	if s, ok := x.(*constant); ok && from.Kind == column.String && t.Kind == column.Timestamp {
		if _, ok := temporal.ParseTimestamp(s.s); ok {
			fits = true
		}
	}
	if !fits {
		return nil, e.Position().Errorf("%s needs a %s here, but this is of type %s", strings.ToUpper(function), t, from)
	}
	return coerce(x, t, e.Position())
}

func mapping(fn func(dst, s []byte) []byte) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		x, err := c.arg(e.Args[0], text, e.Name)
		if err != nil {
			return nil, err
		}
		return fold(&textMap{x: x, fn: fn}, x), nil
	}
}

func measuring(fn func([]byte) int64) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		x, err := c.arg(e.Args[0], text, e.Name)
		if err != nil {
			return nil, err
		}
		return fold(&measure{x: x, fn: fn}, x), nil
	}
}

func trimming(left, right bool) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		set := " "
		if len(e.Args) == 2 {
			s, ok := e.Args[1].(*ast.String)
			if !ok {
				return nil, e.Args[1].Position().Errorf("the characters to trim must be a text literal")
			}
			set = s.Value
		}
		return mapping(trimmer(set, left, right))(c, &ast.Call{Pos: e.Pos, Name: e.Name, Args: e.Args[:1]})
	}
}

func buildStartsWith(c *compiler, e *ast.Call) (node, error) {
	s, ok := e.Args[1].(*ast.String)
	if !ok {
		return nil, e.Args[1].Position().Errorf("the start must be a text literal")
	}
	x, err := c.arg(e.Args[0], text, e.Name)
	if err != nil {
		return nil, err
	}
	want := []byte(s.Value)
	return fold(&textTest{x: x, fn: func(b []byte) bool { return bytes.HasPrefix(b, want) }}, x), nil
}

func buildConcat(c *compiler, e *ast.Call) (node, error) {
	args := make([]node, len(e.Args))
	for i, a := range e.Args {
		n, err := c.expr(a)
		if err != nil {
			return nil, err
		}
		args[i] = n
	}
	return c.concat(args, e.Args, false)
}

func buildSubstring(c *compiler, e *ast.Call) (node, error) {
	s := &substring{}
	operands := []node{}
	for i, into := range []*node{&s.x, &s.start, &s.length}[:len(e.Args)] {
		t := bigint
		if i == 0 {
			t = text
		}
		n, err := c.arg(e.Args[i], t, e.Name)
		if err != nil {
			return nil, err
		}
		*into = n
		operands = append(operands, n)
	}
	return fold(s, operands...), nil
}

func buildCoalesce(c *compiler, e *ast.Call) (node, error) {
	values, t, err := c.meet(e.Args, "the arguments of "+strings.ToUpper(e.Name))
	if err != nil {
		return nil, err
	}
	return fold(&coalesce{t: t, values: values}, values...), nil
}

func buildIf(c *compiler, e *ast.Call) (node, error) {
	return c.switchCase(&ast.Case{Pos: e.Pos, Whens: []ast.When{{Cond: e.Args[0], Value: e.Args[1]}}, Else: e.Args[2]})
}

func buildNullIf(c *compiler, e *ast.Call) (node, error) {
	same := &ast.Binary{Pos: e.Pos, Op: "=", L: e.Args[0], R: e.Args[1]}
	return c.switchCase(&ast.Case{Pos: e.Pos, Whens: []ast.When{{Cond: same, Value: &ast.Null{Pos: e.Pos}}}, Else: e.Args[0]})
}

// extreme is GREATEST and LEAST: NULLs are left out.
func extreme(name, op string) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		best := e.Args[0]
		for _, a := range e.Args[1:] {
			better := &ast.Logic{Pos: e.Pos, Terms: []ast.Expr{
				&ast.IsNull{Pos: e.Pos, X: a},
				&ast.Binary{Pos: e.Pos, Op: op, L: best, R: a},
			}}
			best = &ast.Case{Pos: e.Pos, Whens: []ast.When{{Cond: better, Value: best}}, Else: a}
		}
		if len(e.Args) > 4 {
			return nil, e.Errorf("%s takes at most four arguments", strings.ToUpper(name))
		}
		return c.expr(best)
	}
}
