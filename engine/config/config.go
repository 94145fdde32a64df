// Package config decodes YAML so that every mistake of a file is reported at once, with its
// line and column, in the user's words.
package config

import "fmt"

// Problem is one mistake of a configuration, found by a Validate method. Path is relative to the
// value validated, in dots and brackets: "buffer.size", "paths[0]"; empty for the value itself.
type Problem struct {
	Path    string
	Message string
}

// Problemf makes a Problem.
func Problemf(path, format string, args ...any) Problem {
	return Problem{Path: path, Message: fmt.Sprintf(format, args...)}
}

// Validator is implemented by configurations that can be wrong as a whole.
type Validator interface{ Validate() []Problem }

// Defaults turns a function that returns a configuration into one that returns a pointer to it.
func Defaults[C any](defaults func() C) func() any {
	return func() any { c := defaults(); return &c }
}
