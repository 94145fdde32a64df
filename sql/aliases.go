package sql

import (
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
)

// called is what a select list gives a name to; nil if it does not, or to several items.
func called(s *ast.Select, id *ast.Ident) ast.Expr {
	if len(id.Parts) != 1 {
		return nil
	}
	name := id.Parts[0]
	var found ast.Expr
	for _, item := range s.Items {
		if item.Expr == nil || item.Alias == "" || item.Alias != name.Text && (name.Quoted || !strings.EqualFold(item.Alias, name.Text)) {
			continue
		}
		if found != nil {
			return nil
		}
		found = item.Expr
	}
	return found
}

// aliases are the names of a select list that QUALIFY knows: those that are no columns of the input.
func aliases(s *ast.Select, scope *expr.Scope) func(*ast.Ident) ast.Expr {
	return func(id *ast.Ident) ast.Expr {
		if _, err := expr.Resolve(id, scope); err == nil {
			return nil
		}
		return called(s, id)
	}
}

// mostShown is how many bytes of an expression a message repeats.
const mostShown = 60

// unseen says of a name of the select list how a clause that does not know it gets at what it means.
func unseen(s *ast.Select, clause string) func(*ast.Ident) string {
	return func(id *ast.Ident) string {
		e := called(s, id)
		if e == nil {
			return ""
		}
		text := ast.Format(e)
		if len(text) > mostShown {
			text = "an expression"
		}
		cure := "which has to be written out here"
		switch {
		case clause != "WHERE":
		case len(aggregatesIn(e)) > 0 || pseudoField(e) >= 0:
			cure = "which HAVING can ask about"
		case len(oversIn(e)) > 0:
			cure = "which QUALIFY can ask about"
		}
		return fmt.Sprintf("; SELECT gives that name to %s, %s", text, cure)
	}
}

// whereOf is a scope for the WHERE clause of s.
func whereOf(s *ast.Select, scope *expr.Scope) *expr.Scope {
	out := *scope
	out.Hint = unseen(s, "WHERE")
	return &out
}
