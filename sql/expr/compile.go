package expr

import (
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/decimal"
	"github.com/millrace-io/millrace/sql/temporal"
)

type compiler struct {
	scope *Scope
	// read is as in Program.
	read [][]int
	// aliased is set within what an alias stands for, and aliases is how many were met.
	aliased bool
	aliases int
	// memos is set once there is a call that other expressions may have as well.
	memos bool
}

// expr compiles one node.
func (c *compiler) expr(e ast.Expr) (node, error) {
	if done, ok := e.(*compiled); ok {
		return done.node, nil
	}
	if x := c.alias(e); x != nil {
		c.aliased = true
		c.aliases++
		n, err := c.expr(x)
		c.aliased = false
		return n, err
	}
	field, err := c.replacement(e)
	switch {
	case err != nil:
		return nil, err
	case field >= 0:
		return c.field(field), nil
	}
	switch e := e.(type) {
	case *ast.Ident:
		return c.ident(e)
	case *ast.Number:
		if e.Integer {
			return &constant{t: bigint, i: e.Int, f: e.Float}, nil
		}
		return &constant{t: double, f: e.Float, exact: exactly(e.Text)}, nil
	case *ast.String:
		return &constant{t: text, s: []byte(e.Value)}, nil
	case *ast.Bool:
		return &constant{t: boolean, b: e.Value}, nil
	case *ast.Null:
		return &constant{null: true}, nil
	case *ast.Date:
		return &constant{t: date, i: int64(e.Days)}, nil
	case *ast.Timestamp:
		return &constant{t: timestamp, i: e.Micros}, nil
	case *ast.Clock:
		return &constant{t: clock, i: e.Micros}, nil
	case *ast.Bytes:
		return &constant{t: binary, s: e.Value}, nil
	case *ast.Interval:
		if e.Value.Months != 0 {
			return nil, e.Errorf("an INTERVAL of months can only be added to or taken from a timestamp or date, since months differ in length")
		}
		return &constant{t: interval, i: e.Value.Micros}, nil
	case *ast.Array:
		return c.array(e)
	case *ast.Index:
		return c.index(e)
	case *ast.Member:
		return c.member(e)
	case *ast.JSON:
		return c.json(e)
	case *ast.Zoned:
		return c.zoned(e)
	case *ast.Negate:
		return c.negate(e)
	case *ast.Binary:
		return c.binary(e)
	case *ast.Cast:
		return c.cast(e)
	case *ast.Case:
		return c.switchCase(e)
	case *ast.Call:
		aliases, reads := c.aliases, len(c.read)
		n, err := c.call(e)
		if err != nil || c.aliases > aliases {
			return n, err
		}
		return c.shared(e, n, reads), nil
	}
	return c.condition(e)
}

// alias is what a name stands for that is an alias, else nil.
func (c *compiler) alias(e ast.Expr) ast.Expr {
	id, ok := e.(*ast.Ident)
	if !ok || c.scope.Alias == nil || c.aliased {
		return nil
	}
	return c.scope.Alias(id)
}

// replacement is the field that stands for e, or -1.
func (c *compiler) replacement(e ast.Expr) (int, error) {
	if c.scope.Replace == nil {
		return -1, nil
	}
	return c.scope.Replace(e)
}

func (c *compiler) replaced(e ast.Expr) bool {
	field, err := c.replacement(e)
	return err == nil && field >= 0
}

// condition compiles the nodes that are true, false or null.
func (c *compiler) condition(e ast.Expr) (node, error) {
	switch e := e.(type) {
	case *ast.Logic:
		return c.logic(e)
	case *ast.Not:
		x, err := c.boolean(e.X, "NOT")
		if err != nil {
			return nil, err
		}
		return fold(&not{x}, x), nil
	case *ast.IsNull:
		x, err := c.expr(e.X)
		if err != nil {
			return nil, err
		}
		if untyped(x) {
			return &constant{t: boolean, b: !e.Not}, nil
		}
		return fold(&isNull{x: x, not: e.Not}, x), nil
	case *ast.IsBool:
		x, err := c.boolean(e.X, map[bool]string{true: "IS TRUE", false: "IS FALSE"}[e.Value])
		if err != nil {
			return nil, err
		}
		if !e.Value {
			x = fold(&not{x}, x)
		}
		n := fold(&isTrue{x}, x)
		if e.Not {
			n = fold(&not{n}, n)
		}
		return n, nil
	case *ast.Between:
		return c.between(e)
	case *ast.In:
		return c.in(e)
	case *ast.Like:
		return c.like(e)
	case *ast.Regexp:
		return c.regexp(e)
	case *ast.Distinct:
		return c.distinct(e)
	}
	return nil, e.Position().Errorf("this expression is not supported")
}

func (c *compiler) field(i int) node {
	c.read = append(c.read, []int{i})
	f := c.scope.Schema.Fields[i]
	return &reference{t: f.Type, column: f.Name, name: f.Name, index: i}
}

// Resolve is the places of a column and of the fields within it. Errors are *ast.Error.
func Resolve(id *ast.Ident, s *Scope) ([]int, error) {
	c := &compiler{scope: s}
	n, err := c.ident(id)
	if err != nil {
		return nil, err
	}
	r := n.(*reference)
	return append([]int{r.index}, r.path...), nil
}

// ident resolves a column, a field within one, either behind the name of the input.
func (c *compiler) ident(id *ast.Ident) (node, error) {
	if c.scope.Parts != nil {
		return c.joined(id)
	}
	all := c.scope.Schema.Fields
	n, err := c.path(all, 0, id.Parts, id)
	if err == nil || len(id.Parts) == 1 {
		return n, err
	}
	for _, q := range c.scope.Qualifiers {
		if named(id.Parts[0], q) {
			return c.path(all, 0, id.Parts[1:], id)
		}
	}
	return nil, err
}

func named(n ast.Name, as string) bool {
	return n.Text == as || !n.Quoted && strings.EqualFold(n.Text, as)
}

// find is the field of a name: the one spelt the same, else the only one that differs in case.
func find(fields []column.Field, n ast.Name) int {
	found := -1
	for i, f := range fields {
		if f.Name == n.Text {
			return i
		}
		if named(n, f.Name) {
			if found >= 0 {
				found = -2
			} else if found == -1 {
				found = i
			}
		}
	}
	return found
}

// path resolves a column among fields, the first of which is the schema's field from.
func (c *compiler) path(fields []column.Field, from int, parts []ast.Name, id *ast.Ident) (node, error) {
	i := find(fields, parts[0])
	if i < 0 {
		return nil, c.unknown(fields, parts[0], i, id, "column")
	}
	f := fields[i]
	r := &reference{t: f.Type, column: f.Name, name: f.Name, index: from + i}
	for _, p := range parts[1:] {
		if r.t.Kind != column.Struct {
			return nil, id.Errorf("%q has no field %q: it is of type %s", r.name, p.Text, r.t)
		}
		j := find(r.t.Fields, p)
		if j < 0 {
			return nil, c.unknown(r.t.Fields, p, j, id, "field of "+r.name)
		}
		r.path = append(r.path, j)
		r.name += "." + r.t.Fields[j].Name
		r.t = r.t.Fields[j].Type
	}
	c.read = append(c.read, append([]int{r.index}, r.path...))
	return r, nil
}

func (c *compiler) unknown(fields []column.Field, n ast.Name, found int, id *ast.Ident, what string) error {
	if found == -2 {
		return id.Errorf("several columns are called %q but for the case; write the one meant in double quotes", n.Text)
	}
	if what == "column" && len(id.Parts) == 1 && !n.Quoted && slices.Contains(clocks, strings.ToLower(n.Text)) {
		return noClock(id.Pos, n.Text)
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	hint := ""
	if len(id.Parts) == 1 {
		if hint = id.Hint(); hint == "" && c.scope.Hint != nil {
			hint = c.scope.Hint(id)
		}
	}
	if hint == "" && what == "column" {
		hint = c.misread(n, id)
	}
	if hint == "" {
		hint = ast.DidYouMean(n.Text, names)
	}
	return id.Errorf("unknown %s %q%s", what, n.Text, hint)
}

// misread ends the message about a name that is none, when it may be something else.
func (c *compiler) misread(n ast.Name, id *ast.Ident) string {
	switch {
	case len(id.Parts) > 1:
		if of := c.inputOf(id.Parts[1]); of != "" {
			return "; write " + of + "." + id.Parts[1].Text
		}
	case n.Quoted && find(c.scope.Schema.Fields, ast.Name{Text: n.Text}) < 0:
		return "; double quotes are for names, a text is in single ones: '" + strings.ReplaceAll(n.Text, "'", "''") + "'"
	case slices.Contains([]string{"window_start", "window_end", "window_final"}, strings.ToLower(n.Text)):
		return "; that is known of the rows that come out of a window: use it in the select list or HAVING beside GROUP BY TUMBLE(…)"
	}
	return ""
}

// inputOf is the name of an input that has a column.
func (c *compiler) inputOf(n ast.Name) string {
	for _, p := range c.scope.Parts {
		if find(p.Fields, n) >= 0 {
			return p.Name
		}
	}
	if len(c.scope.Parts) == 0 && len(c.scope.Qualifiers) > 0 && find(c.scope.Schema.Fields, n) >= 0 {
		return c.scope.Qualifiers[0]
	}
	return ""
}

func (c *compiler) negate(e *ast.Negate) (node, error) {
	x, err := c.expr(e.X)
	if err != nil {
		return nil, err
	}
	if isDecimal(x.typ()) {
		return fold(&signedDecimal{x: x}, x), nil
	}
	if isInterval(x) {
		return fold(&arithmetic{op: '-', t: interval, l: &constant{t: interval}, r: x}, x), nil
	}
	zero := &constant{t: bigint}
	return c.arithmetic("-", zero, x, e.X)
}

func (c *compiler) binary(e *ast.Binary) (node, error) {
	if i, ok := e.R.(*ast.Interval); ok && (e.Op == "+" || e.Op == "-") && i.Value.Months != 0 {
		return c.shift(e.L, i.Value, e.Op == "-")
	}
	if i, ok := e.L.(*ast.Interval); ok && e.Op == "+" && i.Value.Months != 0 {
		return c.shift(e.R, i.Value, false)
	}
	if e.Op == "||" {
		return c.join(e)
	}
	l, err := c.expr(e.L)
	if err != nil {
		return nil, err
	}
	r, err := c.expr(e.R)
	if err != nil {
		return nil, err
	}
	if strings.Contains("+-*/%", e.Op) {
		return c.arithmetic(e.Op, l, r, e)
	}
	return c.compare(e.Op, l, r, e)
}

func (c *compiler) shift(e ast.Expr, by temporal.Interval, back bool) (node, error) {
	x, err := c.expr(e)
	if err != nil {
		return nil, err
	}
	if k := x.typ().Kind; k != column.Timestamp && k != column.Date {
		return nil, e.Position().Errorf("an INTERVAL can only be added to or taken from a timestamp or date, but this is of type %s", typeName(x))
	}
	if x, err = coerce(x, timestamp, e.Position()); err != nil {
		return nil, err
	}
	if back {
		by = by.Negated()
	}
	return fold(&shift{x: x, interval: by}, x), nil
}

func typeName(n node) string {
	if untyped(n) {
		return "null"
	}
	return nameOf(n.typ())
}

// exactly is the text of a literal that a decimal can hold, else "".
func exactly(text string) string {
	if _, ok := literalType(text); ok {
		return text
	}
	return ""
}

// arithmetic of integers is in bigint, of other numbers in double; / is always in double.
func (c *compiler) arithmetic(op string, l, r node, at ast.Expr) (node, error) {
	if n, ok, err := c.spans(op, l, r, at); ok {
		return n, err
	}
	if op != "/" {
		if a, b, ok := exact(l, r); ok {
			return c.decimalArithmetic(op[0], l, r, a, b, at)
		}
	}
	for _, n := range []node{l, r} {
		if !untyped(n) && !isNumber(n.typ()) {
			cure := ""
			switch {
			case n.typ().Kind == column.String && op == "+":
				cure = "; texts are joined with ||"
			case n.typ().Kind == column.String:
				cure = "; cast it to double or bigint"
			case n.typ().Kind == column.Timestamp || n.typ().Kind == column.Date:
				cure = "; use INTERVAL, or EPOCH(x) for seconds"
			}
			return nil, at.Position().Errorf("%s needs numbers, but an operand is of type %s%s", op, nameOf(n.typ()), cure)
		}
	}
	t := double
	if op != "/" && (untyped(l) || isInteger(l.typ())) && (untyped(r) || isInteger(r.typ())) {
		t = bigint
	}
	l, err := coerce(l, t, at.Position())
	if err != nil {
		return nil, err
	}
	if r, err = coerce(r, t, at.Position()); err != nil {
		return nil, err
	}
	return fold(&arithmetic{op: op[0], t: t, l: l, r: r}, l, r), nil
}

// pair brings two operands to the type they are compared in.
func (c *compiler) pair(l, r node, at ast.Expr) (node, node, error) {
	t, ok := common(l, r)
	if !ok {
		cure := ""
		if l.typ().Kind == column.String || r.typ().Kind == column.String {
			cure = "; cast one of them"
		}
		return nil, nil, at.Position().Errorf("%s cannot be compared with %s%s", one(typeName(l)), one(typeName(r)), cure)
	}
	if t.Kind == column.Invalid {
		t = bigint
	}
	kernel, ok := comparableType(t)
	if isDecimal(t) {
		kernel = t
	}
	if !ok {
		return nil, nil, at.Position().Errorf("values of type %s cannot be compared", nameOf(t))
	}
	out := [2]node{l, r}
	for i, n := range out {
		// By way of the common type, so that a text literal is read as a date.
		n, err := coerce(n, t, at.Position())
		if err != nil {
			return nil, nil, err
		}
		if out[i], err = coerce(n, kernel, at.Position()); err != nil {
			return nil, nil, err
		}
	}
	return out[0], out[1], nil
}

func (c *compiler) compare(op string, l, r node, at ast.Expr) (node, error) {
	l, r, err := c.pair(l, r, at)
	if err != nil {
		return nil, err
	}
	if isText(l) {
		if v, ok := r.(*constant); ok && !v.null && !isConstant(l) {
			return textCompare(op, l, v.s), nil
		}
		if v, ok := l.(*constant); ok && !v.null && !isConstant(r) {
			return textCompare(mirrored(op), r, v.s), nil
		}
	}
	return fold(newCompare(op, l, r), l, r), nil
}

func isText(n node) bool { return n.typ().Kind == column.String }

func mirrored(op string) string {
	return map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}[op]
}

func (c *compiler) boolean(e ast.Expr, what string) (node, error) {
	x, err := c.expr(e)
	if err != nil {
		return nil, err
	}
	if untyped(x) {
		return &constant{t: boolean, null: true}, nil
	}
	if x.typ().Kind != column.Boolean {
		return nil, e.Position().Errorf("%s needs a condition, but this is of type %s", what, x.typ())
	}
	return x, nil
}

func (c *compiler) logic(e *ast.Logic) (node, error) {
	word := "OR"
	if e.And {
		word = "AND"
	}
	l := &logic{and: e.And}
	for _, t := range e.Terms {
		x, err := c.boolean(t, word)
		if err != nil {
			return nil, err
		}
		l.terms = append(l.terms, x)
	}
	return fold(l, l.terms...), nil
}

func (c *compiler) between(e *ast.Between) (node, error) {
	return c.once(e.X, func(x ast.Expr) (node, error) { return c.within(e, x) })
}

// within compiles x BETWEEN low AND high.
func (c *compiler) within(e *ast.Between, x ast.Expr) (node, error) {
	terms := make([]node, 2)
	for i, side := range []struct {
		op    string
		bound ast.Expr
	}{{">=", e.Low}, {"<=", e.High}} {
		n, err := c.binary(&ast.Binary{Pos: e.Pos, Op: side.op, L: x, R: side.bound})
		if err != nil {
			return nil, err
		}
		terms[i] = n
	}
	n := fold(&logic{and: true, terms: terms}, terms...)
	if e.Not {
		n = fold(&not{n}, n)
	}
	return n, nil
}

func (c *compiler) cast(e *ast.Cast) (node, error) {
	x, err := c.expr(e.X)
	if err != nil {
		return nil, err
	}
	t, err := typeOf(e.To)
	if err != nil {
		return nil, err
	}
	literal, _ := x.(*constant)
	switch {
	case untyped(x):
		return &constant{t: t, null: true}, nil
	case x.typ().Equal(t):
		return x, nil
	case !castable(x.typ().Kind, t.Kind):
		cure := ""
		if x.typ().Kind == column.JSON {
			cure = "; take a text out of it with ->> first"
		}
		return nil, e.Errorf("%s cannot be cast to %s%s", one(nameOf(x.typ())), t, cure)
	case literal != nil && literal.exact != "" && t.Kind == column.Decimal:
		// It is the decimal that it is written as, and not the double next to that.
		d, ok := decimal.Parse([]byte(literal.exact), t.Precision, t.Scale)
		return &constant{t: t, d: d, i: int64(d.Lo), null: !ok}, nil
	}
	return fold(&convert{x: x, to: t}, x), nil
}
