// Package jsonscan finds its way in raw JSON bytes without decoding them: where a value ends,
// what a field of an object holds, which values an array or a stream of values consists of.
//
// The invariant to remember: nothing is allocated but for errors, and every returned slice aliases
// the input.
package jsonscan

import (
	"bytes"
	"fmt"
)

// MaxDepth is how deep objects and arrays may be nested.
const MaxDepth = 128

// Error says what is wrong with a JSON text and where. Callers that must tell a text that is
// nested too deeply from one that is not JSON look at TooDeep.
type Error struct {
	// Offset is the index of the offending byte; it is the length of a text that ends too early.
	Offset  int
	Message string
	TooDeep bool
}

func (e *Error) Error() string { return fmt.Sprintf("offset %d: %s", e.Offset, e.Message) }

func fail(b []byte, i int, want string) *Error {
	if i >= len(b) {
		return &Error{Offset: len(b), Message: "unexpected end of JSON, want " + want}
	}
	return &Error{Offset: i, Message: fmt.Sprintf("unexpected %q, want %s", b[i], want)}
}

// Space is the index of the first byte at or after i that is not white space.
func Space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// Skip is the index after the value that starts at or after i. It is as strict as encoding/json,
// which like this package lets strings hold bytes that are not UTF-8.
func Skip(b []byte, i int) (end int, err error) { return skip(b, i, MaxDepth) }

// SkipDepth is Skip with a nesting limit of its own: 0 takes scalars only.
func SkipDepth(b []byte, i, depth int) (end int, err error) { return skip(b, i, depth) }

func skip(b []byte, i, depth int) (int, error) {
	i = Space(b, i)
	if i >= len(b) {
		return i, fail(b, i, "a value")
	}
	switch c := b[i]; c {
	case '"':
		end, _, err := String(b, i)
		return end, err
	case '{', '[':
		if depth == 0 {
			return i, &Error{Offset: i, Message: "nested too deeply", TooDeep: true}
		}
		if c == '{' {
			return skipObject(b, i, depth-1)
		}
		return skipArray(b, i, depth-1)
	case 't':
		return Literal(b, i, "true")
	case 'f':
		return Literal(b, i, "false")
	case 'n':
		return Literal(b, i, "null")
	}
	end, _, err := Number(b, i)
	return end, err
}

func skipObject(b []byte, i, depth int) (int, error) {
	i = Space(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return i, fail(b, i, "a key")
		}
		end, _, err := String(b, i)
		if err != nil {
			return end, err
		}
		if i = Space(b, end); i >= len(b) || b[i] != ':' {
			return i, fail(b, i, "':' after the key")
		}
		if i, err = skip(b, i+1, depth); err != nil {
			return i, err
		}
		i = Space(b, i)
		if i < len(b) && b[i] == '}' {
			return i + 1, nil
		}
		if i >= len(b) || b[i] != ',' {
			return i, fail(b, i, "',' or '}'")
		}
		i = Space(b, i+1)
	}
}

func skipArray(b []byte, i, depth int) (int, error) {
	i = Space(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	for {
		var err error
		if i, err = skip(b, i, depth); err != nil {
			return i, err
		}
		i = Space(b, i)
		if i < len(b) && b[i] == ']' {
			return i + 1, nil
		}
		if i >= len(b) || b[i] != ',' {
			return i, fail(b, i, "',' or ']'")
		}
		i++
	}
}

// Literal is the index after the literal word at i: true, false or null.
func Literal(b []byte, i int, word string) (end int, err error) {
	if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
		return i + len(word), nil
	}
	return i, fail(b, i, word)
}

// Number is the index after the number at i and whether it is written without fraction and
// exponent.
func Number(b []byte, i int) (end int, integer bool, err error) {
	j := i
	if j < len(b) && b[j] == '-' {
		j++
	}
	switch {
	case j < len(b) && b[j] == '0':
		j++
	case j < len(b) && b[j] >= '1' && b[j] <= '9':
		j = digits(b, j)
	case j > i:
		return j, false, fail(b, j, "a digit")
	default:
		return j, false, fail(b, j, "a value")
	}
	integer = true
	if j < len(b) && b[j] == '.' {
		integer = false
		k := digits(b, j+1)
		if k == j+1 {
			return k, false, fail(b, k, "a digit after '.'")
		}
		j = k
	}
	if j < len(b) && b[j]|0x20 == 'e' {
		integer = false
		j++
		if j < len(b) && (b[j] == '+' || b[j] == '-') {
			j++
		}
		k := digits(b, j)
		if k == j {
			return k, false, fail(b, k, "a digit in the exponent")
		}
		j = k
	}
	return j, integer, nil
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// String is the index after the string whose opening quote is at i, and whether it has escapes.
func String(b []byte, i int) (end int, escaped bool, err error) {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped, nil
		case c == '\\':
			escaped = true
			n := escapeLen(b[i:])
			if n == 0 {
				return i, true, &Error{Offset: i, Message: "invalid escape in a string"}
			}
			i += n - 1
		case c < ' ':
			return i, escaped, &Error{Offset: i, Message: fmt.Sprintf("control character %q in a string", c)}
		}
	}
	return len(b), escaped, fail(b, len(b), "'\"' at the end of a string")
}

// escapeLen is the length of the escape that b starts with, 0 if it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if bytes.IndexByte([]byte(`"\/bfnrt`), b[1]) >= 0 {
		return 2
	}
	if b[1] != 'u' || len(b) < 6 {
		return 0
	}
	for _, c := range b[2:6] {
		if unhex(c) < 0 {
			return 0
		}
	}
	return 6
}

func unhex(c byte) rune {
	switch {
	case c-'0' <= 9:
		return rune(c - '0')
	case c|0x20-'a' <= 5:
		return rune(c|0x20-'a') + 10
	}
	return -1
}
