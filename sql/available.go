package sql

import (
	"github.com/millrace-io/millrace/sql/ast"
)

// available refuses what the grammar has and no operator does yet. It is the only place that
// does: a clause that gains its operator loses its line here. The result is the one SELECT that is
// left, and the table that it reads.
func available(q *ast.Query) (*ast.Select, *ast.Table, error) {
	g := &gate{}
	s := g.query(q)
	if err := g.found.Err(); err != nil {
		return nil, nil, err
	}
	table, _ := s.From.(*ast.Table)
	return s, table, nil
}

// gate collects what is refused.
type gate struct{ found ast.Found }

func (g *gate) refuse(at ast.Pos, what, cure string) {
	g.found.Add(at.Errorf("%s is not available yet; %s", what, cure))
}

const ownQuery = "make the inner query a query of its own and select from it"

func (g *gate) query(q *ast.Query) *ast.Select {
	if q.Into != nil {
		g.refuse(q.Into.Pos, "INSERT INTO", "write the SELECT alone: the rows of a query go to the stream of its name")
	}
	if len(q.With) > 0 {
		g.refuse(q.With[0].Pos, "WITH", ownQuery)
	}
	if len(q.OrderBy) > 0 {
		g.refuse(q.OrderBy[0].Pos, "ORDER BY", "the rows of a window leave ordered by window_start and the keys")
	}
	if q.Limit != nil {
		g.refuse(q.Limit.Pos, "LIMIT", "leave it out")
	}
	switch b := q.Body.(type) {
	case *ast.Select:
		g.core(b)
		return b
	case *ast.Query:
		return g.query(b)
	case *ast.Union:
		g.refuse(b.Terms[1].Position(), "UNION ALL", "write two queries")
	}
	return nil
}

func (g *gate) core(s *ast.Select) {
	g.from(s.From)
	if s.Distinct {
		g.refuse(s.Pos, "SELECT DISTINCT", "group by the columns and a window")
	}
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
		g.refuse(f.Pos, "a sub-query in FROM", ownQuery)
	case *ast.Join:
		if u, ok := f.Right.(*ast.Unnest); ok {
			g.from(u)
			return
		}
		g.refuse(f.Pos, "JOIN", "a query reads one stream")
	case *ast.Unnest:
		g.refuse(f.Pos, "UNNEST", "take the elements by their place, list[1]")
	}
}

// expr refuses what aggregates may not have yet.
func (g *gate) expr(e ast.Expr) {
	if e == nil {
		return
	}
	if c, ok := e.(*ast.Call); ok {
		if len(c.Within) > 0 {
			g.refuse(c.Within[0].Pos, "WITHIN GROUP", "leave it out")
		}
	}
	for _, child := range ast.Children(e) {
		g.expr(child)
	}
}
