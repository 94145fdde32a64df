package expr

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
)

// compiled is an operand that was compiled already, to be put into a larger expression.
type compiled struct {
	ast.Pos
	node node
}

// let computes an operand once for a body that uses it several times. Without it, operands within
// operands would be computed 2^depth times.
type let struct {
	bound *bound
	body  node
}

// bound is a use of the operand. The rows asked for are always among those that let computed:
// a body asks about fewer and fewer rows.
type bound struct{ x node }

func (b *bound) typ() column.Type { return b.x.typ() }

func (b *bound) eval(x *exec) *column.Column {
	// A copy, since whoever gets a column may give it back.
	t := x.temp(b.typ())
	if c := x.bound[b]; c != nil {
		t.col = *c
	}
	return &t.col
}

func (l *let) typ() column.Type { return l.body.typ() }

func (l *let) bind(x *exec) *column.Column {
	c := l.bound.x.eval(x)
	if x.bound == nil {
		x.bound = make(map[*bound]*column.Column)
	}
	x.bound[l.bound] = c
	return c
}

func (l *let) unbind(x *exec, c *column.Column) {
	delete(x.bound, l.bound)
	x.release(c)
}

func (l *let) eval(x *exec) *column.Column {
	// It is not given back: the result may be the operand itself, or share its memory.
	if l.bind(x); x.err != nil {
		return &x.temp(l.typ()).col
	}
	out := l.body.eval(x)
	delete(x.bound, l.bound)
	return out
}

func (l *let) filter(x *exec, dst []int32) []int32 {
	c := l.bind(x)
	if x.err == nil {
		dst = filter(l.body, x, dst)
	}
	l.unbind(x, c)
	return dst
}

// once compiles an operand that build may use several times.
func (c *compiler) once(e ast.Expr, build func(ast.Expr) (node, error)) (node, error) {
	x, err := c.expr(e)
	if err != nil {
		return nil, err
	}
	switch x.(type) {
	case *constant, *reference, *bound:
		return build(&compiled{e.Position(), x})
	}
	b := &bound{x}
	body, err := build(&compiled{e.Position(), b})
	if err != nil {
		return nil, err
	}
	return &let{bound: b, body: body}, nil
}
