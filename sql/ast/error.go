package ast

import "fmt"

// Error is a mistake in a text, at a line and column that count from 1 within the text.
type Error struct {
	Line, Column int
	Message      string
}

func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message) }

// Pos is a place in a text; lines and columns count from 1, columns in characters.
type Pos struct{ Line, Column int }

// Errorf makes an Error at p.
func (p Pos) Errorf(format string, args ...any) *Error {
	return &Error{Line: p.Line, Column: p.Column, Message: fmt.Sprintf(format, args...)}
}

// Position returns p, so that a node that embeds a Pos has a position.
func (p Pos) Position() Pos { return p }
