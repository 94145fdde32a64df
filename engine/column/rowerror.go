package column

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/engine/jsonscan"
)

// The codes of a RowError.
const (
	// CodeParse: the row is not one JSON object.
	CodeParse = "parse-error"
	// CodeMismatch: the value is of another type than the column, or is not written as one.
	CodeMismatch = "type-mismatch"
	// CodeRange: the value is of the type but outside what the column holds.
	CodeRange = "out-of-range"
	// CodeInvalidUTF8: a string is not UTF-8 or has half a surrogate pair.
	CodeInvalidUTF8 = "invalid-utf8"
	// CodeDuplicate: a field of the schema occurs twice.
	CodeDuplicate = "duplicate-key"
	// CodeTooDeep: nested more than MaxDepth deep.
	CodeTooDeep = "too-deep"
	// CodeTooLarge: the row would take more memory than Options.MaxRow.
	CodeTooLarge = "too-large"
)

// RowError says why a row was not taken.
type RowError struct {
	// Code is one word for machines, one of the Code constants.
	Code string
	// Field is the dotted path of the field; empty when the row as a whole is at fault.
	Field string
	// Message is for people.
	Message string
}

func (e *RowError) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return fmt.Sprintf("field %q: %s", e.Field, e.Message)
}

// fail notes why the row is bad. It returns -1, which the scanning functions pass upwards.
func (d *Decoder) fail(code string, offset int, message string) int {
	d.bad = &RowError{Code: code, Message: fmt.Sprintf("offset %d: %s", offset, message)}
	return -1
}

func (d *Decoder) failSyntax(err error) int {
	d.bad = &RowError{Code: CodeParse, Message: err.Error()}
	var e *jsonscan.Error
	if errors.As(err, &e) && e.TooDeep {
		d.bad.Code = CodeTooDeep
	}
	return -1
}

// want reports a byte that cannot stand at i.
func (d *Decoder) want(b []byte, i int, what string) int {
	if i >= len(b) {
		return d.fail(CodeParse, len(b), "unexpected end of JSON, want "+what)
	}
	return d.fail(CodeParse, i, fmt.Sprintf("unexpected %q, want %s", b[i], what))
}

// mismatch reports a value at i that a column of type t does not take. What is not JSON at all is
// found when the row is checked once more.
func (d *Decoder) mismatch(b []byte, i int, t Type) int {
	return d.fail(CodeMismatch, i, fmt.Sprintf("want %s, got %s", article(t), excerpt(b, i)))
}

func (d *Decoder) outOfRange(b []byte, i int, t Type) int {
	return d.fail(CodeRange, i, fmt.Sprintf("%s is out of range for %s", excerpt(b, i), article(t)))
}

func article(t Type) string {
	switch t.Kind {
	case Int, JSON:
		return "an " + t.String()
	case List, Struct:
		return t.String()
	}
	return "a " + t.String()
}

// excerpt is the start of the value at i.
func excerpt(b []byte, i int) string {
	const most = 40
	end := i
	switch {
	case i >= len(b):
		return "nothing"
	case b[i] == '{':
		return "an object"
	case b[i] == '[':
		return "an array"
	case b[i] == '"':
		if end, _, _, _ = quoted(b, i+1); end < len(b) {
			end++
		}
	default:
		for end < len(b) && b[end] > ' ' && b[end] != ',' && b[end] != '}' && b[end] != ']' {
			end++
		}
	}
	if end > len(b) {
		end = len(b)
	}
	if end-i > most {
		return strings.ToValidUTF8(string(b[i:i+most]), "") + "…"
	}
	return strings.ToValidUTF8(string(b[i:end]), "\ufffd")
}
