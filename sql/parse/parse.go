// Package parse turns SQL text into the tree of sql/ast.
//
// The statement layer cuts a statement into clauses and rejects what the dialect does not have.
// Expressions are parsed by github.com/xwb1989/sqlparser, which is given no text of the user:
// every name, literal and type is replaced by a numbered placeholder first, so it decides about
// precedence and nothing else, and every node finds back to its line and column.
//
// The invariant to remember: only this package knows that library.
package parse

import (
	"strings"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/lex"
)

// Query parses a statement. An error is *ast.Error, or ast.Errors when there are several.
func Query(text string) (*ast.Query, error) {
	tokens, err := lex.Tokens(text)
	if err != nil {
		return nil, err
	}
	return statement(trim(tokens))
}

// Expr parses a scalar expression. Errors are *ast.Error.
func Expr(text string) (ast.Expr, error) {
	tokens, err := lex.Tokens(text)
	if err != nil {
		return nil, err
	}
	tokens = trim(tokens)
	if len(tokens) == 1 {
		return nil, tokens[0].Errorf("expected an expression, found nothing")
	}
	if t := tokens[0]; t.Is("SELECT") {
		return nil, t.Errorf("expected an expression, found a SELECT statement")
	}
	if i := clauseEnd(tokens, 0); tokens[i].Kind != lex.End {
		return nil, tokens[i].Errorf("expected an expression, found %s", strings.ToUpper(tokens[i].Text))
	}
	items, err := list(tokens[:len(tokens)-1], tokens[len(tokens)-1].Pos, false, 0)
	if err != nil {
		return nil, err
	}
	if len(items) != 1 {
		return nil, items[1].Errorf("expected one expression, found %d", len(items))
	}
	return items[0].Expr, nil
}

// trim drops semicolons at the end.
func trim(tokens []lex.Token) []lex.Token {
	end := tokens[len(tokens)-1]
	tokens = tokens[:len(tokens)-1]
	for len(tokens) > 0 && tokens[len(tokens)-1].Sym(";") {
		tokens = tokens[:len(tokens)-1]
	}
	return append(tokens[:len(tokens):len(tokens)], end)
}
