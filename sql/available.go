package sql

import (
	"github.com/millrace-io/millrace/sql/ast"
)

// available refuses what the grammar has and no operator does yet. It is the only place that
// does: a clause that gains its operator loses its line here.
func available(q *ast.Query) error {
	g := &gate{}
	g.query(q)
	return g.found.Err()
}

// gate collects what is refused.
type gate struct{ found ast.Found }

func (g *gate) refuse(at ast.Pos, what, cure string) {
	g.found.Add(at.Errorf("%s is not available yet; %s", what, cure))
}

func (g *gate) query(q *ast.Query) {
	for _, c := range q.With {
		g.query(c.Query)
	}
	g.body(q.Body)
}

func (g *gate) body(b ast.Body) {
	switch b := b.(type) {
	case *ast.Select:
		g.core(b)
	case *ast.Query:
		g.query(b)
	case *ast.Union:
		for _, t := range b.Terms {
			g.body(t)
		}
	}
}

func (g *gate) core(s *ast.Select) {
	g.from(s.From)
	for _, item := range s.Items {
		g.expr(item.Expr)
	}
	g.expr(s.Where)
	for _, k := range s.GroupBy {
		g.expr(k)
	}
	g.expr(s.Having)
}

func (g *gate) from(f ast.From) {
	switch f := f.(type) {
	case *ast.Derived:
		g.query(f.Query)
	case *ast.Join:
		g.from(f.Left)
		g.from(f.Right)
	}
}

// expr refuses what aggregates may not have yet.
func (g *gate) expr(e ast.Expr) {
	if e == nil {
		return
	}
	if c, ok := e.(*ast.Call); ok {
		if len(c.Within) > 0 {
			g.refuse(c.Within[0].Pos, "WITHIN GROUP", "a quantile is APPROX_QUANTILE(x, 0.5)")
		}
	}
	for _, child := range ast.Children(e) {
		g.expr(child)
	}
}
