package ast

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

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

// Errors are several mistakes in one text, in the order they were found.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, each := range e {
		lines[i] = each.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes each of them visible to errors.As.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, each := range e {
		out[i] = each
	}
	return out
}

// maxErrors is how many mistakes of one text are reported.
const maxErrors = 10

// Found collects mistakes, so that one does not hide the others.
type Found struct{ list Errors }

// Add notes what err has, which may be nil.
func (f *Found) Add(err error) {
	var one *Error
	var many Errors
	switch {
	case err == nil:
	case errors.As(err, &many):
		for _, each := range many {
			f.add(each)
		}
	case errors.As(err, &one):
		f.add(one)
	default:
		f.list = append(f.list, Pos{Line: 1, Column: 1}.Errorf("%v", err))
	}
}

// add notes a mistake once.
func (f *Found) add(e *Error) {
	if !slices.ContainsFunc(f.list, func(o *Error) bool { return *o == *e }) {
		f.list = append(f.list, e)
	}
}

// Err is nil, the only mistake as *Error, or Errors.
func (f *Found) Err() error {
	switch {
	case len(f.list) == 0:
		return nil
	case len(f.list) == 1:
		return f.list[0]
	case len(f.list) > maxErrors:
		return f.list[:maxErrors]
	}
	return f.list
}
