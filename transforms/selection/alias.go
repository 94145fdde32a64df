package selection

import (
	"errors"
	"strings"
)

// errNoName reports an expression whose column would have no name.
var errNoName = errors.New(`has no name; add one: "price * quantity AS total"`)

// split cuts "expression AS name" at its last AS that is neither quoted nor in parentheses. A
// column may stand alone and keeps its name; a field of a struct takes the field's name.
func split(text string) (expr, name string, err error) {
	at := lastAs(text)
	if at < 0 {
		expr = strings.TrimSpace(text)
		path := strings.Split(expr, ".")
		for i, part := range path {
			if path[i] = unquote(part); path[i] == "" {
				return "", "", errNoName
			}
		}
		return expr, path[len(path)-1], nil
	}
	// Blanks in front stay: positions in the messages of the SQL compiler count from there.
	expr, name = strings.TrimRight(text[:at], " \t\n"), unquote(strings.TrimSpace(text[at+len(" as"):]))
	if strings.TrimSpace(expr) == "" || name == "" {
		return "", "", errors.New(`want "expression AS name"; a name of other than letters, digits and _ goes in backquotes`)
	}
	return expr, name, nil
}

// lastAs is where " AS " starts, or -1.
func lastAs(text string) int {
	at, depth := -1, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\'', '"', '`':
			// A doubled quote ends one quoted stretch and starts the next.
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				return at
			}
			i += end + 1
		case '(':
			depth++
		case ')':
			depth--
		case ' ', '\t', '\n':
			if depth == 0 && len(text) > i+3 && strings.EqualFold(text[i+1:i+3], "as") && strings.IndexByte(" \t\n`\"", text[i+3]) >= 0 {
				at = i
			}
		}
	}
	return at
}

// unquote is the name that an identifier stands for, or "" if text is none.
func unquote(text string) string {
	if n := len(text); n > 2 && (text[0] == '`' || text[0] == '"') && text[n-1] == text[0] {
		if strings.IndexByte(text[1:n-1], text[0]) >= 0 {
			return ""
		}
		return text[1 : n-1]
	}
	for i, c := range text {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
		if !letter && (i == 0 || c < '0' || c > '9') {
			return ""
		}
	}
	return text
}
