package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// AppendYAML appends a node as YAML that decodes to the same, with ${…} resolved, behind a key at a
// depth of indentation. Secrets are left out, unless a value is a single ${…}, which is written as that.
func (n *Node) AppendYAML(dst []byte, depth int) []byte {
	switch n.Kind {
	case Null:
		return append(dst, " null\n"...)
	case Scalar:
		return append(append(append(dst, ' '), n.literal()...), '\n')
	case List:
		if len(n.Items) == 0 {
			return append(dst, " []\n"...)
		}
		dst = append(dst, '\n')
		for _, item := range n.Items {
			dst = indent(dst, depth)
			dst = append(dst, '-')
			dst = item.AppendYAML(dst, depth+1)
		}
		return dst
	}
	at := len(dst)
	dst = append(dst, '\n')
	empty := true
	for i, key := range n.Keys {
		v := n.Values[i]
		if v.secret && !v.Reference() {
			continue
		}
		empty = false
		dst = indent(dst, depth)
		dst = append(append(dst, quoteKey(key)...), ':')
		dst = v.AppendYAML(dst, depth+1)
	}
	if empty {
		return append(dst[:at], " {}\n"...)
	}
	return dst
}

func indent(dst []byte, depth int) []byte { return append(dst, strings.Repeat("  ", depth)...) }

// Secret reports whether the value was decoded as a Secret.
func (n *Node) Secret() bool { return n.secret }

var oneReference = regexp.MustCompile(`^\$\{(env|file):[^{}]*\}$`)

// Reference reports whether a text is one ${…} and nothing else.
func (n *Node) Reference() bool { return n.Interpolated && oneReference.MatchString(n.raw) }

// plain are texts that mean the same without quotes wherever they stand.
var plain = regexp.MustCompile(`^[+-]?[A-Za-z0-9_./][A-Za-z0-9_./-]*$`)

// words are plain texts that YAML parsers take for something else than text.
var words = []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}

// literal is a scalar. Quotes are kept, for a number in quotes is a text.
func (n *Node) literal() string {
	if n.secret {
		return strconv.QuoteToASCII(n.raw)
	}
	if !n.quoted && plain.MatchString(n.text) && !strings.EqualFold(n.text, "null") {
		return n.text
	}
	return QuoteText(n.text)
}

// QuoteText is a text as a scalar of YAML in which nothing is resolved.
func QuoteText(text string) string {
	return strconv.QuoteToASCII(strings.ReplaceAll(text, "${", "$${"))
}

func quoteKey(key string) string {
	if plain.MatchString(key) && !slices.Contains(words, strings.ToLower(key)) {
		return key
	}
	return strconv.QuoteToASCII(key)
}
