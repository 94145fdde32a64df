package parse

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/xwb1989/sqlparser"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/lex"
)

// list parses a comma-separated list of expressions, with aliases and stars if items is set.
func list(tokens []lex.Token, end ast.Pos, items bool, level int) ([]ast.Item, error) {
	if level > maxLevel {
		return nil, end.Errorf("clauses nest more than %d deep", maxLevel)
	}
	r := &rewriter{in: tokens, end: end, level: level, operand: -1}
	if err := r.expressions(); err != nil {
		return nil, err
	}
	if n := len(r.open); n > 0 {
		if r.open[n-1].closer == "END" {
			return nil, r.pieces[r.open[n-1].first].token.Errorf("this CASE has no END")
		}
		return nil, end.Errorf("a %s is missing", r.open[n-1].closer)
	}
	tree, err := r.parse()
	if err != nil {
		return nil, err
	}
	l := &lowerer{leaves: r.leaves, stars: r.stars}
	return l.items(tree, items)
}

// exprs parses a comma-separated list of expressions.
func exprs(tokens []lex.Token, end ast.Pos, level int) ([]ast.Expr, error) {
	items, err := list(tokens, end, false, level)
	if err != nil {
		return nil, err
	}
	out := make([]ast.Expr, len(items))
	for i, item := range items {
		out[i] = item.Expr
	}
	return out, nil
}

// parse hands the rewritten text to the library. It panics on some texts; none of them can be
// written with placeholders, but a promise of ours does not depend on that.
func (r *rewriter) parse() (exprs sqlparser.SelectExprs, err error) {
	defer func() {
		if p := recover(); p != nil {
			exprs, err = nil, r.end.Errorf("the text cannot be parsed: %v", p)
		}
	}()
	tree, err := sqlparser.ParseStrictDDL(r.write())
	if err != nil {
		return nil, r.syntax(err)
	}
	s, ok := tree.(*sqlparser.Select)
	if !ok || s.Where != nil || s.GroupBy != nil || s.Limit != nil || s.Distinct != "" || s.Hints != "" || s.Cache != "" || len(s.Comments) > 0 {
		return nil, r.end.Errorf("expected expressions, found another statement")
	}
	return s.SelectExprs, nil
}

var position = regexp.MustCompile(`at position (\d+)`)

// syntax translates an error of the library to the place in the user's text.
func (r *rewriter) syntax(err error) error {
	bad := lex.Token{Pos: r.end, Kind: lex.End}
	message := err.Error()
	if m := position.FindStringSubmatch(message); m != nil {
		at, _ := strconv.Atoi(m[1])
		// The library has read one character beyond the token it did not expect.
		for _, s := range r.starts {
			if s.offset < at-1 {
				bad = s.token
			}
		}
	}
	switch {
	case strings.Contains(message, "max nesting level"):
		// Parentheses were counted before: these are those that casts and the like became.
		return bad.Errorf("operators nest too deep")
	case bad.Kind == lex.End:
		return bad.Errorf("the expression is not complete")
	}
	at := slices.IndexFunc(r.in, func(t lex.Token) bool { return t.Pos == bad.Pos })
	return bad.Errorf("unexpected %s%s", bad, cmp.Or(hint(r.in, at), chained(r.in, at)))
}

// index is the leaf that a placeholder stands for.
func index(placeholder string) (int, error) {
	n, err := strconv.Atoi(strings.TrimLeft(placeholder, ":x"))
	if err != nil {
		return 0, fmt.Errorf("placeholder %q: %w", placeholder, err)
	}
	return n, nil
}
