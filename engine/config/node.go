package config

import (
	"slices"
	"strconv"
	"strings"
)

// Kind is the shape of a Node.
type Kind uint8

// The shapes of a node. Null is a key without a value, `~` or `null`.
const (
	Null Kind = iota
	Scalar
	List
	Mapping
)

// Node is one value of a file with its place. It is made by Decoder.Parse: ${…} is resolved, and
// there are no aliases, tags, merge keys or duplicate keys left in it.
type Node struct {
	Kind Kind
	// Path is the place in dots and brackets, empty for the file itself.
	Path string
	// Line and Column are where the value begins, from 1, in characters.
	Line, Column int
	// KeyLine and KeyColumn are where the key of the value is; the value's own place for elements of
	// a list and for the file itself.
	KeyLine, KeyColumn int
	// Keys and Values are the pairs of a Mapping in the order of the file.
	Keys   []string
	Values []*Node
	// Items are the elements of a List.
	Items []*Node
	// Interpolated is set when the text holds the value of a variable or file. Such a text must not
	// be printed.
	Interpolated bool

	// text is the value of a scalar, raw the same before ${…} was resolved.
	text, raw string
	quoted    bool
	// secret is set once the value was decoded as a Secret.
	secret bool
	// bad is set when a mistake of the value has been reported, so that there is nothing to decode.
	bad   bool
	spans []span
	doc   *document
}

// span is a stretch of a scalar's text that came from a ${…} or $${ in its raw text.
type span struct {
	at, len       int
	rawAt, rawLen int
}

// Text is the value of a scalar with ${…} resolved.
func (n *Node) Text() string { return n.text }

// Quoted reports whether a scalar was written in quotes.
func (n *Node) Quoted() bool { return n.quoted }

// Get is the value of a key of a mapping, nil if it is not there.
func (n *Node) Get(key string) *Node {
	for i, k := range n.Keys {
		if k == key {
			return n.Values[i]
		}
	}
	return nil
}

// Find follows a path in dots and brackets, relative to n, as far as the file has it. The result is
// n itself if nothing of it is there; exact tells whether all of it is.
func (n *Node) Find(path string) (at *Node, exact bool) {
	for path != "" {
		next, rest := n.step(path)
		if next == nil {
			return n, false
		}
		n, path = next, rest
	}
	return n, true
}

// step follows the first step of a path that n has. Keys may hold dots, so it tries the keys of n
// instead of cutting the path.
func (n *Node) step(path string) (next *Node, rest string) {
	if index, rest, ok := strings.Cut(path, "]"); ok && strings.HasPrefix(path, "[") {
		i, err := strconv.Atoi(index[1:])
		if err == nil && i >= 0 && i < len(n.Items) {
			return n.Items[i], strings.TrimPrefix(rest, ".")
		}
		if key, err := strconv.Unquote(index[1:]); err == nil {
			return n.Get(key), strings.TrimPrefix(rest, ".")
		}
		return nil, path
	}
	for i, key := range n.Keys {
		after, ok := strings.CutPrefix(path, key)
		if ok && key != "" && (after == "" || after[0] == '.' || after[0] == '[') {
			return n.Values[i], strings.TrimPrefix(after, ".")
		}
	}
	return nil, path
}

// shown is a value as a message names it. It never gives the value of an interpolated scalar.
func (n *Node) shown() string {
	switch {
	case n.Kind == Null:
		return "nothing"
	case n.Kind == List:
		return "a list"
	case n.Kind == Mapping:
		return "a block of keys"
	case n.Interpolated:
		return "the value of " + quote(n.raw)
	case n.quoted:
		return "the text " + quote(n.text)
	}
	return quote(n.text)
}

// join appends a key to a path.
func join(path, key string) string {
	plain := key != ""
	for _, r := range key {
		plain = plain && strconv.IsPrint(r) && !strings.ContainsRune(" .[]:\"", r)
	}
	if !plain || len(key) > maxQuoted {
		return path + "[" + quote(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// Only is a mapping reduced to some of its keys, for an entry whose other keys cannot be judged. A
// node that is no mapping is returned as it is.
func (n *Node) Only(keys ...string) *Node {
	if n.Kind != Mapping {
		return n
	}
	only := *n
	only.Keys, only.Values = nil, nil
	for i, k := range n.Keys {
		if slices.Contains(keys, k) {
			only.Keys = append(only.Keys, k)
			only.Values = append(only.Values, n.Values[i])
		}
	}
	return &only
}

// Without is a mapping without a key.
func (n *Node) Without(key string) *Node {
	return n.Only(slices.DeleteFunc(slices.Clone(n.Keys), func(k string) bool { return k == key })...)
}
