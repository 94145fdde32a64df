package lex

import (
	"strings"

	"github.com/millrace-io/millrace/sql/ast"
)

// Kind is the kind of a token.
type Kind uint8

// The kinds of tokens.
const (
	// End follows the last token of a text.
	End Kind = iota
	// Word is an unquoted identifier or keyword.
	Word
	// Quoted is a "quoted" or `quoted` identifier; Text is what it stands for.
	Quoted
	// String is a 'text' literal; Text is its value.
	String
	// Number is a numeric literal, as written.
	Number
	// Symbol is an operator or punctuation.
	Symbol
)

// Token is a piece of a text.
type Token struct {
	ast.Pos
	Kind Kind
	Text string
}

// Is reports whether t is the unquoted word, given in upper case.
func (t Token) Is(word string) bool { return t.Kind == Word && strings.EqualFold(t.Text, word) }

// Sym reports whether t is the symbol.
func (t Token) Sym(symbol string) bool { return t.Kind == Symbol && t.Text == symbol }

// String is how messages name t.
func (t Token) String() string {
	switch t.Kind {
	case End:
		return "the end of the text"
	case String:
		return "'" + clip(t.Text) + "'"
	case Quoted:
		return `"` + clip(t.Text) + `"`
	default:
		return clip(t.Text)
	}
}

func clip(s string) string {
	runes := []rune(s)
	if len(runes) <= 40 {
		return s
	}
	return string(runes[:37]) + "..."
}
