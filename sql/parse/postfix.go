package parse

import (
	"strings"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/lex"
)

// postfix rewrites an operator behind an operand, all of which bind tightest: the operand becomes
// the argument of a call. It returns 0 when token i is none.
func (r *rewriter) postfix(i int) (int, error) {
	if r.operand < 0 {
		return 0, nil
	}
	t, next := r.at(i), r.at(i+1)
	switch {
	case t.Sym("::"):
		typ, n, err := r.typeName(i + 1)
		if err != nil {
			return 0, err
		}
		r.wrap(t, leaf{form: castForm, typ: typ})
		return n + 1, nil
	case t.Sym("["):
		first := r.operand
		r.pieces[first].before = "x" + r.add(t, leaf{form: indexForm}) + "(" + r.pieces[first].before
		r.begin(t, ",", "]", first)
		return 1, nil
	case t.Sym("."):
		if next.Kind != lex.Word && next.Kind != lex.Quoted {
			return 0, next.Errorf("expected a name after the dot, found %s", next)
		}
		l := leaf{form: memberForm, text: next.Text}
		if next.Kind == lex.Quoted {
			l.expr = &ast.Null{Pos: next.Pos}
		}
		r.wrap(next, l)
		return 2, nil
	case t.Sym("->"), t.Sym("->>"):
		return 2, r.json(t, next)
	case t.Is("AT") && next.Is("TIME") && r.at(i+2).Is("ZONE"):
		zone := r.at(i + 3)
		if zone.Kind != lex.String {
			return 0, zone.Errorf("expected a time zone such as 'Europe/Berlin', found %s", zone)
		}
		r.wrap(zone, leaf{form: zoneForm, text: zone.Text})
		return 4, nil
	}
	if n, err := r.clauseOf(i); n > 0 || err != nil {
		return n, err
	}
	return r.comparison(i)
}

// wrap makes the last operand the argument of a call.
func (r *rewriter) wrap(t lex.Token, l leaf) {
	first := r.operand
	r.pieces[first].before = "x" + r.add(t, l) + "(" + r.pieces[first].before
	r.emit(t, ")")
	r.operand = first
}

func (r *rewriter) json(t, step lex.Token) error {
	l := leaf{form: jsonForm}
	if t.Text == "->>" {
		l.form = jsonTextForm
	}
	switch step.Kind {
	case lex.String:
		l.expr = &ast.String{Pos: step.Pos, Value: step.Text}
	case lex.Number:
		n, err := number(step.Pos, step.Text)
		if err != nil {
			return err
		}
		l.expr = n
	default:
		return step.Errorf("expected a key such as 'name', an index or a path such as '$.a[0]' after %s, found %s", t, step)
	}
	r.wrap(step, l)
	return nil
}

// clauseOf rewrites OVER, FILTER and WITHIN GROUP behind a call.
func (r *rewriter) clauseOf(i int) (int, error) {
	t, next := r.at(i), r.at(i+1)
	if !r.at(i - 1).Sym(")") {
		if inner := r.at(i + 2); next.Sym("(") && (t.Is("OVER") && (inner.Is("PARTITION") || inner.Is("ORDER")) || t.Is("FILTER") && inner.Is("WHERE")) {
			return 0, t.Errorf("%s stands behind a function call", strings.ToUpper(t.Text))
		}
		return 0, nil
	}
	if h := near(t, "OVER", "FILTER", "WITHIN"); h != "" && next.Sym("(") && !keywords[strings.ToUpper(t.Text)] {
		return 0, t.Errorf("unexpected %s%s", t, h)
	}
	switch {
	case t.Is("OVER") && (next.Kind == lex.Word || next.Kind == lex.Quoted) && !keywords[strings.ToUpper(next.Text)]:
		r.wrap(t, leaf{form: overForm, text: "OVER", over: &ast.Over{Pos: t.Pos, Name: next.Text}})
		return 2, nil
	case t.Is("WITHIN") && next.Is("GROUP") && r.at(i+2).Sym("("):
		inner, n := r.inside(i + 2)
		if len(inner) < 3 || !inner[0].Is("ORDER") || !inner[1].Is("BY") {
			return 0, next.Errorf("expected WITHIN GROUP (ORDER BY …)")
		}
		order, err := orders(inner[2:], r.at(i+1+n), r.level+1)
		r.wrap(t, leaf{form: withinForm, text: "WITHIN GROUP", within: order})
		return n + 2, err
	case !next.Sym("("):
		return 0, nil
	case t.Is("OVER"):
		inner, n := r.inside(i + 1)
		spec, err := over(inner, t.Pos, r.at(i+n), r.level+1)
		r.wrap(t, leaf{form: overForm, text: "OVER", over: spec})
		return n + 1, err
	case t.Is("FILTER"):
		inner, n := r.inside(i + 1)
		if len(inner) < 2 || !inner[0].Is("WHERE") {
			return 0, next.Errorf("expected FILTER (WHERE condition)")
		}
		cond, err := clause{tokens: inner[1:], end: r.at(i + n), level: r.level + 1}.one("WHERE")
		r.wrap(t, leaf{form: filterForm, text: "FILTER", filter: cond})
		return n + 1, err
	}
	return 0, nil
}

// inside is what the parenthesis at token i encloses, and how many tokens that is with both.
func (r *rewriter) inside(i int) ([]lex.Token, int) {
	n := matching(r.in, i)
	if n < 0 {
		return nil, len(r.in) - i
	}
	return r.in[i+1 : n], n + 1 - i
}

// matching is the place of the parenthesis that closes the one at token i, or -1.
func matching(tokens []lex.Token, i int) int {
	depth := 0
	for k := i; k < len(tokens); k++ {
		switch t := tokens[k]; {
		case t.Sym("("), t.Sym("["):
			depth++
		case t.Sym(")"), t.Sym("]"):
			if depth--; depth == 0 {
				return k
			}
		}
	}
	return -1
}

// comparison rewrites the comparisons that the library does not have, with NOT before them or not.
func (r *rewriter) comparison(i int) (int, error) {
	t, n := r.at(i), 1
	if t.Is("NOT") {
		t, n = r.at(i+1), 2
	}
	var op form
	switch strings.ToUpper(t.Text) {
	case "ILIKE":
		op = ilikeOp
	case "REGEXP", "RLIKE", "REGEXP_LIKE":
		op = regexpOp
	default:
		return 0, nil
	}
	if next := r.at(i + n); t.Kind != lex.Word || next.Kind == lex.End || next.Sym(",") || next.Sym(")") || next.Sym("(") && t.Is("REGEXP_LIKE") {
		return 0, nil
	}
	if n == 2 {
		r.emit(r.at(i), "not")
	}
	r.operator(t, op)
	return n, nil
}
