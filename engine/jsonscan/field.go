package jsonscan

import (
	"bytes"
	"strings"
)

// Field is the raw value of a top-level field of one object, quotes kept. The first occurrence
// wins; ok is false when there is none. It is meant for routing by a field of a record that
// somebody else decodes: what it passes over and what it returns is not checked beyond what is
// needed to find the way, and what follows the field is not looked at.
func Field(object []byte, name string) (raw []byte, ok bool, err error) {
	i := Space(object, 0)
	if i >= len(object) || object[i] != '{' {
		return nil, false, fail(object, i, "an object")
	}
	i = Space(object, i+1)
	if i < len(object) && object[i] == '}' {
		return nil, false, nil
	}
	for {
		if i >= len(object) || object[i] != '"' {
			return nil, false, fail(object, i, "a key")
		}
		end, err := passString(object, i)
		if err != nil {
			return nil, false, err
		}
		key := object[i:end]
		if i = Space(object, end); i >= len(object) || object[i] != ':' {
			return nil, false, fail(object, i, "':' after the key")
		}
		i = Space(object, i+1)
		if end, err = pass(object, i); err != nil {
			return nil, false, err
		}
		if isKey(key, name) {
			return object[i:end], true, nil
		}
		i = Space(object, end)
		if i < len(object) && object[i] == '}' {
			return nil, false, nil
		}
		if i >= len(object) || object[i] != ',' {
			return nil, false, fail(object, i, "',' or '}'")
		}
		i = Space(object, i+1)
	}
}

// Path is Field for a dotted path into nested objects: "geo.lat" is the field lat of the object
// geo. A value on the way that is not an object has no fields, so ok is false.
func Path(object []byte, path string) (raw []byte, ok bool, err error) {
	name, rest, nested := strings.Cut(path, ".")
	raw, ok, err = Field(object, name)
	for nested && ok && err == nil {
		if raw[0] != '{' {
			return nil, false, nil
		}
		name, rest, nested = strings.Cut(rest, ".")
		raw, ok, err = Field(raw, name)
	}
	return raw, ok, err
}

// isKey compares a key literal with a name.
func isKey(literal []byte, name string) bool {
	if bytes.IndexByte(literal, '\\') < 0 {
		return string(literal[1:len(literal)-1]) == name
	}
	var scratch [64]byte
	key, err := Text(scratch[:0], literal)
	return err == nil && string(key) == name
}

// pass is the index after the value at i, found by brackets and quotes alone.
func pass(b []byte, i int) (int, error) {
	if i >= len(b) {
		return i, fail(b, i, "a value")
	}
	switch b[i] {
	case '"':
		return passString(b, i)
	case '{', '[':
		return passNested(b, i)
	}
	start := i
	for i < len(b) && !endsScalar(b[i]) {
		i++
	}
	if i == start {
		return i, fail(b, i, "a value")
	}
	return i, nil
}

func endsScalar(c byte) bool {
	switch c {
	case ',', '}', ']', ' ', '\n', '\r', '\t', ':', '"', '{', '[':
		return true
	}
	return false
}

// passString jumps from quote to quote; a quote after an odd number of backslashes is part of
// the string.
func passString(b []byte, i int) (int, error) {
	start := i + 1
	for i = start; ; i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b), fail(b, len(b), "'\"' at the end of a string")
		}
		i += n
		slashes := 0
		for j := i - 1; j >= start && b[j] == '\\'; j-- {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1, nil
		}
	}
}

func passNested(b []byte, i int) (int, error) {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			end, err := passString(b, i)
			if err != nil {
				return end, err
			}
			i = end
			continue
		case '{', '[':
			depth++
			if depth > MaxDepth {
				return i, &Error{Offset: i, Message: "nested too deeply", TooDeep: true}
			}
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1, nil
			}
		}
		i++
	}
	return i, fail(b, i, "the end of an object or array")
}
