package expr

import (
	"bytes"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
)

func textCompare(op string, x node, v []byte) node {
	var fn func([]byte) bool
	switch op {
	case "=":
		fn = func(b []byte) bool { return bytes.Equal(b, v) }
	case "<>":
		fn = func(b []byte) bool { return !bytes.Equal(b, v) }
	default:
		fn = func(b []byte) bool { return holds(op, bytes.Compare(b, v)) }
	}
	return &textTest{x: x, fn: fn}
}

// in compiles a list of literals to a set, any other list to comparisons.
func (c *compiler) in(e *ast.In) (node, error) {
	return c.once(e.X, func(x ast.Expr) (node, error) { return c.inList(x.(*compiled).node, e) })
}

// inList compiles x IN (list).
func (c *compiler) inList(x node, e *ast.In) (node, error) {
	n, err := c.inSet(x, e)
	if err == nil && n == nil {
		n, err = c.inAny(x, e)
	}
	if err != nil {
		return nil, err
	}
	if e.Not {
		n = fold(&not{n}, n)
	}
	return n, nil
}

func (c *compiler) inAny(x node, e *ast.In) (node, error) {
	l := &logic{}
	for _, item := range e.List {
		v, err := c.expr(item)
		if err != nil {
			return nil, err
		}
		term, err := c.compare("=", x, v, item)
		if err != nil {
			return nil, err
		}
		l.terms = append(l.terms, term)
	}
	if len(l.terms) == 1 {
		return l.terms[0], nil
	}
	return fold(l, l.terms...), nil
}

// inSet returns nil when the list is not one of literals that all meet in the type of x.
func (c *compiler) inSet(x node, e *ast.In) (node, error) {
	if isConstant(x) {
		return nil, nil
	}
	ints, floats, texts := map[int64]struct{}{}, map[float64]struct{}{}, map[string]struct{}{}
	null, left := false, x
	for i, item := range e.List {
		v, err := c.expr(item)
		if err != nil {
			return nil, err
		}
		if k, ok := v.(*constant); !ok {
			return nil, nil
		} else if k.null {
			null = true
			continue
		}
		l, r, err := c.pair(x, v, item)
		if err != nil {
			return nil, err
		}
		if i > 0 && left != x && !left.typ().Equal(l.typ()) {
			return nil, nil
		}
		left = l
		k, ok := r.(*constant)
		if !ok {
			return nil, nil
		}
		switch k.t.Kind {
		case column.Decimal, column.Binary, column.JSON:
			return nil, nil
		case column.Double:
			floats[k.f] = struct{}{}
		case column.String:
			texts[string(k.s)] = struct{}{}
		default:
			ints[k.i] = struct{}{}
		}
	}
	switch {
	case len(floats) > 0 && len(ints) == 0 && len(texts) == 0:
		return &among[float64]{x: left, set: floats, null: null}, nil
	case len(ints) > 0 && len(floats) == 0 && len(texts) == 0:
		return &among[int64]{x: left, set: ints, null: null}, nil
	case len(texts) > 0 && !null && isText(left):
		return &textTest{x: left, fn: func(b []byte) bool { _, ok := texts[string(b)]; return ok }}, nil
	}
	return nil, nil
}

func (c *compiler) switchCase(e *ast.Case) (node, error) {
	if _, ok := e.Operand.(*compiled); e.Operand != nil && !ok {
		return c.once(e.Operand, func(x ast.Expr) (node, error) {
			return c.switchCase(&ast.Case{Pos: e.Pos, Operand: x, Whens: e.Whens, Else: e.Else})
		})
	}
	b := &branches{}
	var exprs []ast.Expr
	for _, w := range e.Whens {
		cond := w.Cond
		if e.Operand != nil {
			cond = &ast.Binary{Pos: w.Cond.Position(), Op: "=", L: e.Operand, R: w.Cond}
		}
		n, err := c.boolean(cond, "WHEN")
		if err != nil {
			return nil, err
		}
		b.conds = append(b.conds, n)
		exprs = append(exprs, w.Value)
	}
	if e.Else != nil {
		exprs = append(exprs, e.Else)
	}
	values, t, err := c.meet(exprs, "the branches of CASE")
	if err != nil {
		return nil, err
	}
	b.t, b.values = t, values
	if e.Else == nil {
		b.values = append(b.values, nil)
		return b, nil
	}
	return fold(b, append(b.conds[:len(b.conds):len(b.conds)], b.values...)...), nil
}

// meeting is the type that nodes meet in. Those whose type is given come first, since a literal takes the type
// of what it stands beside, wherever that is.
func meeting(nodes []node, exprs []ast.Expr, what string) (column.Type, error) {
	var so node = &constant{null: true}
	last := -1
	for _, yielding := range []bool{false, true} {
		for i, n := range nodes {
			if yields(n) != yielding {
				continue
			}
			t, ok := common(so, n)
			switch {
			case !ok && i < last:
				return t, exprs[last].Position().Errorf("%s have different types: %s and %s; cast one of them", what, typeName(n), typeName(so))
			case !ok:
				return t, exprs[i].Position().Errorf("%s have different types: %s and %s; cast one of them", what, typeName(so), typeName(n))
			case untyped(so):
				so = n
			case yields(so):
				so = &constant{t: t, null: true}
			default:
				so = &reference{t: t}
			}
			if !untyped(n) {
				last = i
			}
		}
	}
	if t := so.typ(); t.Kind != column.Invalid {
		return t, nil
	}
	return text, nil
}

// yields reports whether n is a literal that takes another type beside one.
func yields(n node) bool {
	c, ok := n.(*constant)
	return ok && (c.t.Kind == column.Invalid || c.t.Kind == column.String || c.t.Kind == column.BigInt || c.exact != "")
}

// meet compiles expressions to values of one type.
func (c *compiler) meet(exprs []ast.Expr, what string) ([]node, column.Type, error) {
	nodes := make([]node, len(exprs))
	for i, e := range exprs {
		var err error
		if nodes[i], err = c.expr(e); err != nil {
			return nil, column.Type{}, err
		}
	}
	t, err := meeting(nodes, exprs, what)
	if err != nil {
		return nil, t, err
	}
	for i, n := range nodes {
		if nodes[i], err = coerce(n, t, exprs[i].Position()); err != nil {
			return nil, t, err
		}
	}
	return nodes, t, nil
}
