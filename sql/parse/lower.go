package parse

import (
	"fmt"
	"strings"

	"github.com/xwb1989/sqlparser"

	"github.com/millrace-io/millrace/sql/ast"
)

// maxDepth is how deep operators may nest; a chain of AND or of OR counts as one.
const maxDepth = 250

// lowerer turns the library's tree into ours.
type lowerer struct {
	leaves []leaf
	// stars are the places of the * not met yet.
	stars []ast.Pos
	depth int
}

func (l *lowerer) leaf(placeholder string) (leaf, error) {
	n, err := index(placeholder)
	if err != nil {
		return leaf{}, err
	}
	if n < 0 || n >= len(l.leaves) {
		return leaf{}, fmt.Errorf("placeholder %q is out of range", placeholder)
	}
	return l.leaves[n], nil
}

func (l *lowerer) items(exprs sqlparser.SelectExprs, named bool) ([]ast.Item, error) {
	var out []ast.Item
	for _, e := range exprs {
		item, err := l.item(e)
		if err != nil {
			return nil, err
		}
		if !named && (item.Expr == nil || item.Alias != "") {
			return nil, l.unnamed(e, item)
		}
		out = append(out, item)
	}
	return out, nil
}

// unnamed is the mistake of a star or of a name behind an expression where neither has a place.
func (l *lowerer) unnamed(e sqlparser.SelectExpr, item ast.Item) error {
	if item.Expr == nil {
		return item.Errorf("expected an expression, found *")
	}
	at := item.Pos
	if a, ok := e.(*sqlparser.AliasedExpr); ok {
		if alias, err := l.leaf(a.As.String()); err == nil {
			at = alias.Pos
		}
	}
	if cure, ok := infix[strings.ToUpper(item.Alias)]; ok {
		return at.Errorf("%s", cure)
	}
	return at.Errorf("unexpected %s; an expression has no name here", item.Alias)
}

func (l *lowerer) item(e sqlparser.SelectExpr) (ast.Item, error) {
	switch e := e.(type) {
	case *sqlparser.StarExpr:
		if e.TableName.Name.IsEmpty() {
			if len(l.stars) == 0 {
				return ast.Item{}, fmt.Errorf("a * has no place in the text")
			}
			star := ast.Item{Pos: l.stars[0]}
			l.stars = l.stars[1:]
			return star, nil
		}
		q, err := l.leaf(e.TableName.Name.String())
		if err != nil {
			return ast.Item{}, err
		}
		id, ok := q.expr.(*ast.Ident)
		if !ok {
			return ast.Item{}, q.Errorf("expected the name of a stream before .*")
		}
		return ast.Item{Pos: q.Pos, Qualifier: id}, nil
	case *sqlparser.AliasedExpr:
		x, err := l.expr(e.Expr)
		if err != nil {
			return ast.Item{}, err
		}
		item := ast.Item{Pos: x.Position(), Expr: x}
		if !e.As.IsEmpty() {
			alias, err := l.leaf(e.As.String())
			if err != nil {
				return ast.Item{}, err
			}
			item.Alias = alias.text
			if id, ok := alias.expr.(*ast.Ident); ok && len(id.Parts) == 1 {
				item.Alias = id.Parts[0].Text
			}
			if item.Alias == "" {
				return ast.Item{}, alias.Errorf("expected a plain name for the column")
			}
		}
		return item, nil
	}
	return ast.Item{}, fmt.Errorf("unexpected select item %T", e)
}

func (l *lowerer) exprs(list ...sqlparser.Expr) ([]ast.Expr, error) {
	out := make([]ast.Expr, len(list))
	for i, e := range list {
		x, err := l.expr(e)
		if err != nil {
			return nil, err
		}
		out[i] = x
	}
	return out, nil
}

// expr lowers one node.
func (l *lowerer) expr(e sqlparser.Expr) (ast.Expr, error) {
	l.depth++
	defer func() { l.depth-- }()
	if l.depth > maxDepth {
		return nil, l.place(e).Errorf("operators nest more than %d deep", maxDepth)
	}
	switch e := e.(type) {
	case *sqlparser.SQLVal:
		v, err := l.leaf(string(e.Val))
		if err == nil && v.expr == nil {
			err = v.Errorf("unexpected type")
		}
		return v.expr, err
	case *sqlparser.ColName:
		v, err := l.leaf(e.Name.String())
		if err == nil && v.expr == nil {
			err = v.Errorf("unexpected name")
		}
		return v.expr, err
	case *sqlparser.ParenExpr:
		return l.expr(e.Expr)
	case *sqlparser.AndExpr, *sqlparser.OrExpr:
		return l.logic(e)
	case *sqlparser.NotExpr:
		x, err := l.expr(e.Expr)
		return pass(err, func() ast.Expr { return &ast.Not{Pos: x.Position(), X: x} })
	case *sqlparser.UnaryExpr:
		return l.unary(e)
	case *sqlparser.BinaryExpr:
		return l.binary(e.Operator, e.Left, e.Right)
	case *sqlparser.ComparisonExpr:
		return l.comparison(e)
	case *sqlparser.RangeCond:
		x, err := l.exprs(e.Left, e.From, e.To)
		return pass(err, func() ast.Expr {
			return &ast.Between{Pos: x[0].Position(), X: x[0], Low: x[1], High: x[2], Not: e.Operator == sqlparser.NotBetweenStr}
		})
	case *sqlparser.IsExpr:
		return l.is(e)
	case *sqlparser.CaseExpr:
		return l.switchCase(e)
	case *sqlparser.FuncExpr:
		return l.call(e)
	}
	if _, ok := e.(sqlparser.ValTuple); ok {
		return nil, l.place(e).Errorf("a list of several values stands behind IN only; compare the columns one by one")
	}
	return nil, l.place(e).Errorf("this expression is not supported")
}

func pass(err error, node func() ast.Expr) (ast.Expr, error) {
	if err != nil {
		return nil, err
	}
	return node(), nil
}

// place is the first leaf below e.
func (l *lowerer) place(e sqlparser.Expr) ast.Pos {
	found := ast.Pos{Line: 1, Column: 1}
	// The walk stops at the first leaf; an error from Walk is how it stops.
	_ = sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		var name string
		switch n := n.(type) {
		case *sqlparser.SQLVal:
			name = string(n.Val)
		case sqlparser.ColIdent:
			name = n.String()
		default:
			return true, nil
		}
		leaf, err := l.leaf(name)
		if err != nil {
			return true, nil
		}
		found = leaf.Pos
		return false, fmt.Errorf("found")
	}, e)
	return found
}

// logic lowers a chain of the same operator to one node, without recursion along the chain.
func (l *lowerer) logic(e sqlparser.Expr) (ast.Expr, error) {
	_, and := e.(*sqlparser.AndExpr)
	var right []sqlparser.Expr
	for {
		if a, ok := e.(*sqlparser.AndExpr); ok && and {
			right, e = append(right, a.Right), a.Left
		} else if o, ok := e.(*sqlparser.OrExpr); ok && !and {
			right, e = append(right, o.Right), o.Left
		} else {
			break
		}
	}
	terms := []sqlparser.Expr{e}
	for i := len(right) - 1; i >= 0; i-- {
		terms = append(terms, right[i])
	}
	x, err := l.exprs(terms...)
	return pass(err, func() ast.Expr { return &ast.Logic{Pos: x[0].Position(), And: and, Terms: x} })
}

func (l *lowerer) unary(e *sqlparser.UnaryExpr) (ast.Expr, error) {
	x, err := l.expr(e.Expr)
	if err != nil {
		return nil, err
	}
	switch e.Operator {
	case sqlparser.UPlusStr:
		return x, nil
	case sqlparser.UMinusStr:
		if n, ok := x.(*ast.Number); ok && n.Text[0] != '-' {
			return number(n.Pos, "-"+n.Text)
		}
		return &ast.Negate{Pos: x.Position(), X: x}, nil
	}
	return nil, x.Position().Errorf("the operator %s is not supported", e.Operator)
}

func (l *lowerer) binary(op string, left, right sqlparser.Expr) (ast.Expr, error) {
	if op == sqlparser.BitOrStr {
		op = "||"
	}
	if op == sqlparser.NotEqualStr {
		op = "<>"
	}
	switch op {
	case "+", "-", "*", "/", "%", "||", "=", "<>", "<", "<=", ">", ">=":
	default:
		return nil, l.place(left).Errorf("the operator %s is not supported", op)
	}
	x, err := l.exprs(left, right)
	return pass(err, func() ast.Expr { return &ast.Binary{Pos: x[0].Position(), Op: op, L: x[0], R: x[1]} })
}

func (l *lowerer) comparison(e *sqlparser.ComparisonExpr) (ast.Expr, error) {
	switch e.Operator {
	case sqlparser.InStr, sqlparser.NotInStr:
		tuple, ok := e.Right.(sqlparser.ValTuple)
		if !ok {
			return nil, l.place(e.Left).Errorf("expected a list in parentheses after IN")
		}
		x, err := l.exprs(append([]sqlparser.Expr{e.Left}, tuple...)...)
		return pass(err, func() ast.Expr {
			return &ast.In{Pos: x[0].Position(), X: x[0], List: x[1:], Not: e.Operator == sqlparser.NotInStr}
		})
	case sqlparser.LikeStr, sqlparser.NotLikeStr:
		return l.like(e)
	case sqlparser.RegexpStr, sqlparser.NotRegexpStr:
		return l.marked(e)
	}
	return l.binary(e.Operator, e.Left, e.Right)
}

// like lowers LIKE, and ILIKE, which is LIKE with a marker before its pattern.
func (l *lowerer) like(e *sqlparser.ComparisonExpr) (ast.Expr, error) {
	pattern, fold := e.Right, l.mark(e.Right) == ilikeOp
	if fold {
		var err error
		if pattern, _, err = l.unmark(e.Right); err != nil {
			return nil, err
		}
	}
	x, err := l.exprs(e.Left, pattern)
	if err != nil {
		return nil, err
	}
	like := &ast.Like{Pos: x[0].Position(), X: x[0], Pattern: x[1], Not: e.Operator == sqlparser.NotLikeStr, Fold: fold}
	if e.Escape != nil {
		like.Escape, err = l.expr(e.Escape)
	}
	return pass(err, func() ast.Expr { return like })
}

// mark is the marker at the left end of a chain of ||, 0 if there is none.
func (l *lowerer) mark(e sqlparser.Expr) form {
	b, ok := e.(*sqlparser.BinaryExpr)
	for ok && b.Operator == sqlparser.BitOrStr {
		e = b.Left
		b, ok = e.(*sqlparser.BinaryExpr)
	}
	v, ok := e.(*sqlparser.SQLVal)
	if !ok {
		return 0
	}
	mark, err := l.leaf(string(v.Val))
	if err != nil {
		return 0
	}
	return mark.form
}

// marked lowers a comparison that begins its right side with a marker, see rewriter.operator.
func (l *lowerer) marked(e *sqlparser.ComparisonExpr) (ast.Expr, error) {
	right, op, err := l.unmark(e.Right)
	if err != nil {
		return nil, err
	}
	not := e.Operator == sqlparser.NotRegexpStr
	x, err := l.exprs(e.Left, right)
	return pass(err, func() ast.Expr {
		if op == regexpOp {
			return &ast.Regexp{Pos: x[0].Position(), X: x[0], Pattern: x[1], Not: not}
		}
		return &ast.Distinct{Pos: x[0].Position(), L: x[0], R: x[1], Not: op == notDistinctOp}
	})
}

// unmark takes the marker off the left end of a chain of ||.
func (l *lowerer) unmark(e sqlparser.Expr) (sqlparser.Expr, form, error) {
	b, ok := e.(*sqlparser.BinaryExpr)
	if !ok || b.Operator != sqlparser.BitOrStr {
		return nil, 0, l.place(e).Errorf("this expression is not supported")
	}
	parent := (*sqlparser.BinaryExpr)(nil)
	for {
		left, ok := b.Left.(*sqlparser.BinaryExpr)
		if !ok || left.Operator != sqlparser.BitOrStr {
			break
		}
		parent, b = b, left
	}
	v, ok := b.Left.(*sqlparser.SQLVal)
	if !ok {
		return nil, 0, l.place(e).Errorf("this expression is not supported")
	}
	mark, err := l.leaf(string(v.Val))
	if err == nil && mark.form < regexpOp {
		err = mark.Errorf("this expression is not supported")
	}
	if parent == nil {
		return b.Right, mark.form, err
	}
	parent.Left = b.Right
	return e, mark.form, err
}

func (l *lowerer) is(e *sqlparser.IsExpr) (ast.Expr, error) {
	x, err := l.expr(e.Expr)
	if err != nil {
		return nil, err
	}
	switch e.Operator {
	case sqlparser.IsNullStr, sqlparser.IsNotNullStr:
		return &ast.IsNull{Pos: x.Position(), X: x, Not: e.Operator == sqlparser.IsNotNullStr}, nil
	case sqlparser.IsTrueStr, sqlparser.IsNotTrueStr:
		return &ast.IsBool{Pos: x.Position(), X: x, Value: true, Not: e.Operator == sqlparser.IsNotTrueStr}, nil
	}
	return &ast.IsBool{Pos: x.Position(), X: x, Not: e.Operator == sqlparser.IsNotFalseStr}, nil
}

func (l *lowerer) switchCase(e *sqlparser.CaseExpr) (ast.Expr, error) {
	c := &ast.Case{Pos: l.place(e)}
	var err error
	if e.Expr != nil {
		if c.Operand, err = l.expr(e.Expr); err != nil {
			return nil, err
		}
	}
	for _, w := range e.Whens {
		x, err := l.exprs(w.Cond, w.Val)
		if err != nil {
			return nil, err
		}
		c.Whens = append(c.Whens, ast.When{Cond: x[0], Value: x[1]})
	}
	if e.Else != nil {
		if c.Else, err = l.expr(e.Else); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (l *lowerer) call(e *sqlparser.FuncExpr) (ast.Expr, error) {
	name, err := l.leaf(e.Name.String())
	if err != nil {
		return nil, err
	}
	switch name.form {
	case plainCall, swappedForm:
	case castForm:
		return l.cast(name, e.Exprs)
	default:
		return l.form(name, e)
	}
	c := &ast.Call{Pos: name.Pos, Name: name.text, Distinct: e.Distinct}
	for _, arg := range e.Exprs {
		item, err := l.item(arg)
		switch {
		case err != nil:
			return nil, err
		case item.Expr == nil && item.Qualifier == nil && len(e.Exprs) == 1:
			c.Star = true
		case item.Expr == nil || item.Alias != "":
			return nil, name.Errorf("the arguments of %s must be expressions separated by commas", c.Name)
		default:
			c.Args = append(c.Args, item.Expr)
		}
	}
	if name.form == swappedForm && len(c.Args) == 2 {
		c.Args[0], c.Args[1] = c.Args[1], c.Args[0]
	}
	return c, nil
}

// operands are the plain arguments of a call.
func (l *lowerer) operands(at leaf, exprs sqlparser.SelectExprs) ([]ast.Expr, error) {
	out := make([]ast.Expr, len(exprs))
	for i, e := range exprs {
		item, err := l.item(e)
		if err != nil {
			return nil, err
		}
		if item.Expr == nil || item.Alias != "" {
			return nil, at.Errorf("expected expressions separated by commas")
		}
		out[i] = item.Expr
	}
	return out, nil
}

// form lowers a call that stands for something else.
func (l *lowerer) form(name leaf, e *sqlparser.FuncExpr) (ast.Expr, error) {
	switch name.form {
	case overForm, filterForm, withinForm:
		return l.clause(name, e)
	}
	x, err := l.operands(name, e.Exprs)
	if err != nil {
		return nil, err
	}
	if name.form == arrayForm {
		return &ast.Array{Pos: name.Pos, Items: x}, nil
	}
	if name.form == indexForm && len(x) != 2 || name.form != indexForm && len(x) != 1 {
		return nil, name.Errorf("an element is written x[1], with one number")
	}
	at := x[0].Position()
	switch name.form {
	case indexForm:
		return &ast.Index{Pos: at, X: x[0], I: x[1]}, nil
	case memberForm:
		return &ast.Member{Pos: at, X: x[0], Name: ast.Name{Text: name.text, Quoted: name.expr != nil}}, nil
	case jsonForm, jsonTextForm:
		return &ast.JSON{Pos: at, X: x[0], Text: name.form == jsonTextForm, Step: name.expr}, nil
	case zoneForm:
		return &ast.Zoned{Pos: at, X: x[0], Zone: name.text}, nil
	}
	return nil, name.Errorf("this expression is not supported")
}

// clause adds OVER, FILTER or WITHIN GROUP to the call before it.
func (l *lowerer) clause(name leaf, e *sqlparser.FuncExpr) (ast.Expr, error) {
	x, err := l.operands(name, e.Exprs)
	if err != nil {
		return nil, err
	}
	c, ok := x[0].(*ast.Call)
	switch {
	case !ok || len(x) != 1:
		return nil, name.Errorf("%s stands behind a function call", name.text)
	case name.form == overForm && c.Over == nil:
		c.Over = name.over
	case name.form == filterForm && c.Filter == nil && c.Over == nil:
		c.Filter = name.filter
	case name.form == withinForm && c.Within == nil && c.Filter == nil && c.Over == nil:
		c.Within = name.within
	default:
		return nil, name.Errorf("%s is in the wrong place; the order is WITHIN GROUP, FILTER, OVER", name.text)
	}
	return c, nil
}

// cast lowers CAST(x AS type), whose second argument is a type, and x::type.
func (l *lowerer) cast(name leaf, args sqlparser.SelectExprs) (ast.Expr, error) {
	if len(args) == 1 && name.typ != nil {
		x, err := l.operands(name, args)
		return pass(err, func() ast.Expr { return &ast.Cast{Pos: x[0].Position(), X: x[0], To: *name.typ} })
	}
	if len(args) != 2 {
		return nil, name.Errorf("expected CAST(expression AS type)")
	}
	x, err := l.operands(name, args[:1])
	if err != nil {
		return nil, err
	}
	to, ok := args[1].(*sqlparser.AliasedExpr)
	if !ok || !to.As.IsEmpty() {
		return nil, name.Errorf("expected CAST(expression AS type)")
	}
	v, ok := to.Expr.(*sqlparser.SQLVal)
	if !ok {
		return nil, name.Errorf("expected CAST(expression AS type)")
	}
	typ, err := l.leaf(string(v.Val))
	if err != nil {
		return nil, err
	}
	if typ.typ == nil {
		return nil, typ.Errorf("expected a type after AS")
	}
	return &ast.Cast{Pos: name.Pos, X: x[0], To: *typ.typ}, nil
}
