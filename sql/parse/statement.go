package parse

import (
	"strings"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/lex"
)

// clauses are the token ranges of a SELECT statement. End is the place behind the last one.
type clauses struct {
	pos    ast.Pos
	stream bool

	items, from, where, groupBy, having clause
}

type clause struct {
	tokens []lex.Token
	// end is the place of the token behind the clause.
	end     lex.Token
	present bool
}

// clauseStart reports whether token i begins a clause of a statement (when outside parentheses).
// GROUP, ORDER and the like are ordinary names unless followed as in their clause.
func clauseStart(tokens []lex.Token, i int) bool {
	t := tokens[i]
	if t.Kind != lex.Word || i > 0 && (tokens[i-1].Sym(".") || tokens[i-1].Is("AS")) {
		return false
	}
	next := lex.Token{}
	if i+1 < len(tokens) {
		next = tokens[i+1]
	}
	operand := i > 0 && endsOperand(tokens, i-1)
	switch strings.ToUpper(t.Text) {
	case "FROM", "WHERE", "HAVING", "UNION", "EXCEPT", "INTERSECT", "SELECT":
		return true
	case "GROUP", "ORDER":
		return next.Is("BY")
	case "LIMIT", "OFFSET", "FETCH":
		return operand && (next.Kind == lex.Number || next.Is("FIRST") || next.Is("NEXT") || next.Is("ALL"))
	case "WINDOW":
		return operand && next.Kind == lex.Word && i+2 < len(tokens) && tokens[i+2].Is("AS")
	case "WINDOWED":
		return operand && next.Is("BY")
	case "EMIT":
		return operand && (next.Is("CHANGES") || next.Is("ON") || next.Is("EVERY") || next.Is("FINAL"))
	case "LATE":
		return operand && next.Is("ROWS")
	case "QUALIFY":
		return operand && next.Kind != lex.End && !next.Sym(",") && !next.Is("FROM")
	}
	return false
}

// endsOperand reports whether an operand may end with token i.
func endsOperand(tokens []lex.Token, i int) bool {
	t := tokens[i]
	switch t.Kind {
	case lex.Quoted, lex.String, lex.Number:
		return true
	case lex.Symbol:
		return t.Text == ")" || t.Text == "*"
	case lex.Word:
		return !keywords[strings.ToUpper(t.Text)] || t.Is("END") || t.Is("NULL") || t.Is("TRUE") || t.Is("FALSE")
	}
	return false
}

var later = map[string]string{
	"ORDER":     "ORDER BY is not supported yet; the rows of a window leave ordered by window_start and the keys",
	"LIMIT":     "LIMIT is not supported yet; leave it out",
	"OFFSET":    "OFFSET is not supported yet; leave it out",
	"FETCH":     "FETCH is not supported yet; leave it out",
	"WINDOW":    "the WINDOW clause is not supported yet; group by TUMBLE(…)",
	"WINDOWED":  "WINDOWED BY is not supported yet; group by TUMBLE(…)",
	"EMIT":      "EMIT is not supported yet; leave it out: each window leaves once, when it is complete",
	"LATE":      "LATE ROWS is not supported yet; leave it out: late rows go to the dead-letter stream",
	"QUALIFY":   "QUALIFY is not supported yet; leave it out",
	"UNION":     "UNION is not supported yet; write two queries",
	"EXCEPT":    "EXCEPT is not supported; filter with WHERE",
	"INTERSECT": "INTERSECT is not supported; filter with WHERE",
}

// split cuts a statement into its clauses.
func split(tokens []lex.Token) (*clauses, error) {
	if err := begins(tokens); err != nil {
		return nil, err
	}
	c := &clauses{pos: tokens[0].Pos, stream: selectStream(tokens)}
	at := 1
	if c.stream {
		at = 2
	}
	order := []struct {
		word   string
		clause *clause
	}{{"SELECT", &c.items}, {"FROM", &c.from}, {"WHERE", &c.where}, {"GROUP", &c.groupBy}, {"HAVING", &c.having}}
	for step := 0; ; {
		end := clauseEnd(tokens, at)
		*order[step].clause = clause{tokens: tokens[at:end], end: tokens[end], present: true}
		if tokens[end].Kind == lex.End {
			break
		}
		word := strings.ToUpper(tokens[end].Text)
		if message, ok := later[word]; ok {
			return nil, tokens[end].Errorf("%s", message)
		}
		next := step + 1
		for next < len(order) && order[next].word != word {
			next++
		}
		if next == len(order) {
			return nil, misplaced(tokens[end], word)
		}
		step, at = next, end+1
		if word == "GROUP" {
			at++
		}
	}
	if !c.from.present {
		return nil, c.items.end.Errorf("expected FROM and the stream to read, found %s", c.items.end)
	}
	return c, nil
}

func misplaced(t lex.Token, word string) error {
	if word == "SELECT" {
		return t.Errorf("expected one SELECT statement, found a second SELECT")
	}
	if word == "GROUP" {
		word = "GROUP BY"
	}
	return t.Errorf("%s is in the wrong place; the order is SELECT, FROM, WHERE, GROUP BY, HAVING", word)
}

// begins checks the first word and that there is one statement without sub-queries.
func begins(tokens []lex.Token) error {
	first := tokens[0]
	switch {
	case first.Is("WITH"):
		return first.Errorf("WITH is not supported yet; make the inner query a query of its own and select from it")
	case first.Is("CREATE"), first.Is("INSERT"), first.Is("DROP"), first.Is("EXPLAIN"):
		return first.Errorf("%s is not supported yet; write a SELECT statement", strings.ToUpper(first.Text))
	case !first.Is("SELECT"):
		return first.Errorf("expected SELECT, found %s", first)
	}
	depth := 0
	var open []lex.Token
	for _, t := range tokens[1:] {
		switch {
		case t.Sym("("):
			depth++
			open = append(open, t)
		case t.Sym(")"):
			depth--
			if depth < 0 {
				return t.Errorf("this ) has no matching (")
			}
			open = open[:depth]
		case t.Is("SELECT") && depth > 0:
			return t.Errorf("sub-queries are not supported yet; make it a query of its own and select from it")
		case t.Sym(";"):
			return t.Errorf("expected one statement, found a semicolon and more text")
		}
	}
	if depth > 0 {
		return open[depth-1].Errorf("this ( is not closed")
	}
	return nil
}

func clauseEnd(tokens []lex.Token, at int) int {
	depth := 0
	for i := at; ; i++ {
		switch t := tokens[i]; {
		case t.Kind == lex.End:
			return i
		case t.Sym("("):
			depth++
		case t.Sym(")"):
			depth--
		case depth == 0 && clauseStart(tokens, i):
			return i
		}
	}
}

// selectStream tells SELECT STREAM a from SELECT stream, a.
func selectStream(tokens []lex.Token) bool {
	if len(tokens) < 4 || !tokens[1].Is("STREAM") {
		return false
	}
	switch next := tokens[2]; next.Kind {
	case lex.Quoted, lex.String, lex.Number:
		return true
	case lex.Word:
		word := strings.ToUpper(next.Text)
		return !keywords[word] || word == "CASE" || word == "NOT" || word == "NULL" || word == "TRUE" || word == "FALSE"
	default:
		return next.Sym("*") && (tokens[3].Is("FROM") || tokens[3].Sym(","))
	}
}

// lower turns the clauses into a tree.
func (c *clauses) lower() (*ast.Select, error) {
	s := &ast.Select{Pos: c.pos, Stream: c.stream}
	var err error
	if s.Items, err = c.items.list(true); err != nil {
		return nil, err
	}
	if s.From, err = source(c.from); err != nil {
		return nil, err
	}
	if s.Where, err = c.where.one("WHERE"); err != nil {
		return nil, err
	}
	if s.Having, err = c.having.one("HAVING"); err != nil {
		return nil, err
	}
	if !c.groupBy.present {
		return s, nil
	}
	keys, err := c.groupBy.list(false)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		s.GroupBy = append(s.GroupBy, k.Expr)
	}
	return s, nil
}

func (c clause) list(items bool) ([]ast.Item, error) {
	if len(c.tokens) == 0 {
		return nil, c.end.Errorf("expected an expression, found %s", c.end)
	}
	if t := c.tokens[0]; items && t.Is("DISTINCT") {
		return nil, t.Errorf("SELECT DISTINCT is not supported yet; group by the columns and a window")
	}
	return list(c.tokens, c.end.Pos, items)
}

func (c clause) one(word string) (ast.Expr, error) {
	if !c.present {
		return nil, nil
	}
	items, err := c.list(false)
	if err != nil {
		return nil, err
	}
	if len(items) != 1 {
		return nil, items[1].Errorf("expected one condition after %s; join conditions with AND", word)
	}
	return items[0].Expr, nil
}

var joins = map[string]bool{"JOIN": true, "INNER": true, "LEFT": true, "RIGHT": true, "FULL": true, "CROSS": true,
	"NATURAL": true, "ASOF": true, "LATERAL": true, "OUTER": true, "ON": true, "USING": true}

// source reads FROM name [[AS] alias].
func source(c clause) (ast.Source, error) {
	at := func(i int) lex.Token {
		if i < len(c.tokens) {
			return c.tokens[i]
		}
		return c.end
	}
	name := func(t lex.Token) bool {
		return t.Kind == lex.Quoted || t.Kind == lex.Word && !keywords[strings.ToUpper(t.Text)] && len(c.tokens) > 0
	}
	if t := at(0); !name(t) || len(c.tokens) == 0 {
		return ast.Source{}, t.Errorf("expected the name of a stream after FROM, found %s", t)
	}
	s := ast.Source{Pos: at(0).Pos, Name: at(0).Text}
	i := 1
	switch {
	case at(i).Sym("("):
		return s, s.Errorf("functions in FROM are not supported yet; select from a stream")
	case at(i).Sym("."):
		return s, at(i).Errorf("a stream has a name of one part; write it in double quotes if it contains a dot")
	case i < len(c.tokens) && at(i).Is("AS"):
		i++
		if t := at(i); i >= len(c.tokens) || t.Kind != lex.Word && t.Kind != lex.Quoted {
			return s, t.Errorf("expected a name after AS, found %s", t)
		}
		s.Alias, i = at(i).Text, i+1
	case i < len(c.tokens) && name(at(i)) && !joins[strings.ToUpper(at(i).Text)] && !joins[strings.ToUpper(at(i+1).Text)]:
		s.Alias, i = at(i).Text, i+1
	}
	if i >= len(c.tokens) {
		return s, nil
	}
	t := at(i)
	if t.Sym(",") || t.Kind == lex.Word && (joins[strings.ToUpper(t.Text)] || joins[strings.ToUpper(at(i+1).Text)]) {
		return s, t.Errorf("joins are not supported yet; a query reads one stream")
	}
	return s, t.Errorf("expected WHERE, GROUP BY or the end after the stream, found %s", t)
}
