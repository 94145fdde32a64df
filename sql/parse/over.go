package parse

import (
	"strconv"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/lex"
)

// windows parses WINDOW name AS (…), ….
func windows(c clause) ([]ast.NamedWindow, error) {
	var out []ast.NamedWindow
	for _, part := range commas(c.tokens) {
		end := after(c.tokens, part, c.end)
		if len(part) < 4 || !isName(part[0]) || !part[1].Is("AS") || !part[2].Sym("(") || matching(part, 2) != len(part)-1 {
			if len(part) > 0 {
				end = part[0]
			}
			return nil, end.Errorf("expected WINDOW name AS (PARTITION BY … ORDER BY …), found %s", end)
		}
		spec, err := over(part[3:len(part)-1], part[2].Pos, part[len(part)-1], c.level+1)
		if err != nil {
			return nil, err
		}
		for _, other := range out {
			if other.Name == part[0].Text {
				return nil, part[0].Errorf("two windows are called %q", other.Name)
			}
		}
		out = append(out, ast.NamedWindow{Pos: part[0].Pos, Name: part[0].Text, Spec: spec})
	}
	return out, nil
}

// over parses what stands in the parentheses of OVER.
func over(tokens []lex.Token, pos ast.Pos, end lex.Token, level int) (*ast.Over, error) {
	o := &ast.Over{Pos: pos}
	parts := map[string]clause{}
	order := []string{"PARTITION", "ORDER", "RANGE"}
	for at, step := 0, 0; at < len(tokens); {
		word := overWord(tokens, at)
		for step < len(order) && order[step] != word {
			step++
		}
		if step == len(order) {
			return nil, tokens[at].Errorf("expected PARTITION BY, ORDER BY, then ROWS or RANGE, found %s%s", tokens[at],
				near(tokens[at], "PARTITION", "ORDER", "ROWS", "RANGE"))
		}
		stop := at + 1
		for depth := 0; stop < len(tokens); stop++ {
			if t := tokens[stop]; t.Sym("(") || t.Sym("[") {
				depth++
			} else if t.Sym(")") || t.Sym("]") {
				depth--
			} else if depth == 0 && overWord(tokens, stop) != "" {
				break
			}
		}
		c := clause{word: tokens[at], tokens: tokens[at+1 : stop], end: end, present: true, level: level}
		if stop < len(tokens) {
			c.end = tokens[stop]
		}
		parts[word], at, step = c, stop, step+1
	}
	if c, ok := parts["PARTITION"]; ok {
		c, err := c.behind("BY")
		if err != nil {
			return nil, err
		}
		if len(c.tokens) == 0 {
			return nil, c.end.Errorf("expected an expression, found %s", c.end)
		}
		if o.PartitionBy, err = exprs(c.tokens, c.end.Pos, level); err != nil {
			return nil, err
		}
	}
	if c, ok := parts["ORDER"]; ok {
		c, err := c.behind("BY")
		if err != nil {
			return nil, err
		}
		if o.OrderBy, err = orders(c.tokens, c.end, level); err != nil {
			return nil, err
		}
	}
	if c, ok := parts["RANGE"]; ok {
		var err error
		if o.Frame, err = frame(c); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// overWord is the clause that begins at token i, or "".
func overWord(tokens []lex.Token, i int) string {
	next := lex.Token{}
	if i+1 < len(tokens) {
		next = tokens[i+1]
	}
	switch t := tokens[i]; {
	case t.Is("PARTITION") && next.Is("BY"):
		return "PARTITION"
	case t.Is("ORDER") && next.Is("BY"):
		return "ORDER"
	case (t.Is("ROWS") || t.Is("RANGE") || t.Is("GROUPS")) &&
		(next.Is("BETWEEN") || next.Is("UNBOUNDED") || next.Is("CURRENT") || next.Is("INTERVAL") || next.Kind == lex.Number):
		return "RANGE"
	}
	return ""
}

// frame parses [BETWEEN] bound PRECEDING [AND CURRENT ROW].
func frame(c clause) (*ast.Frame, error) {
	f := &ast.Frame{Pos: c.word.Pos, ByRows: c.word.Is("ROWS")}
	if c.word.Is("GROUPS") {
		return nil, f.Errorf("GROUPS frames are not supported; use ROWS or RANGE")
	}
	tokens := c.tokens
	between := tokens[0].Is("BETWEEN")
	if between {
		and := len(tokens) - 3
		if and < 1 || !tokens[and].Is("AND") || !tokens[and+1].Is("CURRENT") || !tokens[and+2].Is("ROW") {
			return nil, c.endsElsewhere()
		}
		tokens = tokens[1:and]
	}
	n := len(tokens)
	switch {
	case n == 2 && tokens[0].Is("CURRENT") && tokens[1].Is("ROW"):
		return f, nil
	case n < 2 || !tokens[n-1].Is("PRECEDING"):
		return nil, c.endsElsewhere()
	case n == 2 && tokens[0].Is("UNBOUNDED"):
		f.Unbounded = true
		return f, nil
	case f.ByRows:
		v, err := strconv.ParseInt(tokens[0].Text, 10, 32)
		if n != 2 || tokens[0].Kind != lex.Number || err != nil {
			return nil, tokens[0].Errorf("expected a number of rows before PRECEDING, found %s", tokens[0])
		}
		f.Rows = v
		return f, nil
	}
	i, err := clause{tokens: tokens[:n-1], end: tokens[n-1], present: true, level: c.level}.interval("RANGE")
	f.Range = i
	return f, err
}

// endsElsewhere is the mistake of a frame that does not end at the current row.
func (c clause) endsElsewhere() error {
	for _, t := range c.tokens {
		if t.Is("FOLLOWING") {
			return t.Errorf("FOLLOWING is not supported: the rows that follow have not come yet; a frame ends at CURRENT ROW")
		}
	}
	return c.first().Errorf("expected … PRECEDING [AND CURRENT ROW], found %s%s", c.first(), nearAny(c.tokens, "PRECEDING", "UNBOUNDED", "CURRENT", "BETWEEN"))
}
