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
}

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
		switch meant := config.Suggest(word, guessed); {
		case at < i && followed[word] != "" && !tokens[i].Is("BY"):
			return fmt.Sprintf("; expected %s after %s", followed[word], word)
		case keywords[word], slices.Contains(guessed, word), followed[word] != "":
		case meant != "":
			return fmt.Sprintf("; did you mean %s instead of %s?", meant, tokens[at].Text)
		}
	}
	return ""
}

// hintAt is hint for a token that is known by its place.
func hintAt(tokens []lex.Token, t lex.Token) string {
	return hint(tokens, slices.IndexFunc(tokens, func(x lex.Token) bool { return x.Pos == t.Pos }))
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
