package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake, or one warning, of a file.
type Error struct {
	File string `json:"file"`
	// Line and Column count from 1, columns in characters.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Path is the place in dots and brackets ("sinks.lake", "paths[0]"); empty for the file itself.
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Error is file:line:column: path: message.
func (e Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", e.File, e.Line, e.Column, e.Path, e.Message)
}

// Errors are the mistakes of a file in the order of their positions.
type Errors []Error

// Error is one mistake a line.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the mistakes one by one to errors.As.
func (es Errors) Unwrap() []error {
	all := make([]error, len(es))
	for i, e := range es {
		all[i] = e
	}
	return all
}

// sorted is es by position, without repetitions.
func (es Errors) sorted() Errors {
	out := slices.Clone(es)
	slices.SortStableFunc(out, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	seen := make(map[Error]bool, len(out))
	return slices.DeleteFunc(out, func(e Error) bool {
		again := seen[e]
		seen[e] = true
		return again
	})
}

// PathError is a mistake in one key of a component's configuration that only its Open can find, for
// example an SQL expression that does not compile. Open returns one, or several with errors.Join;
// the loader reports each at the line and column of the key. If Err is an *sql.Error, its own line
// and column are added, so that the report points into the text.
type PathError struct {
	// Path is relative to the component's configuration, in dots and brackets: "where",
	// "columns.total", "paths[0]".
	Path string
	Err  error
}

// Error is path: cause.
func (e *PathError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap is the cause.
func (e *PathError) Unwrap() error { return e.Err }
