// Package lex cuts SQL text into tokens with their place in the text.
//
// The invariant to remember: nothing that a later stage could take for something else leaves
// this package. What the dialect has no meaning for is an error here, with line and column.
package lex

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace-io/millrace/sql/ast"
)

// Limits of a text. They keep the depth of any tree built from it far from what a stack holds.
const (
	MaxBytes  = 64 << 10
	MaxTokens = 16 << 10
	// MaxDepth is how deep parentheses and brackets may nest.
	MaxDepth = 100
)

type lexer struct {
	text string
	at   int
	pos  ast.Pos
	out  []Token
}

// Tokens cuts text into tokens; the last one is of kind End. Errors are *ast.Error.
func Tokens(text string) ([]Token, error) {
	l := &lexer{text: text, pos: ast.Pos{Line: 1, Column: 1}}
	if len(text) > MaxBytes {
		return nil, l.pos.Errorf("the text has %d bytes; a statement may have %d", len(text), MaxBytes)
	}
	depth := 0
	for {
		if err := l.blank(); err != nil {
			return nil, err
		}
		start := l.pos
		if l.at == len(l.text) {
			l.out = append(l.out, Token{Pos: start, Kind: End})
			return l.out, nil
		}
		token, err := l.next()
		if err != nil {
			return nil, err
		}
		token.Pos = start
		switch {
		case token.Sym("("), token.Sym("["):
			depth++
		case token.Sym(")"), token.Sym("]"):
			depth--
		}
		if depth > MaxDepth {
			return nil, start.Errorf("parentheses nest more than %d deep", MaxDepth)
		}
		if len(l.out) == MaxTokens {
			return nil, start.Errorf("the statement has more than %d words and symbols", MaxTokens)
		}
		l.out = append(l.out, token)
	}
}

func (l *lexer) peek() byte { return l.ahead(0) }

func (l *lexer) ahead(n int) byte {
	if l.at+n >= len(l.text) {
		return 0
	}
	return l.text[l.at+n]
}

// skip moves over n bytes and keeps count of lines and columns.
func (l *lexer) skip(n int) {
	for _, r := range l.text[l.at : l.at+n] {
		if r == '\n' {
			l.pos.Line++
			l.pos.Column = 0
		}
		l.pos.Column++
	}
	l.at += n
}

// blank skips white space and comments.
func (l *lexer) blank() error {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case strings.IndexByte(" \t\r\n\f\v", rest[0]) >= 0:
			l.skip(1)
		case strings.HasPrefix(rest, "--"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.skip(n)
		case strings.HasPrefix(rest, "/*!"):
			return l.pos.Errorf("/*! … */ is not a comment; write /* … */")
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return l.pos.Errorf("the comment has no end; close it with */")
			}
			l.skip(n + 4)
		case strings.HasPrefix(rest, "\ufeff") && l.at == 0:
			l.at += len("\ufeff")
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) next() (Token, error) {
	c := l.peek()
	switch {
	case c == '\'':
		text, err := l.quoted('\'', "text")
		return Token{Kind: String, Text: text}, err
	case c == '"' || c == '`':
		start := l.pos
		text, err := l.quoted(c, "name")
		if err == nil && text == "" {
			err = start.Errorf("a name in quotes is empty; text is written in single quotes")
		}
		return Token{Kind: Quoted, Text: text}, err
	case digit(c) || c == '.' && digit(l.ahead(1)):
		return l.number()
	}
	r, size := utf8.DecodeRuneInString(l.text[l.at:])
	switch {
	case r == utf8.RuneError && size <= 1:
		return Token{}, l.pos.Errorf("the text is not UTF-8")
	case r == '_' || unicode.IsLetter(r):
		return Token{Kind: Word, Text: l.word()}, nil
	}
	return l.symbol()
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func (l *lexer) word() string {
	rest := l.text[l.at:]
	n := strings.IndexFunc(rest, func(r rune) bool {
		return r != '_' && r != '$' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	if n < 0 {
		n = len(rest)
	}
	l.skip(n)
	return rest[:n]
}

// quoted reads up to the closing quote; a doubled quote stands for one.
func (l *lexer) quoted(quote byte, what string) (string, error) {
	start := l.pos
	l.skip(1)
	var b strings.Builder
	for {
		n := strings.IndexByte(l.text[l.at:], quote)
		if n < 0 {
			return "", start.Errorf("the %s has no closing %c", what, quote)
		}
		part := l.text[l.at : l.at+n]
		if !utf8.ValidString(part) {
			return "", start.Errorf("the %s is not UTF-8", what)
		}
		b.WriteString(part)
		l.skip(n + 1)
		if l.peek() != quote || l.at == len(l.text) {
			return b.String(), nil
		}
		b.WriteByte(quote)
		l.skip(1)
	}
}

// number reads 12, 1.5, .5, 1e9, 1.5E-3.
func (l *lexer) number() (Token, error) {
	start, from := l.pos, l.at
	l.digits()
	if l.peek() == '.' {
		l.skip(1)
		l.digits()
	}
	if c := l.peek(); c == 'e' || c == 'E' {
		sign := 1
		if s := l.ahead(1); s == '+' || s == '-' {
			sign = 2
		}
		if digit(l.ahead(sign)) {
			l.skip(sign)
			l.digits()
		}
	}
	text := l.text[from:l.at]
	if r, _ := utf8.DecodeRuneInString(l.text[l.at:]); r == '_' || r == '.' || unicode.IsLetter(r) {
		return Token{}, start.Errorf("%s is followed by %q; a name that begins with a digit needs double quotes", text, r)
	}
	return Token{Kind: Number, Text: text}, nil
}

func (l *lexer) digits() {
	for digit(l.peek()) {
		l.skip(1)
	}
}

// cures says what to write instead of symbols that other dialects have. Longer ones come first.
var cures = []struct{ symbol, cure string }{
	{"<=>", "<=> is not supported; write a IS NOT DISTINCT FROM b"},
	{"=>", "=> is not supported; arguments go by their place"},
	{":=", ":= is not supported; write ="},
	{"<<", "<< is not supported; write SHIFT_LEFT(a, b)"},
	{">>", ">> is not supported; write SHIFT_RIGHT(a, b)"},
	{"&&", "&& is not supported; write AND"},
	{"==", "== is not supported; write ="},
	{"&", "& is not supported; write BITAND(a, b)"},
	{"|", "| is not supported; write BITOR(a, b); || joins texts"},
	{"^", "^ is not supported; write POWER(a, b) or BITXOR(a, b)"},
	{"~", "~ is not supported; write REGEXP, or BITNOT(a)"},
	{"!", "! is not supported; write NOT"},
	{"?", "parameters are not supported; write the value"},
	{":", ": has no meaning here; parameters and slices are not supported"},
	{"@", "variables are not supported; write the value"},
	{"#", "# begins no comment here; write --"},
	{"\\", "a backslash has no meaning outside quotes"},
	{"{", "{ has no meaning here"},
	{"}", "} has no meaning here"},
	{"$", "a name cannot begin with $; write it in double quotes"},
}

func (l *lexer) symbol() (Token, error) {
	rest := l.text[l.at:]
	for _, s := range []string{"->>", "->", "::", "||", "<=", ">=", "<>", "!="} {
		if strings.HasPrefix(rest, s) && !strings.HasPrefix(rest, "<=>") {
			l.skip(len(s))
			if s == "!=" {
				s = "<>"
			}
			return Token{Kind: Symbol, Text: s}, nil
		}
	}
	for _, c := range cures {
		if strings.HasPrefix(rest, c.symbol) {
			return Token{}, l.pos.Errorf("%s", c.cure)
		}
	}
	if strings.IndexByte("()[]+-*/%,.=<>;", rest[0]) < 0 {
		r, _ := utf8.DecodeRuneInString(rest)
		return Token{}, l.pos.Errorf("unexpected character %q", r)
	}
	l.skip(1)
	return Token{Kind: Symbol, Text: rest[:1]}, nil
}
