package parse

import (
	"strings"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/lex"
)

// from parses the inputs of a SELECT.
func from(c clause) (ast.From, error) {
	left, n, err := input(c, 0)
	if err != nil {
		return nil, err
	}
	for n < len(c.tokens) {
		j := &ast.Join{Pos: c.at(n).Pos, Left: left}
		kind, words, ok := joinAt(c, n)
		if !ok {
			return nil, c.at(n).Errorf("expected WHERE, GROUP BY or the end after the stream, found %s%s", c.at(n), hint(c.tokens, n))
		}
		if kind == noJoin {
			return nil, c.at(n).Errorf("%s joins are not supported; use stream [INNER] JOIN table ON …, stream LEFT JOIN table ON … or CROSS JOIN UNNEST(…)", strings.ToUpper(c.at(n).Text))
		}
		j.Kind = ast.JoinKind(kind)
		var size int
		if j.Right, size, err = input(c, n+words); err != nil {
			return nil, err
		}
		n += words + size
		if n, err = condition(c, n, j); err != nil {
			return nil, err
		}
		left = j
	}
	return left, nil
}

// condition parses ON behind the inputs of a join and returns the token after it.
func condition(c clause, n int, j *ast.Join) (int, error) {
	_, unnest := j.Right.(*ast.Unnest)
	switch {
	case j.Kind == ast.CrossJoin && !unnest:
		return 0, j.Errorf("a cross join is with UNNEST(list) only; join a reference table with ON")
	case j.Kind == ast.CrossJoin:
		return n, nil
	case c.at(n).Is("USING"):
		return using(c, n, j)
	case !c.at(n).Is("ON"):
		end := c.end
		if n < len(c.tokens) {
			end = c.tokens[n]
		}
		h := ""
		if left, ok := j.Left.(*ast.Table); ok && unnest {
			h = near(lex.Token{Kind: lex.Word, Text: left.Alias}, "CROSS")
		}
		return 0, end.Errorf("expected ON and a condition after the join, found %s%s", end, h)
	}
	end := n + 1
	depth := 0
	for ; end < len(c.tokens); end++ {
		switch t := c.tokens[end]; {
		case t.Sym("("), t.Sym("["):
			depth++
		case t.Sym(")"), t.Sym("]"):
			depth--
		}
		if _, _, ok := joinAt(c, end); ok && depth == 0 {
			break
		}
	}
	var err error
	j.On, err = clause{tokens: c.tokens[n+1 : end], end: c.at(end), present: true, level: c.level}.one("ON")
	return end, err
}

// using parses USING (a, b) at token n and returns the token after it.
func using(c clause, n int, j *ast.Join) (int, error) {
	if !c.at(n + 1).Sym("(") {
		return 0, c.at(n).Errorf("expected columns in parentheses after USING, found %s", c.at(n+1))
	}
	end := matching(c.tokens, n+1)
	var err error
	j.UsingPos = c.at(n).Pos
	j.Using, err = names(c.tokens[n+2:end], c.at(end))
	return end + 1, err
}

const noJoin = 255

// joinAt reports the kind of join that begins at token n, and of how many words that is.
func joinAt(c clause, n int) (kind uint8, words int, ok bool) {
	t, next := c.at(n), c.at(n+1)
	if t.Sym(",") {
		return uint8(ast.CrossJoin), 1, true
	}
	if t.Kind != lex.Word {
		return 0, 0, false
	}
	switch strings.ToUpper(t.Text) {
	case "JOIN":
		return uint8(ast.InnerJoin), 1, true
	case "INNER":
		return uint8(ast.InnerJoin), 2, next.Is("JOIN")
	case "CROSS":
		return uint8(ast.CrossJoin), 2, next.Is("JOIN")
	case "LEFT":
		if next.Is("OUTER") {
			return uint8(ast.LeftJoin), 3, c.at(n + 2).Is("JOIN")
		}
		return uint8(ast.LeftJoin), 2, next.Is("JOIN")
	case "RIGHT", "FULL", "NATURAL", "ASOF", "SEMI", "ANTI", "LATERAL":
		return noJoin, 0, next.Is("JOIN") || next.Is("OUTER") || next.Is("LEFT") || next.Is("INNER")
	case "STRAIGHT_JOIN":
		return noJoin, 0, true
	}
	return 0, 0, false
}

// input parses one input at token i and returns how many tokens it takes.
func input(c clause, i int) (ast.From, int, error) {
	t, next := c.at(i), c.at(i+1)
	switch {
	case t.Sym("(") && (next.Is("SELECT") || next.Is("WITH") || next.Sym("(")):
		return derived(c, i)
	case t.Is("UNNEST") && next.Sym("("):
		return unnest(c, i)
	case !isName(t) && t.Kind != lex.End && i < len(c.tokens) || i >= len(c.tokens):
		if i >= len(c.tokens) {
			t = c.end
		}
		return nil, 0, t.Errorf("expected the name of a stream after FROM, found %s", t)
	case next.Sym("("):
		if h := near(t, "UNNEST"); h != "" {
			return nil, 0, t.Errorf("unexpected %s%s", t, h)
		}
		return nil, 0, t.Errorf("the function %s in FROM is not supported; windows go into GROUP BY TUMBLE(…), lists into UNNEST(…)", strings.ToUpper(t.Text))
	case next.Sym("."):
		return nil, 0, next.Errorf("a stream has a name of one part; write it in double quotes if it contains a dot")
	case next.Is("FOR"):
		return nil, 0, next.Errorf("FOR SYSTEM_TIME is not supported; a reference table is joined as it was when the query read it")
	}
	alias, n, err := alias(c, i+1)
	return &ast.Table{Pos: t.Pos, Name: t.Text, Alias: alias}, n + 1, err
}

// alias parses [AS] name at token i.
func alias(c clause, i int) (string, int, error) {
	t := c.at(i)
	if t.Is("AS") {
		if name := c.at(i + 1); name.Kind != lex.Word && name.Kind != lex.Quoted {
			if i+1 >= len(c.tokens) {
				name = c.end
			}
			return "", 0, name.Errorf("expected a name after AS, found %s", name)
		}
		return c.at(i + 1).Text, 2, nil
	}
	if _, _, join := joinAt(c, i); join || !isName(t) || t.Is("ON") || t.Is("USING") {
		return "", 0, nil
	}
	return t.Text, 1, nil
}

func derived(c clause, i int) (ast.From, int, error) {
	n := matching(c.tokens, i)
	q, err := query(sub(c.tokens[i+1:n+1]), c.level+1)
	if err != nil {
		return nil, 0, err
	}
	name, words, err := alias(c, n+1)
	if err == nil && name == "" {
		err = c.at(i).Errorf("a sub-query needs a name; write (SELECT …) AS name")
	}
	return &ast.Derived{Pos: c.at(i).Pos, Query: q, Alias: name}, n + 1 - i + words, err
}

// unnest parses UNNEST(list) [WITH ORDINALITY] [AS] alias [(columns)].
func unnest(c clause, i int) (ast.From, int, error) {
	end := matching(c.tokens, i+1)
	if parts := commas(c.tokens[i+2 : end]); len(parts) > 1 && len(parts[1]) > 0 {
		return nil, 0, parts[1][0].Errorf("UNNEST takes one list; join one UNNEST for each of them")
	}
	x, err := clause{tokens: c.tokens[i+2 : end], end: c.at(end), present: true, level: c.level}.one("UNNEST")
	if err != nil {
		return nil, 0, err
	}
	u := &ast.Unnest{Pos: c.at(i).Pos, X: x}
	n := end + 1
	if c.at(n).Is("WITH") && c.at(n+1).Is("ORDINALITY") {
		u.Ordinality, n = true, n+2
	}
	name, words, err := alias(c, n)
	if err != nil {
		return nil, 0, err
	}
	u.Alias, n = name, n+words
	if name == "" {
		return nil, 0, u.Errorf("UNNEST needs a name; write UNNEST(list) AS t(item)")
	}
	if c.at(n).Sym("(") {
		last := matching(c.tokens, n)
		if u.Columns, err = names(c.tokens[n+1:last], c.at(last)); err != nil {
			return nil, 0, err
		}
		n = last + 1
	}
	return u, n - i, nil
}
