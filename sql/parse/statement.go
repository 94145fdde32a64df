package parse

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/lex"
)

// maxLevel is how deep clauses with expressions may nest: sub-queries, OVER, FILTER.
const maxLevel = 20

// unsupported are clauses that a continuous query cannot have.
var unsupported = map[string]string{
	"EXCEPT":    "EXCEPT is not supported; filter with WHERE",
	"INTERSECT": "INTERSECT is not supported; filter with WHERE",
	"WINDOWED":  "WINDOWED BY is not available yet; write GROUP BY STAGGER(event_time, INTERVAL '1' MINUTE), …",
}

// statement parses a whole statement. tokens end with one of kind End.
func statement(tokens []lex.Token) (*ast.Query, error) {
	first := tokens[0]
	if err := balanced(tokens); err != nil {
		return nil, err
	}
	switch word := strings.ToUpper(first.Text); {
	case first.Kind != lex.Word:
	case word == "CREATE", word == "DROP", word == "EXPLAIN", word == "ALTER":
		return nil, first.Errorf("%s is not supported; streams and queries are declared in the file, write a SELECT statement", word)
	case word == "INSERT":
		return insert(tokens)
	}
	return query(tokens, 0)
}

// balanced checks the parentheses, and that there is one statement.
func balanced(tokens []lex.Token) error {
	closers := map[string]string{"(": ")", "[": "]"}
	var open []lex.Token
	for _, t := range tokens {
		switch {
		case t.Sym("("), t.Sym("["):
			open = append(open, t)
		case t.Sym(")"), t.Sym("]"):
			if len(open) == 0 {
				return t.Errorf("this %s has nothing to close", t)
			}
			if last := open[len(open)-1]; closers[last.Text] != t.Text {
				return t.Errorf("expected %s, found %s", closers[last.Text], t)
			}
			open = open[:len(open)-1]
		case t.Sym(";"):
			return t.Errorf("expected one statement, found a semicolon and more text")
		}
	}
	if n := len(open); n > 0 {
		return open[n-1].Errorf("this %s is not closed", open[n-1])
	}
	return nil
}

// insert parses INSERT INTO stream [(columns)] query.
func insert(tokens []lex.Token) (*ast.Query, error) {
	if !tokens[1].Is("INTO") {
		return nil, tokens[1].Errorf("expected INTO after INSERT, found %s", tokens[1])
	}
	to, err := target(tokens[2], "INTO")
	if err != nil {
		return nil, err
	}
	rest := tokens[3:]
	if rest[0].Sym("(") && !rest[1].Is("SELECT") && !rest[1].Is("WITH") && !rest[1].Sym("(") {
		n := matching(rest, 0)
		if to.Columns, err = names(rest[1:n], rest[n]); err != nil {
			return nil, err
		}
		rest = rest[n+1:]
	}
	if rest[0].Is("VALUES") {
		return nil, rest[0].Errorf("VALUES is not supported; a query inserts what it selects")
	}
	q, err := query(rest, 0)
	if err != nil {
		return nil, err
	}
	q.Into = to
	return q, nil
}

func isName(t lex.Token) bool {
	return t.Kind == lex.Quoted || t.Kind == lex.Word && !keywords[strings.ToUpper(t.Text)]
}

func target(t lex.Token, word string) (*ast.Target, error) {
	if !isName(t) {
		return nil, t.Errorf("expected the name of a stream after %s, found %s", word, t)
	}
	return &ast.Target{Pos: t.Pos, Name: t.Text}, nil
}

// names parses a list of names.
func names(tokens []lex.Token, end lex.Token) ([]ast.Name, error) {
	var out []ast.Name
	for _, part := range commas(tokens) {
		if len(part) == 0 {
			return nil, end.Errorf("expected a name, found %s", end)
		}
		if t := part[0]; !isName(t) {
			return nil, t.Errorf("expected a name, found %s", t)
		}
		if len(part) > 1 {
			return nil, part[1].Errorf("expected , or ), found %s", part[1])
		}
		out = append(out, ast.Name{Text: part[0].Text, Quoted: part[0].Kind == lex.Quoted})
	}
	return out, nil
}

// query parses [WITH …] body [ORDER BY …] [LIMIT …] [EMIT …] [ALLOWED LATENESS …] [LATE ROWS INTO …].
func query(tokens []lex.Token, level int) (*ast.Query, error) {
	if level > maxLevel {
		return nil, tokens[0].Errorf("queries nest more than %d deep", maxLevel)
	}
	q := &ast.Query{Pos: tokens[0].Pos}
	var found ast.Found
	if tokens[0].Is("WITH") {
		rest, err := with(q, tokens, level, &found)
		if err != nil {
			return nil, err
		}
		tokens = rest
	}
	rest, err := body(q, tokens, level, &found)
	if err != nil {
		found.Add(err)
		return nil, found.Err()
	}
	trailing(q, rest, &found)
	return q, found.Err()
}

// sub is tokens from i to before n as a statement of its own: the parenthesis becomes its end.
func sub(tokens []lex.Token) []lex.Token {
	end := tokens[len(tokens)-1]
	return append(append([]lex.Token(nil), tokens[:len(tokens)-1]...), lex.Token{Pos: end.Pos, Kind: lex.End, Text: end.Text})
}

// with parses the WITH clause and returns what follows.
func with(q *ast.Query, tokens []lex.Token, level int, found *ast.Found) ([]lex.Token, error) {
	if tokens[1].Is("RECURSIVE") {
		return nil, tokens[1].Errorf("WITH RECURSIVE is not supported: a stream has no fixed point")
	}
	for at := 1; ; at++ {
		t := tokens[at]
		if !isName(t) {
			return nil, t.Errorf("expected the name of a query, found %s", t)
		}
		c := ast.CTE{Pos: t.Pos, Name: t.Text}
		at++
		var err error
		if tokens[at].Sym("(") {
			n := matching(tokens, at)
			if c.Columns, err = names(tokens[at+1:n], tokens[n]); err != nil {
				return nil, err
			}
			at = n + 1
		}
		if !tokens[at].Is("AS") {
			return nil, tokens[at].Errorf("expected AS (SELECT …) after %s, found %s", c.Name, tokens[at])
		}
		if !tokens[at+1].Sym("(") {
			return nil, tokens[at+1].Errorf("expected (SELECT …) after AS, found %s", tokens[at+1])
		}
		n := matching(tokens, at+1)
		c.Query, err = query(sub(tokens[at+2:n+1]), level+1)
		found.Add(err)
		if err == nil {
			for _, other := range q.With {
				if other.Name == c.Name {
					found.Add(c.Errorf("two queries of WITH are called %q", c.Name))
				}
			}
			q.With = append(q.With, c)
		}
		at = n + 1
		if !tokens[at].Sym(",") {
			return tokens[at:], nil
		}
	}
}

// body parses SELECT … UNION ALL SELECT … and returns the clauses that follow.
func body(q *ast.Query, tokens []lex.Token, level int, found *ast.Found) ([]clause, error) {
	union := &ast.Union{Pos: tokens[0].Pos}
	for {
		term, rest, err := term(tokens, level, found)
		if err != nil {
			return nil, err
		}
		union.Terms = append(union.Terms, term)
		if len(rest) == 0 || !rest[0].word.Is("UNION") {
			q.Body = union
			if len(union.Terms) == 1 {
				q.Body = union.Terms[0]
			}
			return rest, nil
		}
		if !rest[0].first().Is("ALL") {
			return nil, rest[0].word.Errorf("UNION without ALL is not supported, since it would have to keep all rows; write UNION ALL")
		}
		for i, t := range tokens {
			if t.Pos == rest[0].word.Pos {
				tokens = tokens[i+2:]
				break
			}
		}
	}
}

// term parses a SELECT core or a query in parentheses and returns the clauses behind it.
func term(tokens []lex.Token, level int, found *ast.Found) (ast.Body, []clause, error) {
	first := tokens[0]
	switch {
	case first.Sym("("):
		n := matching(tokens, 0)
		inner, err := query(sub(tokens[1:n+1]), level+1)
		if err != nil {
			return nil, nil, err
		}
		rest := tokens[n+1:]
		if rest[0].Kind != lex.End && !clauseStart(append([]lex.Token{tokens[n]}, rest...), 1) {
			return nil, nil, rest[0].Errorf("unexpected %s", rest[0])
		}
		return inner, cut(rest, level), nil
	case !first.Is("SELECT"):
		return nil, nil, first.Errorf("expected SELECT, found %s%s", first, near(first, "SELECT", "WITH", "INSERT"))
	}
	return core(cut(tokens, level), found)
}

var coreOrder = []string{"SELECT", "FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "QUALIFY"}

// core takes the clauses of one SELECT and returns the others.
func core(all []clause, found *ast.Found) (ast.Body, []clause, error) {
	parts := make(map[string]clause, len(coreOrder))
	at := 0
	var before []lex.Token
	for len(all) > 0 {
		c := all[0]
		word := strings.ToUpper(c.word.Text)
		if n := len(before); word == "EXCEPT" && n > 0 && before[n-1].Sym("*") && c.first().Sym("(") {
			return nil, nil, c.word.Errorf("* EXCEPT (…) is not supported; name the columns")
		}
		if message, ok := unsupported[word]; ok {
			return nil, nil, c.word.Errorf("%s", message)
		}
		next := at
		for next < len(coreOrder) && coreOrder[next] != word {
			next++
		}
		if next == len(coreOrder) {
			if slices.Contains(coreOrder, word) {
				return nil, nil, cmp.Or(misspeltUnion(c.word, before), misplaced(c.word, word))
			}
			break
		}
		parts[word], at, all, before = c, next+1, all[1:], c.tokens
	}
	if _, ok := parts["FROM"]; !ok {
		end := parts["SELECT"].end
		return nil, nil, end.Errorf("expected FROM and the stream to read, found %s%s", end, hintFrom(parts["SELECT"].tokens))
	}
	s := lowerCore(parts, found)
	return s, all, nil
}

// misspeltUnion is the mistake of a second SELECT behind something like UNON ALL, else nil.
func misspeltUnion(t lex.Token, before []lex.Token) error {
	n := len(before)
	if n > 0 && before[n-1].Is("ALL") {
		n--
	}
	if n == 0 || !t.Is("SELECT") {
		return nil
	}
	if h := near(before[n-1], "UNION"); h != "" {
		return before[n-1].Errorf("expected UNION ALL between two SELECT, found %s%s", before[n-1], h)
	}
	return nil
}

func misplaced(t lex.Token, word string) error {
	if word == "SELECT" {
		return t.Errorf("expected one SELECT statement, found a second SELECT")
	}
	if word == "GROUP" {
		word = "GROUP BY"
	}
	return t.Errorf("%s is in the wrong place; the order is SELECT, FROM, WHERE, GROUP BY, HAVING, WINDOW, QUALIFY", word)
}

// lowerCore turns the clauses of one SELECT into a tree. Each clause reports its own mistakes.
func lowerCore(parts map[string]clause, found *ast.Found) *ast.Select {
	items := parts["SELECT"]
	s := &ast.Select{Pos: items.word.Pos}
	if selectStream(append([]lex.Token{items.word}, append(items.tokens[:len(items.tokens):len(items.tokens)], items.end)...)) {
		s.Stream, items.tokens = true, items.tokens[1:]
	}
	if len(items.tokens) > 0 && items.tokens[0].Is("DISTINCT") {
		s.Distinct, items.tokens = true, items.tokens[1:]
	}
	note := func(err error) { found.Add(err) }
	var err error
	if foreign := foreignSelect(items.tokens, s.Distinct); foreign != nil {
		note(foreign)
	} else {
		s.Items, err = items.list(true)
		note(misspeltDistinct(s.Items, items.tokens, err))
	}
	s.From, err = from(parts["FROM"])
	note(err)
	s.Where, err = parts["WHERE"].one("WHERE")
	note(err)
	if c, ok := parts["GROUP"]; ok {
		note(groupBy(s, c))
	}
	s.Having, err = parts["HAVING"].one("HAVING")
	note(err)
	if c, ok := parts["WINDOW"]; ok {
		s.Windows, err = windows(c)
		note(err)
	}
	s.Qualify, err = parts["QUALIFY"].one("QUALIFY")
	note(err)
	return s
}

// foreignSelect is the mistake of what other dialects have in front of the first item.
func foreignSelect(tokens []lex.Token, distinct bool) error {
	if len(tokens) < 2 {
		return nil
	}
	switch t, next := tokens[0], tokens[1]; {
	case distinct && t.Is("ON") && next.Sym("("):
		return t.Errorf("DISTINCT ON is not supported; write QUALIFY ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) = 1")
	case t.Is("TOP") && next.Kind == lex.Number:
		return t.Errorf("TOP is not supported; write LIMIT %s behind ORDER BY", next.Text)
	case t.Is("ALL") && (next.Kind == lex.Quoted || next.Kind == lex.Word && !keywords[strings.ToUpper(next.Text)]):
		return t.Errorf("SELECT ALL is not supported; leave ALL out")
	}
	return nil
}

// misspeltDistinct marks a first item such as DISTICT that has what may be meant to be selected for its name,
// or is the mistake of one that has an expression behind it.
func misspeltDistinct(items []ast.Item, tokens []lex.Token, err error) error {
	if len(tokens) < 2 || tokens[1].Kind != lex.Word && tokens[1].Kind != lex.Quoted || tokens[1].Is("AS") {
		return err
	}
	h := near(tokens[0], "DISTINCT")
	switch {
	case h == "":
	case err != nil:
		return tokens[0].Errorf("unexpected %s%s", tokens[0], h)
	case len(items) > 0:
		if id, ok := items[0].Expr.(*ast.Ident); ok && len(id.Parts) == 1 {
			id.Meant = "DISTINCT"
		}
	}
	return err
}

// trailing parses the clauses behind the body.
func trailing(q *ast.Query, rest []clause, found *ast.Found) {
	at, order := 0, []string{"ORDER", "LIMIT", "OFFSET", "FETCH", "EMIT", "ALLOWED", "LATE"}
	for _, c := range rest {
		word := strings.ToUpper(c.word.Text)
		if message, ok := unsupported[word]; ok {
			found.Add(c.word.Errorf("%s", message))
			return
		}
		next := at
		for next < len(order) && order[next] != word {
			next++
		}
		if next == len(order) {
			if slices.Contains(coreOrder, word) {
				found.Add(misplaced(c.word, word))
			} else {
				found.Add(c.word.Errorf("%s is in the wrong place; the order is ORDER BY, LIMIT, OFFSET, EMIT, ALLOWED LATENESS, LATE ROWS INTO, each once", word))
			}
			return
		}
		at = next + 1
		found.Add(trail(q, c, word))
	}
}

func trail(q *ast.Query, c clause, word string) (err error) {
	switch word {
	case "ORDER":
		if c, err = c.behind("BY"); err == nil {
			q.OrderBy, err = orders(c.tokens, c.end, c.level)
		}
	case "LIMIT", "OFFSET", "FETCH":
		err = limit(q, c, word)
	case "EMIT":
		q.Emit, err = emit(c)
	case "ALLOWED":
		if c, err = c.behind("LATENESS"); err == nil {
			q.Lateness, err = c.interval("ALLOWED LATENESS")
		}
	case "LATE":
		if c, err = c.behind("ROWS", "INTO"); err != nil {
			return err
		}
		if q.Late, err = target(c.first(), "INTO"); err == nil && len(c.tokens) > 1 {
			err = c.tokens[1].Errorf("unexpected %s", c.tokens[1])
		}
	}
	return err
}

// limit parses LIMIT n, OFFSET n [ROWS] and FETCH FIRST n ROWS ONLY.
func limit(q *ast.Query, c clause, word string) error {
	if q.Limit == nil {
		q.Limit = &ast.Limit{Pos: c.word.Pos, Count: -1}
	}
	n := 0
	if word == "FETCH" {
		n = 1
	}
	t := c.at(n)
	v, err := strconv.ParseInt(t.Text, 10, 32)
	if t.Kind != lex.Number || err != nil {
		return t.Errorf("expected a number of rows after %s, found %s", word, t)
	}
	n++
	for _, optional := range []string{"ROW", "ROWS", "ONLY"} {
		if word != "LIMIT" && c.at(n).Is(optional) {
			n++
		}
	}
	if n < len(c.tokens) {
		if c.at(n).Sym(",") {
			return c.at(n).Errorf("unexpected ,; write LIMIT n OFFSET m")
		}
		return c.at(n).Errorf("unexpected %s", c.at(n))
	}
	if word == "OFFSET" {
		q.Limit.Offset = v
	} else {
		q.Limit.Count = v
	}
	return nil
}

// emit parses ON CLOSE, CHANGES, EVERY interval.
func emit(c clause) (*ast.Emit, error) {
	e := &ast.Emit{Pos: c.word.Pos}
	n := 1
	var err error
	switch {
	case c.at(0).Is("ON") && (c.at(1).Is("CLOSE") || c.at(1).Is("WINDOW") && c.at(2).Is("CLOSE")):
		if n = 2; !c.at(1).Is("CLOSE") {
			n = 3
		}
	case c.at(0).Is("FINAL"):
	case c.at(0).Is("CHANGES"):
		e.Kind = ast.EmitChanges
	case c.at(0).Is("EVERY"):
		e.Kind = ast.EmitEvery
		c, _ = c.behind("EVERY")
		e.Every, err = c.interval("EMIT EVERY")
		return e, err
	default:
		return nil, c.first().Errorf("expected ON CLOSE, CHANGES or EVERY INTERVAL … after EMIT, found %s", c.first())
	}
	if n < len(c.tokens) {
		return nil, c.at(n).Errorf("unexpected %s", c.at(n))
	}
	return e, nil
}

// interval is a clause that is one positive interval.
func (c clause) interval(what string) (*ast.Interval, error) {
	if t := c.first(); len(c.tokens) > 1 && (t.Kind == lex.Number || t.Kind == lex.String) {
		return nil, t.Errorf("%s takes an interval such as INTERVAL '1' MINUTE", what)
	}
	e, err := c.one(what)
	if err != nil {
		return nil, err
	}
	i, ok := e.(*ast.Interval)
	switch {
	case !ok:
		return nil, e.Position().Errorf("%s takes an interval such as INTERVAL '1' MINUTE", what)
	case i.Value.Months != 0 || i.Value.Micros <= 0:
		return nil, i.Errorf("%s takes an interval of at least a microsecond, and not of months", what)
	}
	return i, nil
}

// orders parses the list of ORDER BY.
func orders(tokens []lex.Token, end lex.Token, level int) ([]ast.Order, error) {
	var out []ast.Order
	for _, part := range commas(tokens) {
		behind := after(tokens, part, end)
		o, nulls := ast.Order{}, false
		if n := len(part); n > 2 && part[n-2].Is("NULLS") && (part[n-1].Is("FIRST") || part[n-1].Is("LAST")) {
			nulls, o.NullsFirst, part = true, part[n-1].Is("FIRST"), part[:n-2]
		}
		switch n := len(part); {
		case n < 2:
		case part[n-1].Is("ASC"), part[n-1].Is("DESC"):
			o.Desc, part = part[n-1].Is("DESC"), part[:n-1]
		case part[n-2].Is("NULLS"):
			return nil, part[n-1].Errorf("expected FIRST or LAST after NULLS, found %s", part[n-1])
		case endsOperand(part, n-2) && near(part[n-1], "DESC", "ASC") != "":
			return nil, part[n-1].Errorf("unexpected %s%s", part[n-1], near(part[n-1], "DESC", "ASC"))
		}
		if !nulls {
			o.NullsFirst = o.Desc
		}
		e, err := clause{tokens: part, end: behind, present: true, level: level}.one("ORDER BY")
		if err != nil {
			return nil, err
		}
		o.Expr, o.Pos = e, e.Position()
		out = append(out, o)
	}
	return out, nil
}
