package jsonscan

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Text is the text of a raw value: a string without its quotes and escapes, anything else as it
// is written, and nil for null. The result aliases raw when the string has no escapes; otherwise
// it is written to dst[:0]. A lone surrogate becomes U+FFFD, as in encoding/json.
func Text(dst, raw []byte) ([]byte, error) {
	if len(raw) == 0 {
		return nil, fail(raw, 0, "a value")
	}
	if raw[0] != '"' {
		if string(raw) == "null" {
			return nil, nil
		}
		return raw, nil
	}
	end, escaped, err := String(raw, 0)
	switch {
	case err != nil:
		return nil, err
	case end != len(raw):
		return nil, fail(raw, end, "the end of the string")
	case !escaped:
		return raw[1 : end-1], nil
	}
	return unescape(dst[:0], raw[1:end-1]), nil
}

// unescape appends the text of s, whose escapes are known to be valid.
func unescape(dst, s []byte) []byte {
	for {
		n := bytes.IndexByte(s, '\\')
		if n < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:n]...)
		c := s[n+1]
		if c != 'u' {
			dst = append(dst, unescaped(c))
			s = s[n+2:]
			continue
		}
		r := hex4(s[n+2:])
		s = s[n+6:]
		if utf16.IsSurrogate(r) {
			pair := rune(utf8.RuneError)
			if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
				pair = utf16.DecodeRune(r, hex4(s[2:]))
			}
			if pair != utf8.RuneError {
				s = s[6:]
			}
			r = pair
		}
		dst = utf8.AppendRune(dst, r)
	}
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

func hex4(s []byte) rune {
	return unhex(s[0])<<12 | unhex(s[1])<<8 | unhex(s[2])<<4 | unhex(s[3])
}

// Elements calls yield with every raw value of an array, or of a sequence of values with nothing
// or white space between them, such as newline-delimited JSON. A text that starts with '[' is an
// array and nothing may follow it. Elements are valid JSON; those before a mistake have been
// yielded when it is found. It returns the first error, its own or yield's.
func Elements(b []byte, yield func(raw []byte) error) error {
	i := Space(b, 0)
	if i < len(b) && b[i] == '[' {
		return elements(b, i, yield)
	}
	for i < len(b) {
		end, err := Skip(b, i)
		if err != nil {
			return err
		}
		if err := yield(b[i:end:end]); err != nil {
			return err
		}
		i = Space(b, end)
	}
	return nil
}

func elements(b []byte, i int, yield func(raw []byte) error) error {
	i = Space(b, i+1)
	if i < len(b) && b[i] == ']' {
		return atEnd(b, i+1)
	}
	for {
		i = Space(b, i)
		end, err := skip(b, i, MaxDepth-1)
		if err != nil {
			return err
		}
		if err := yield(b[i:end:end]); err != nil {
			return err
		}
		i = Space(b, end)
		if i < len(b) && b[i] == ']' {
			return atEnd(b, i+1)
		}
		if i >= len(b) || b[i] != ',' {
			return fail(b, i, "',' or ']'")
		}
		i++
	}
}

func atEnd(b []byte, i int) error {
	if i = Space(b, i); i < len(b) {
		return fail(b, i, "the end after the array")
	}
	return nil
}
