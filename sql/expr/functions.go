package expr

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/decimal"
	"github.com/millrace-io/millrace/sql/temporal"
)

// function is one scalar function.
type function struct {
	// min and max are how many arguments it takes; max -1 is any number.
	min, max int
	build    func(c *compiler, e *ast.Call) (node, error)
}

// Aggregates are the names that only make sense over the rows of a window.
var Aggregates = []string{"count", "sum", "avg", "min", "max", "approx_count_distinct", "variance", "var_samp", "var_pop",
	"stddev", "stddev_samp", "stddev_pop", "median", "approx_quantile", "first", "first_value", "any_value", "last", "last_value",
	"min_by", "max_by", "arg_min", "arg_max", "array_agg", "approx_top_k", "bool_and", "bool_or", "every", "count_if"}

// laterAggregates are names that the dialect keeps for aggregates and window functions, for which
// there is no operator yet.
var laterAggregates = []string{"quantile", "percentile_cont", "percentile_disc", "mode", "top_k", "string_agg", "listagg",
	"row_number", "rank", "dense_rank", "lag", "lead", "nth_value", "ntile"}

// functions is a function and not a variable because the builders refer back to it.
func functions() map[string]function {
	m := textFunctions()
	for _, more := range []map[string]function{numberFunctions(), timeFunctions(), nestedFunctions()} {
		maps.Copy(m, more)
	}
	for alias, name := range map[string]string{"ucase": "upper", "lcase": "lower", "char_length": "length", "substr": "substring",
		"character_length": "length", "ifnull": "coalesce", "nvl": "coalesce", "ceiling": "ceil", "date_part": "extract", "pow": "power", "truncate": "trunc", "datediff": "date_diff",
		"array_length": "cardinality", "list_contains": "array_contains", "string_split": "split",
		"regexp_matches": "regexp_like", "regex_replace": "regexp_replace", "strftime": "format_timestamp", "strptime": "to_timestamp", "byte_length": "octet_length"} {
		m[alias] = m[name]
	}
	for _, part := range temporal.Parts {
		m[part] = function{1, 1, func(c *compiler, e *ast.Call) (node, error) { return c.part(part, e.Args[0]) }}
	}
	return m
}

// textFunctions make and take texts.
func textFunctions() map[string]function {
	txt, txtInt, txtIntTxt := []column.Type{text}, []column.Type{text, bigint}, []column.Type{text, bigint, text}
	return map[string]function{
		"upper":          {1, 1, mapping1(appendUpper)},
		"lower":          {1, 1, mapping1(appendLower)},
		"trim":           {1, 2, trimming(true, true)},
		"ltrim":          {1, 2, trimming(true, false)},
		"rtrim":          {1, 2, trimming(false, true)},
		"length":         {1, 1, wholesOf(txt, func(v []value) (int64, bool) { return int64(utf8.RuneCount(v[0].s)), true })},
		"octet_length":   {1, 1, buildOctets},
		"concat_ws":      {2, -1, buildConcatWS},
		"left":           {2, 2, texts(txtInt, left)},
		"right":          {2, 2, texts(txtInt, right)},
		"lpad":           {2, 3, texts(txtIntTxt, pad(true))},
		"rpad":           {2, 3, texts(txtIntTxt, pad(false))},
		"repeat":         {2, 2, texts(txtInt, repeat)},
		"reverse":        {1, 1, texts(txt, reverse)},
		"replace":        {3, 3, texts(txt, replace)},
		"split_part":     {3, 3, texts([]column.Type{text, text, bigint}, splitPart)},
		"initcap":        {1, 1, mapping1(initcap)},
		"position":       {2, 2, wholesOf(txt, func(v []value) (int64, bool) { return place(v[1].s, v[0].s), true })},
		"strpos":         {2, 2, wholesOf(txt, func(v []value) (int64, bool) { return place(v[0].s, v[1].s), true })},
		"ends_with":      {2, 2, booleansOf(txt, func(v []value) bool { return bytes.HasSuffix(v[0].s, v[1].s) })},
		"md5":            {1, 1, digest(md5Hex)},
		"sha256":         {1, 1, digest(sha256Hex)},
		"encode":         {2, 2, buildEncode},
		"decode":         {2, 2, buildDecode},
		"regexp_like":    {2, 2, buildRegexpLike},
		"regexp_extract": {2, 3, buildExtractGroup},
		"regexp_replace": {3, 3, buildRegexpReplace},
		"concat":         {1, -1, buildConcat},
		"substring":      {2, 3, texts([]column.Type{text, bigint}, substr)},
		"starts_with":    {2, 2, buildStartsWith},
	}
}

// numberFunctions compute.
func numberFunctions() map[string]function {
	num := []column.Type{bigint}
	return map[string]function{
		"abs":         {1, 1, buildAbs},
		"sign":        {1, 1, numeric(signInt, sign)},
		"floor":       {1, 1, whole(decimal.Floor, math.Floor)},
		"ceil":        {1, 1, whole(decimal.Ceil, math.Ceil)},
		"round":       {1, 2, rounding(decimal.HalfAway, math.Round)},
		"trunc":       {1, 2, rounding(decimal.Truncate, math.Trunc)},
		"power":       {2, 2, doubles(func(v []value) (float64, bool) { return math.Pow(v[0].f, v[1].f), true })},
		"log":         {1, 2, buildLog},
		"log10":       {1, 1, onDouble(log10)},
		"log2":        {1, 1, onDouble(log2)},
		"cbrt":        {1, 1, onDouble(math.Cbrt)},
		"sin":         {1, 1, onDouble(math.Sin)},
		"cos":         {1, 1, onDouble(math.Cos)},
		"tan":         {1, 1, onDouble(math.Tan)},
		"asin":        {1, 1, onDouble(math.Asin)},
		"acos":        {1, 1, onDouble(math.Acos)},
		"atan":        {1, 1, onDouble(math.Atan)},
		"atan2":       {2, 2, doubles(func(v []value) (float64, bool) { return atan2(v[0].f, v[1].f), true })},
		"radians":     {1, 1, onDouble(func(f float64) float64 { return f * math.Pi / 180 })},
		"degrees":     {1, 1, onDouble(func(f float64) float64 { return f * 180 / math.Pi })},
		"pi":          {0, 0, func(*compiler, *ast.Call) (node, error) { return &constant{t: double, f: math.Pi}, nil }},
		"bitand":      {2, 2, wholesOf(num, func(v []value) (int64, bool) { return v[0].i & v[1].i, true })},
		"bitor":       {2, 2, wholesOf(num, func(v []value) (int64, bool) { return v[0].i | v[1].i, true })},
		"bitxor":      {2, 2, wholesOf(num, func(v []value) (int64, bool) { return v[0].i ^ v[1].i, true })},
		"bitnot":      {1, 1, wholesOf(num, func(v []value) (int64, bool) { return ^v[0].i, true })},
		"shift_left":  {2, 2, wholesOf(num, shifted(true))},
		"shift_right": {2, 2, wholesOf(num, shifted(false))},
		"sqrt":        {1, 1, onDouble(math.Sqrt)},
		"ln":          {1, 1, onDouble(math.Log)},
		"exp":         {1, 1, onDouble(math.Exp)},
		"mod":         {2, 2, buildMod},
	}
}

// timeFunctions are about dates and times.
func timeFunctions() map[string]function {
	return map[string]function{
		"date":               {1, 1, buildDate},
		"date_trunc":         {2, 3, buildTrunc},
		"date_diff":          {3, 3, buildDiff},
		"last_day":           {1, 1, buildLastDay},
		"dayname":            {1, 1, nameOfDay("%A")},
		"monthname":          {1, 1, nameOfDay("%B")},
		"make_date":          {3, 3, buildMakeDate},
		"make_time":          {3, 3, buildMakeTime},
		"make_timestamp":     {6, 6, buildMakeTimestamp},
		"to_timestamp":       {1, 2, buildToTimestamp},
		"format_timestamp":   {2, 2, buildFormat},
		"epoch_ms":           {1, 1, sinceEpoch(temporal.Millisecond)},
		"epoch_us":           {1, 1, sinceEpoch(1)},
		"from_epoch":         {1, 1, fromEpoch(1e6)},
		"from_epoch_ms":      {1, 1, fromEpoch(1e3)},
		"from_epoch_us":      {1, 1, fromEpoch(1)},
		"to_utc_timestamp":   {2, 2, buildToUTC},
		"from_utc_timestamp": {2, 2, buildFromUTC},
		"extract":            {2, 2, buildExtract},
	}
}

// nestedFunctions choose between values and look into JSON and lists.
func nestedFunctions() map[string]function {
	return map[string]function{
		"split":          {2, 2, buildSplit},
		"cardinality":    {1, 1, buildCardinality},
		"array_contains": {2, 2, buildContains},
		"element_at": {2, 2, func(c *compiler, e *ast.Call) (node, error) {
			return c.index(&ast.Index{Pos: e.Pos, X: e.Args[0], I: e.Args[1]})
		}},
		"json_extract":        {2, 2, buildJSON(false, anyJSON)},
		"json_extract_string": {2, 2, buildJSON(true, anyJSON)},
		"json_value":          {2, 2, buildJSON(true, func(raw []byte) bool { return !nested(raw) })},
		"json_query":          {2, 2, buildJSON(false, nested)},
		"json_array_length":   {1, 1, buildJSONLength},
		"coalesce":            {1, -1, buildCoalesce},
		"nullif":              {2, 2, buildNullIf},
		"if":                  {3, 3, buildIf},
		"greatest":            {1, -1, extreme(">")},
		"least":               {1, -1, extreme("<")},
	}
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
	case !ok && slices.Contains([]string{"row_number", "rank", "dense_rank", "lag"}, e.Name):
		return nil, e.Errorf("%s needs OVER behind it: %s(…) OVER (PARTITION BY … ORDER BY …)", strings.ToUpper(e.Name), strings.ToUpper(e.Name))
	case !ok && e.Name == "unnest":
		return nil, e.Errorf("UNNEST stands in FROM: CROSS JOIN UNNEST(list) AS t(item)")
	case !ok && slices.Contains(laterAggregates, e.Name):
		return nil, e.Errorf("%s is not available yet; use %s", strings.ToUpper(e.Name), strings.ToUpper(strings.Join(Aggregates, ", ")))
	case !ok && slices.Contains(clocks, e.Name):
		return nil, noClock(e.Pos, e.Name)
	case !ok:
		if slices.Contains(ast.WindowNames(), e.Name) {
			return nil, e.Errorf("%s is a window, which belongs into GROUP BY; window_start and window_end are its columns", strings.ToUpper(e.Name))
		}
		names := append(ast.WindowNames(), Aggregates...)
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

// clocks are functions of other dialects that give something else whenever they are asked; some are written
// without parentheses.
var clocks = []string{"now", "current_timestamp", "current_date", "current_time", "localtime", "localtimestamp", "random", "uuid"}

func noClock(at ast.Pos, name string) error {
	return at.Errorf("%s is not supported: a query gives the same rows when it is run again; use the event time", strings.ToUpper(name))
}

func arity(f function) string {
	words := []string{"no", "one", "two", "three", "four", "five", "six"}
	switch {
	case f.max < 0 && f.min == 1:
		return "at least one argument"
	case f.max < 0:
		return "at least " + words[f.min] + " arguments"
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
		return nil, e.Position().Errorf("%s needs %s here, but this is of type %s", strings.ToUpper(function), one(t.String()), nameOf(from))
	}
	return coerce(x, t, e.Position())
}

// mapping1 is a function from text to text that never fails.
func mapping1(fn func(dst, s []byte) []byte) func(*compiler, *ast.Call) (node, error) {
	return texts([]column.Type{text}, func(dst []byte, v []value) ([]byte, bool) { return fn(dst, v[0].s), true })
}

// buildOctets is the length in bytes.
func buildOctets(c *compiler, e *ast.Call) (node, error) {
	x, err := c.bytes(e.Args[0], e.Name)
	if err != nil {
		return nil, err
	}
	return foldStrict(&scalar{t: bigint, args: []node{x}, whole: func(v []value) (int64, bool) { return int64(len(v[0].s)), true }}), nil
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
		return mapping1(trimmer(set, left, right))(c, &ast.Call{Pos: e.Pos, Name: e.Name, Args: e.Args[:1]})
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
	return c.once(e.Args[0], func(x ast.Expr) (node, error) {
		same := &ast.Binary{Pos: e.Pos, Op: "=", L: x, R: e.Args[1]}
		return c.switchCase(&ast.Case{Pos: e.Pos, Whens: []ast.When{{Cond: same, Value: &ast.Null{Pos: e.Pos}}}, Else: x})
	})
}

// extreme is GREATEST and LEAST: NULLs are left out.
func extreme(op string) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		nodes, _, err := c.meet(e.Args, "the arguments of "+upper(e.Name))
		if err != nil {
			return nil, err
		}
		var best ast.Expr = &compiled{e.Args[0].Position(), nodes[0]}
		for i, next := range nodes[1:] {
			n, err := c.better(op, best, &compiled{e.Args[i+1].Position(), next}, e.Pos)
			if err != nil {
				return nil, err
			}
			best = &compiled{e.Pos, n}
		}
		return c.expr(best)
	}
}

// better is the one of two values that op holds for, or that is not NULL.
func (c *compiler) better(op string, best, next ast.Expr, at ast.Pos) (node, error) {
	return c.once(best, func(l ast.Expr) (node, error) {
		return c.once(next, func(r ast.Expr) (node, error) {
			keep := &ast.Logic{Pos: at, Terms: []ast.Expr{
				&ast.IsNull{Pos: at, X: r},
				&ast.Binary{Pos: at, Op: op, L: l, R: r},
			}}
			return c.switchCase(&ast.Case{Pos: at, Whens: []ast.When{{Cond: keep, Value: l}}, Else: r})
		})
	})
}
