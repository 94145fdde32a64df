package parse

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sql/lex"
)

// guessed are the keywords that a misspelt word may mean. Shorter ones are near to any short name.
var guessed = []string{
	"FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "QUALIFY", "UNION", "ORDER", "LIMIT", "OFFSET", "EMIT", "ALLOWED", "LATE",
	"JOIN", "LEFT", "INNER", "CROSS", "USING", "BETWEEN", "LIKE", "ILIKE", "REGEXP", "WHEN", "THEN", "ELSE", "DISTINCT",
	"INTERVAL", "PARTITION", "PRECEDING", "UNBOUNDED", "CURRENT",
}

// The words that stand before a text or a number. They are short, but nothing else stands there.
var (
	beforeText   = []string{"INTERVAL", "DATE", "TIME", "TIMESTAMP", "ZONE", "LIKE", "ILIKE", "REGEXP", "ESCAPE", "AND"}
	beforeNumber = []string{"INTERVAL", "ROWS", "LIMIT", "OFFSET", "BETWEEN", "AND", "THEN", "ELSE", "WHEN"}
	// behindIs follow IS.
	behindIs = []string{"NULL", "NOT", "TRUE", "FALSE", "UNKNOWN", "DISTINCT"}
)

// followed is what stands behind the first word of a clause. Without it the word is a name.
var followed = map[string]string{
	"EMIT": "ON CLOSE, CHANGES or EVERY INTERVAL …", "ORDER": "BY", "GROUP": "BY", "ALLOWED": "LATENESS INTERVAL …",
	"LATE": "ROWS INTO a stream", "LIMIT": "a whole number", "OFFSET": "a whole number",
}

// hint ends a message about token i, which does not fit where it is: it, or the word before it that
// was taken for a name, may be a keyword with a mistake.
func hint(tokens []lex.Token, i int) string {
	for _, at := range []int{i, i - 1} {
		if at < 0 || at >= len(tokens) || tokens[at].Kind != lex.Word {
			continue
		}
		word := strings.ToUpper(tokens[at].Text)
		switch meant := meant(tokens, at, i); {
		case at < i && followed[word] != "" && !tokens[i].Is("BY"):
			return fmt.Sprintf("; expected %s after %s", followed[word], word)
		case keywords[word], slices.Contains(guessed, word), followed[word] != "":
		case meant != "" && meant != word:
			return instead(meant, tokens[at])
		}
	}
	return ""
}

// meant is the keyword that the word at a place may be, by token i, which does not fit.
func meant(tokens []lex.Token, at, i int) string {
	word := strings.ToUpper(tokens[at].Text)
	switch {
	case at == i && i > 0 && (tokens[i-1].Is("IS") || tokens[i-1].Is("NOT")):
		return config.Suggest(word, behindIs)
	case at < i && tokens[i].Kind == lex.String:
		return config.Suggest(word, beforeText)
	case at < i && tokens[i].Kind == lex.Number:
		return config.Suggest(word, beforeNumber)
	case swapped(word, "AND"):
		return "AND"
	}
	return config.Suggest(word, guessed)
}

// swapped reports whether a word has the letters of another one in another order.
func swapped(word, other string) bool {
	a, b := []byte(word), []byte(other)
	slices.Sort(a)
	slices.Sort(b)
	return word != other && slices.Equal(a, b)
}

func instead(meant string, t lex.Token) string {
	return fmt.Sprintf("; did you mean %s instead of %s?", meant, t.Text)
}

// near ends a message about a word in whose place there can only be some others.
func near(t lex.Token, words ...string) string {
	if t.Kind != lex.Word {
		return ""
	}
	if meant := config.Suggest(t.Text, words); meant != "" && !t.Is(meant) {
		return instead(meant, t)
	}
	return ""
}

// nearAny is near for the first of some tokens that is near to one of the words.
func nearAny(tokens []lex.Token, words ...string) string {
	for _, t := range tokens {
		if h := near(t, words...); h != "" && !slices.ContainsFunc(words, t.Is) {
			return h
		}
	}
	return ""
}

// chained ends a message about token i if that is a comparison behind another one: 0 < a < 5.
func chained(tokens []lex.Token, i int) string {
	if i < 1 || !endsOperand(tokens, i-1) {
		return ""
	}
	t := tokens[i]
	switch {
	case t.Is("BETWEEN"), t.Is("IN"), t.Is("LIKE"), t.Is("ILIKE"), t.Is("REGEXP"), t.Is("NOT"):
	case t.Kind == lex.Symbol && strings.Contains(" = <> != < <= > >= ", " "+t.Text+" "):
	default:
		return ""
	}
	return "; a comparison cannot follow another one: join both with AND, or put one in parentheses"
}

// hintFrom is the hint for a SELECT without FROM: it may be there as the name of a column.
func hintFrom(tokens []lex.Token) string {
	for i, t := range tokens {
		if i > 0 && t.Kind == lex.Word && !tokens[i-1].Sym(",") && !tokens[i-1].Sym(".") && config.Suggest(t.Text, []string{"FROM"}) != "" {
			return fmt.Sprintf("; did you mean FROM instead of %s?", t.Text)
		}
	}
	return ""
}
