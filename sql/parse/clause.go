package parse

import (
	"strings"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/lex"
)

// clause is a range of tokens behind its word.
type clause struct {
	word   lex.Token
	tokens []lex.Token
	// end is the place of the token behind the clause.
	end     lex.Token
	present bool
	level   int
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
	case "FROM":
		// IS [NOT] DISTINCT FROM is a comparison.
		return i < 2 || !tokens[i-1].Is("DISTINCT") || !tokens[i-2].Is("IS") && !tokens[i-2].Is("NOT")
	case "WHERE", "HAVING", "UNION", "EXCEPT", "INTERSECT", "SELECT":
		return true
	case "GROUP", "ORDER":
		return next.Is("BY")
	case "LIMIT", "OFFSET", "FETCH":
		return operand && (next.Kind == lex.Number || next.Is("FIRST") || next.Is("NEXT") || next.Is("ALL"))
	case "WINDOW":
		return operand && (next.Kind == lex.Word || next.Kind == lex.Quoted) && i+2 < len(tokens) && tokens[i+2].Is("AS")
	case "WINDOWED":
		return operand && next.Is("BY")
	case "EMIT":
		return operand && (next.Is("CHANGES") || next.Is("ON") || next.Is("EVERY") || next.Is("FINAL"))
	case "ALLOWED":
		return operand && next.Is("LATENESS")
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
		return t.Text == ")" || t.Text == "]" || t.Text == "*"
	case lex.Word:
		return !keywords[strings.ToUpper(t.Text)] || t.Is("END") || t.Is("NULL") || t.Is("TRUE") || t.Is("FALSE")
	}
	return false
}

func clauseEnd(tokens []lex.Token, at int) int {
	depth := 0
	for i := at; ; i++ {
		switch t := tokens[i]; {
		case t.Kind == lex.End:
			return i
		case t.Sym("("), t.Sym("["):
			depth++
		case t.Sym(")"), t.Sym("]"):
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

// cut splits tokens, the last of which is of kind End, into clauses by the words that begin them, up to the
// first UNION: what is behind it is cut when its turn comes, or a thousand terms would be a million clauses.
func cut(tokens []lex.Token, level int) []clause {
	var out []clause
	for at := 0; tokens[at].Kind != lex.End && (len(out) == 0 || !out[len(out)-1].word.Is("UNION")); {
		// A word such as EMIT only begins a clause behind something.
		end := clauseEnd(tokens, at+1)
		c := clause{word: tokens[at], tokens: tokens[at+1 : end], end: tokens[end], present: true, level: level}
		out = append(out, c)
		at = end
	}
	return out
}

// behind drops a word that belongs to the clause's name: BY.
func (c clause) behind(words ...string) (clause, error) {
	for _, w := range words {
		if len(c.tokens) == 0 || !c.tokens[0].Is(w) {
			return c, c.first().Errorf("expected %s after %s, found %s", w, strings.ToUpper(c.word.Text), c.first())
		}
		c.word, c.tokens = c.tokens[0], c.tokens[1:]
	}
	return c, nil
}

// at is token i of the clause, or what stands behind it.
func (c clause) at(i int) lex.Token {
	if i < len(c.tokens) {
		return c.tokens[i]
	}
	end := c.end
	end.Kind = lex.End
	return end
}

func (c clause) first() lex.Token {
	if len(c.tokens) > 0 {
		return c.tokens[0]
	}
	return c.end
}

func (c clause) list(items bool) ([]ast.Item, error) {
	if len(c.tokens) == 0 {
		return nil, c.end.Errorf("expected an expression, found %s", c.end)
	}
	return list(c.tokens, c.end.Pos, items, c.level)
}

// one is the condition of a clause, nil if there is no such clause.
func (c clause) one(word string) (ast.Expr, error) {
	if !c.present && c.tokens == nil {
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

// commas splits tokens at the commas outside of parentheses.
func commas(tokens []lex.Token) [][]lex.Token {
	var out [][]lex.Token
	depth, from := 0, 0
	for i, t := range tokens {
		switch {
		case t.Sym("("), t.Sym("["):
			depth++
		case t.Sym(")"), t.Sym("]"):
			depth--
		case t.Sym(",") && depth == 0:
			out = append(out, tokens[from:i])
			from = i + 1
		}
	}
	return append(out, tokens[from:])
}

// after is the token behind a part of tokens, or end.
func after(tokens, part []lex.Token, end lex.Token) lex.Token {
	if len(part) == 0 || len(tokens) == 0 {
		return end
	}
	last := part[len(part)-1].Pos
	for i, t := range tokens[:len(tokens)-1] {
		if t.Pos == last {
			return tokens[i+1]
		}
	}
	return end
}
