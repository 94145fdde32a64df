package parse

import (
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/lex"
)

// keywords are the words that cannot be a name unless quoted, qualified or behind AS. KEY, ORDER,
// STREAM, INTERVAL, DATE and the like are not among them: their place tells what they are.
var keywords = map[string]bool{
	"SELECT": true, "FROM": true, "WHERE": true, "HAVING": true, "UNION": true, "EXCEPT": true,
	"INTERSECT": true, "AND": true, "OR": true, "NOT": true, "IS": true, "NULL": true, "IN": true,
	"BETWEEN": true, "LIKE": true, "CASE": true, "WHEN": true, "THEN": true, "ELSE": true,
	"END": true, "AS": true, "TRUE": true, "FALSE": true, "DISTINCT": true, "EXISTS": true, "BY": true,
}

// infix says what to do about operators of other dialects that would read as an alias.
var infix = map[string]string{
	"SIMILAR": "SIMILAR TO is not supported; use REGEXP", "GLOB": "GLOB is not supported; use LIKE",
	"DIV": "DIV is not supported; write FLOOR(a / b)", "MOD": "MOD is not an operator here; write a % b or MOD(a, b)",
	"XOR": "XOR is not supported; write a <> b", "COLLATE": "COLLATE is not supported; texts compare byte by byte",
	"OVERLAPS": "OVERLAPS is not supported; compare the ends", "ISNULL": "write IS NULL", "NOTNULL": "write IS NOT NULL",
	"TO":      "FLOOR(… TO unit) is not available yet; write DATE_TRUNC('minute', x), or GROUP BY TUMBLE(…)",
	"RESPECT": "RESPECT NULLS is not supported; leave it out", "IGNORE": "IGNORE NULLS is not supported; add WHERE x IS NOT NULL",
}

// leaf is what a placeholder stands for.
type leaf struct {
	ast.Pos
	// expr is set for names and literals, text for function names and aliases, typ for types.
	expr ast.Expr
	text string
	typ  *ast.TypeName
	// over, within and filter are the clauses behind a call.
	over   *ast.Over
	within []ast.Order
	filter ast.Expr
	// form is set for a function that stands for a form with a grammar of its own.
	form form
}

// form is what a call stands for that was written otherwise.
type form uint8

const (
	plainCall form = iota
	castForm
	arrayForm
	indexForm
	memberForm
	jsonForm
	jsonTextForm
	zoneForm
	overForm
	filterForm
	withinForm
	// swappedForm is a call with its two arguments in the other order.
	swappedForm
	// The operators that the library does not have; it sees REGEXP and a marker.
	regexpOp
	ilikeOp
	distinctOp
	notDistinctOp
)

// rewriter replaces what the library must not interpret: leaf n becomes the name xn, or the
// value :xn where the grammar wants a value.
type rewriter struct {
	in  []lex.Token
	end ast.Pos
	// level is how many clauses with expressions this one stands in.
	level int

	pieces []piece
	leaves []leaf
	// stars are the places of * in the sense of all columns or rows.
	stars []ast.Pos
	// open are the parentheses, brackets and CASEs that are not closed.
	open []opened
	// operand is the piece that the last complete operand begins with, or -1.
	operand int

	// starts are the place of every piece by its offset in what was written.
	starts []start
}

// piece is what the library gets for a token.
type piece struct {
	token lex.Token
	// before is the beginning of calls that operators behind the operand turned it into.
	before, text string
}

// opened is a parenthesis, bracket or CASE.
type opened struct {
	// closer is what ends it.
	closer string
	// first is the piece that the operand begins with.
	first int
	// commas are the words that stand for a comma in it.
	commas []string
}

type start struct {
	offset int
	token  lex.Token
}

func (r *rewriter) emit(t lex.Token, text string) {
	r.pieces = append(r.pieces, piece{token: t, text: text})
	r.operand = -1
}

func (r *rewriter) name(t lex.Token, l leaf) {
	r.emit(t, "x"+r.add(t, l))
	r.operand = len(r.pieces) - 1
}

func (r *rewriter) value(t lex.Token, l leaf) {
	r.emit(t, ":x"+r.add(t, l))
	r.operand = len(r.pieces) - 1
}

func (r *rewriter) add(t lex.Token, l leaf) string {
	l.Pos = t.Pos
	r.leaves = append(r.leaves, l)
	return strconv.Itoa(len(r.leaves) - 1)
}

// write joins the pieces.
func (r *rewriter) write() string {
	var out strings.Builder
	out.WriteString("select ")
	r.emit(lex.Token{Pos: r.end, Kind: lex.End}, "from t")
	for _, p := range r.pieces {
		r.starts = append(r.starts, start{out.Len(), p.token})
		out.WriteString(p.before)
		out.WriteString(p.text)
		out.WriteByte(' ')
	}
	return out.String()
}

// begin opens a parenthesis, bracket or CASE; first is the piece that its operand begins with.
func (r *rewriter) begin(t lex.Token, text, closer string, first int, commas ...string) {
	r.emit(t, text)
	if first < 0 {
		first = len(r.pieces) - 1
	}
	r.open = append(r.open, opened{closer: closer, first: first, commas: commas})
}

// close ends what is open.
func (r *rewriter) close(t lex.Token, text string) error {
	n := len(r.open) - 1
	if n < 0 || r.open[n].closer != strings.ToUpper(t.Text) {
		if n >= 0 && r.open[n].closer != "END" {
			return t.Errorf("expected %s, found %s", r.open[n].closer, t)
		}
		return t.Errorf("unexpected %s", t)
	}
	r.emit(t, text)
	r.operand = r.open[n].first
	r.open = r.open[:n]
	return nil
}

// comma reports whether the word separates arguments here.
func (r *rewriter) comma(word string) bool {
	return len(r.open) > 0 && slices.Contains(r.open[len(r.open)-1].commas, word)
}

func (r *rewriter) at(i int) lex.Token {
	if i < 0 || i >= len(r.in) {
		return lex.Token{Pos: r.end, Kind: lex.End}
	}
	return r.in[i]
}

// expressions rewrites the tokens of a list of expressions.
func (r *rewriter) expressions() error {
	for i := 0; i < len(r.in); {
		n, err := r.step(i)
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

// step rewrites what begins at token i and returns how many tokens that is.
func (r *rewriter) step(i int) (int, error) {
	t := r.at(i)
	switch t.Kind {
	case lex.String:
		r.value(t, leaf{expr: &ast.String{Pos: t.Pos, Value: t.Text}})
		return 1, nil
	case lex.Number:
		n, err := number(t.Pos, t.Text)
		r.value(t, leaf{expr: n})
		return 1, err
	case lex.Quoted:
		return r.ident(i)
	case lex.Symbol:
		if p := r.at(i - 1); t.Text == "*" && (p.Kind == lex.End || p.Sym(",") || p.Sym("(") || p.Is("DISTINCT")) {
			r.stars = append(r.stars, t.Pos)
		}
		if n, err := r.postfix(i); n > 0 || err != nil {
			return n, err
		}
		return 1, r.symbol(t)
	}
	if n, err := r.postfix(i); n > 0 || err != nil {
		return n, err
	}
	if n, err := r.special(i); n > 0 || err != nil {
		return n, err
	}
	if word := strings.ToUpper(t.Text); keywords[word] {
		return r.keyword(i, word)
	}
	return r.ident(i)
}

func (r *rewriter) symbol(t lex.Token) error {
	switch t.Text {
	case "(":
		r.begin(t, "(", ")", -1)
		return nil
	case ")":
		if len(r.open) == 0 {
			return t.Errorf(") has no matching (")
		}
		return r.close(t, ")")
	case "[":
		return r.array(t, t)
	case "]":
		return r.close(t, ")")
	case ".", ";":
		return t.Errorf("unexpected %s", t)
	case "||":
		r.emit(t, "|")
		return nil
	}
	r.emit(t, t.Text)
	return nil
}

func (r *rewriter) keyword(i int, word string) (int, error) {
	t := r.at(i)
	if r.comma(word) {
		r.emit(t, ",")
		return 1, nil
	}
	switch word {
	case "SELECT", "EXISTS":
		return 0, t.Errorf("a sub-query stands in FROM or WITH, not within an expression")
	case "CASE":
		r.begin(t, "case", "END", -1)
		return 1, nil
	case "END":
		return 1, r.close(t, "end")
	case "IS":
		return r.is(i)
	case "TRUE", "FALSE", "NULL":
		if p := r.at(i - 1); p.Is("IS") || p.Is("NOT") && r.at(i-2).Is("IS") {
			break
		}
		var e ast.Expr = &ast.Null{Pos: t.Pos}
		if word != "NULL" {
			e = &ast.Bool{Pos: t.Pos, Value: word == "TRUE"}
		}
		r.value(t, leaf{expr: e})
		return 1, nil
	case "AS":
		if r.at(i-1).Kind == lex.End {
			return 0, t.Errorf("expected an expression, found AS")
		}
		alias := r.at(i + 1)
		if alias.Kind != lex.Word && alias.Kind != lex.Quoted {
			return 0, alias.Errorf("expected a name after AS, found %s", alias)
		}
		r.emit(t, "as")
		r.name(alias, leaf{text: alias.Text})
		return 2, nil
	case "FROM", "WHERE", "HAVING", "UNION", "EXCEPT", "INTERSECT", "BY":
		return 0, t.Errorf("unexpected %s%s", word, hint(r.in, i))
	}
	r.emit(t, strings.ToLower(word))
	return 1, nil
}

// ident rewrites a.b.c, or a name that is called.
func (r *rewriter) ident(i int) (int, error) {
	t := r.at(i)
	id := &ast.Ident{Pos: t.Pos}
	n := 0
	for {
		p := r.at(i + n)
		if p.Sym("*") && n > 0 {
			// input.*
			r.name(t, leaf{expr: id})
			r.emit(p, ".")
			r.emit(p, "*")
			return n + 1, nil
		}
		if p.Kind != lex.Word && p.Kind != lex.Quoted {
			return 0, p.Errorf("expected a name after the dot, found %s", p)
		}
		id.Parts = append(id.Parts, ast.Name{Text: p.Text, Quoted: p.Kind == lex.Quoted})
		n++
		if !r.at(i + n).Sym(".") {
			break
		}
		n++
	}
	if !r.at(i + n).Sym("(") {
		r.name(t, leaf{expr: id})
		return n, nil
	}
	if t.Kind != lex.Word || n > 1 {
		return 0, t.Errorf("a function has a plain name, without quotes and dots")
	}
	r.name(t, leaf{text: strings.ToLower(t.Text)})
	r.begin(r.at(i+n), "(", ")", r.operand)
	return n + 1, nil
}
