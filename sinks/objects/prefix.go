package objects

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// prefix is a prefix with Firehose's expressions, !{namespace:value}, taken apart.
type prefix []piece

// piece is one expression, or text.
type piece struct {
	kind pieceKind
	text string
	// pattern and zone are those of a timestamp.
	pattern pattern
	zone    *time.Location
	// key is the index in partition_by.
	key int
}

type pieceKind int

const (
	pieceText pieceKind = iota
	pieceTime
	pieceKey
	pieceRandom
	pieceErrorType
)

// maxPrefix is how many bytes a prefix may have, as written and evaluated (Firehose API).
const maxPrefix = 512

// prefixError is a mistake at a byte of the prefix, counted from 0.
type prefixError struct {
	at  int
	say string
}

func (e *prefixError) Error() string { return fmt.Sprintf("character %d: %s", e.at+1, e.say) }

// grammar is what the expressions of a prefix may refer to.
type grammar struct {
	// keys are the names in partition_by.
	keys []string
	// zone is that of timestamps.
	zone *time.Location
	// errors is set for the prefix of error objects, whose rows have no partition.
	errors bool
}

// parse takes a prefix apart. It ends with a slash afterwards, unless it is empty.
func (g grammar) parse(text string) (prefix, error) {
	if len(text) > maxPrefix {
		return nil, fmt.Errorf("%d bytes are too many; at most %d", len(text), maxPrefix)
	}
	if at := strings.IndexFunc(text, unicode.IsControl); at >= 0 {
		c, _ := utf8.DecodeRuneInString(text[at:])
		return nil, &prefixError{at, fmt.Sprintf("%U is a control character, which many tools cannot show or reach; remove it", c)}
	}
	var p prefix
	for at := 0; at < len(text); {
		n := strings.Index(text[at:], "!{")
		if n < 0 {
			p = append(p, piece{text: text[at:]})
			break
		}
		if n > 0 {
			p = append(p, piece{text: text[at : at+n]})
		}
		at += n
		end := closing(text[at:])
		if end < 0 {
			return nil, &prefixError{at, "the expression has no closing brace"}
		}
		x, err := g.expression(text[at+2 : at+end])
		if err != nil {
			err.at += at + 2
			return nil, err
		}
		p = append(p, x)
		at += end + 1
	}
	return p.tidy(), nil
}

// closing is where the expression that s begins with ends; a brace in quotes does not end it.
func closing(s string) int {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '\'':
			quoted = !quoted
		case s[i] == '}' && !quoted:
			return i
		}
	}
	return strings.IndexByte(s, '}')
}

func (g grammar) expression(text string) (piece, *prefixError) {
	namespace, value, ok := strings.Cut(text, ":")
	if !ok {
		return piece{}, &prefixError{0, fmt.Sprintf("!{%s} has no namespace; write for example !{timestamp:yyyy/MM/dd} or !{partitionKeyFromQuery:name}", text)}
	}
	var x piece
	var err *prefixError
	switch namespace {
	case "timestamp":
		x, err = g.timestamp(value)
	case "partitionKeyFromQuery":
		x, err = g.key(value)
	case "firehose":
		x, err = g.firehose(value)
	case "partitionKeyFromLambda":
		return x, &prefixError{0, "there is no Lambda to take keys from; use !{partitionKeyFromQuery:name} with an expression in partition_by"}
	default:
		return x, &prefixError{0, fmt.Sprintf("there is no namespace %q; timestamp, partitionKeyFromQuery and firehose are", namespace)}
	}
	if err != nil {
		err.at += len(namespace) + 1
	}
	return x, err
}

func (g grammar) timestamp(text string) (piece, *prefixError) {
	p, err := parsePattern(text)
	if err != nil {
		return piece{}, err
	}
	if len(p) == 0 {
		return piece{}, &prefixError{0, "the pattern is missing, for example yyyy/MM/dd/HH"}
	}
	return piece{kind: pieceTime, pattern: p, zone: g.zone}, nil
}

func (g grammar) key(name string) (piece, *prefixError) {
	if g.errors {
		return piece{}, &prefixError{0, "rejected rows have no partition; use it in prefix only"}
	}
	i := slices.Index(g.keys, name)
	if i >= 0 {
		return piece{kind: pieceKey, key: i}, nil
	}
	have := "partition_by is empty"
	if len(g.keys) > 0 {
		have = "partition_by has " + strings.Join(g.keys, ", ")
	}
	return piece{}, &prefixError{0, fmt.Sprintf("there is no partition key %q; %s: add a column, or an expression AS %s", name, have, name)}
}

func (g grammar) firehose(value string) (piece, *prefixError) {
	switch {
	case value == "random-string":
		return piece{kind: pieceRandom}, nil
	case value == "error-output-type" && g.errors:
		return piece{kind: pieceErrorType}, nil
	case value == "error-output-type":
		return piece{}, &prefixError{0, "error-output-type says why rows were rejected; use it in error_prefix only"}
	}
	return piece{}, &prefixError{0, fmt.Sprintf("there is no !{firehose:%s}; random-string and, in error_prefix, error-output-type are", value)}
}

// tidy drops slashes at the beginning and adds the one at the end.
func (p prefix) tidy() prefix {
	if len(p) > 0 && p[0].kind == pieceText {
		if p[0].text = strings.TrimLeft(p[0].text, "/"); p[0].text == "" {
			p = p[1:]
		}
	}
	n := len(p)
	switch {
	case n == 0:
	case p[n-1].kind != pieceText:
		p = append(p, piece{text: "/"})
	case !strings.HasSuffix(p[n-1].text, "/"):
		p[n-1].text += "/"
	}
	return p
}

// index is the first piece of a kind, -1 if there is none.
func (p prefix) index(kind pieceKind) int {
	return slices.IndexFunc(p, func(x piece) bool { return x.kind == kind })
}

// expressions reports whether p has any.
func (p prefix) expressions() bool {
	return slices.ContainsFunc(p, func(x piece) bool { return x.kind != pieceText })
}

// hasKey reports whether p names key i.
func (p prefix) hasKey(i int) bool {
	return slices.ContainsFunc(p, func(x piece) bool { return x.kind == pieceKey && x.key == i })
}

// values are what expressions stand for. All of them follow from the plan and the rows, so that a
// chunk that is redone has the same names.
type values struct {
	// time is the arrival of the oldest row of the object.
	time time.Time
	// keys are escaped.
	keys []string
	// seed names the object among all others; random strings are drawn from it.
	seed string
	// errorType is Firehose's word for why rows are in an error object.
	errorType string
}

// append evaluates p.
func (p prefix) append(dst []byte, v values) []byte {
	draws := 0
	for _, x := range p {
		switch x.kind {
		case pieceText:
			dst = append(dst, x.text...)
		case pieceTime:
			dst = x.pattern.append(dst, v.time.In(x.zone))
		case pieceKey:
			dst = append(dst, directory(v.keys[x.key])...)
		case pieceRandom:
			dst = appendRandom(dst, v.seed, draws)
			draws++
		case pieceErrorType:
			dst = append(dst, v.errorType...)
		}
	}
	return dst
}

// directory is an escaped value as a part of a path of its own. What would mean another directory,
// or none, is spelled differently.
func directory(value string) string {
	switch value {
	case "":
		return nullPartition
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	return value
}

// randomLength is that of Firehose's random strings.
const randomLength = 11

// appendRandom draws a string of letters and digits. The same object draws the same ones again.
func appendRandom(dst []byte, seed string, draw int) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", seed, draw))
	for _, b := range sum[:randomLength] {
		dst = append(dst, letters[int(b)%len(letters)])
	}
	return dst
}

// sampleNames are values to try a prefix with.
func sampleNames(keys []string) values {
	return values{time: time.Unix(0, 0), keys: slices.Repeat([]string{"value"}, len(keys)), errorType: "processing-failed"}
}

// check reports what is wrong with a prefix as a whole.
func (p prefix) check(g grammar) error {
	if g.errors && p.expressions() && p.index(pieceErrorType) < 0 {
		return errors.New("an error prefix with expressions must have !{firehose:error-output-type} (Firehose's rule), so that causes can be told apart")
	}
	path := string(p.append(nil, sampleNames(g.keys)))
	if path == "" {
		return nil
	}
	for _, s := range strings.Split(strings.TrimSuffix(path, "/"), "/") {
		switch s {
		case "":
			return fmt.Errorf("gives %q, with a directory without a name; remove a slash", path)
		case ".", "..":
			return fmt.Errorf("gives %q, with %q, which means another directory on disk; choose another name", path, s)
		}
	}
	return nil
}
