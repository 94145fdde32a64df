package infer

import (
	"bytes"
	"math"
	"strconv"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/jsonscan"
)

// node is what is known of the values of a field, of a list's elements or of the records. All of it
// is sums, so the order of the values is of no matter.
type node struct {
	rows int64
	// places sums where the field stood among the keys of its object.
	places int64

	nulls, bools, ints, doubles, texts, objects, lists int64
	// timestamps, dates and ids are texts that are written so.
	timestamps, dates, ids int64
	// long is set by an integer that a double has no room for, huge by a number that neither a
	// bigint nor a double holds.
	long, huge bool
	// crowded is set by an object with too many keys or nested too deep.
	crowded bool

	stats  stats
	fields map[string]*node
	elem   *node
}

// exact is the largest integer up to which a double holds every one.
const exact = 1 << 53

// add counts the value that b begins with, behind white space, and returns the index after it. b is
// valid JSON.
func (n *node) add(l *limits, b []byte, depth int) int {
	n.rows++
	i := jsonscan.Space(b, 0)
	switch b[i] {
	case '{':
		n.objects++
		return i + n.object(l, b[i:], depth)
	case '[':
		n.lists++
		return i + n.list(l, b[i:], depth)
	case '"':
		return i + n.text(b[i:])
	case 'n':
		n.nulls++
		return i + len("null")
	case 't', 'f':
		n.bools++
		end := i + len("true")
		if b[i] == 'f' {
			end++
		}
		n.stats.add(b[i:end], false)
		return end
	}
	return i + n.number(b[i:])
}

func (n *node) number(b []byte) int {
	end, integer, err := jsonscan.Number(b, 0)
	if err != nil {
		return len(b)
	}
	n.stats.add(b[:end], true)
	if !integer {
		n.doubles++
		if v, err := strconv.ParseFloat(string(b[:end]), 64); err != nil || math.IsInf(v, 0) {
			n.huge = true
		}
		return end
	}
	n.ints++
	switch v, err := strconv.ParseInt(string(b[:end]), 10, 64); {
	case err != nil:
		n.huge = true
	case v > exact || v < -exact:
		n.long = true
	}
	return end
}

func (n *node) text(b []byte) int {
	n.texts++
	end, _, err := jsonscan.String(b, 0)
	if err != nil {
		return len(b)
	}
	text, err := jsonscan.Text(nil, b[:end])
	if err != nil {
		return end
	}
	// A kind that one text ruled out is not looked for again.
	for _, k := range []struct {
		kind  column.Kind
		count *int64
	}{{column.Timestamp, &n.timestamps}, {column.Date, &n.dates}, {column.UUID, &n.ids}} {
		if *k.count == n.texts-1 && column.Reads(k.kind, text) {
			*k.count++
		}
	}
	n.stats.add(text, false)
	return end
}

func (n *node) list(l *limits, b []byte, depth int) int {
	if depth >= l.Depth {
		n.crowded = true
		return skip(b)
	}
	i := jsonscan.Space(b, 1)
	for b[i] != ']' {
		if n.elem == nil {
			n.elem = new(node)
			l.fields++
		}
		i = jsonscan.Space(b, i+n.elem.add(l, b[i:], depth+1))
		if b[i] == ',' {
			i = jsonscan.Space(b, i+1)
		}
	}
	return i + 1
}

func (n *node) object(l *limits, b []byte, depth int) int {
	if depth >= l.Depth || n.crowded {
		n.crowded = true
		return skip(b)
	}
	place := int64(0)
	return eachField(b, func(name string, value []byte) int {
		place++
		if n.crowded || name == "" || len(name) > maxName {
			return skip(value)
		}
		f := n.fields[name]
		if f == nil {
			if n.crowded = depth > 0 && len(n.fields) >= l.Keys; n.crowded {
				n.fields = nil
			}
			if n.crowded || l.fields > l.Fields {
				return skip(value)
			}
			if n.fields == nil {
				n.fields = make(map[string]*node)
			}
			f = new(node)
			n.fields[name] = f
			l.fields++
		}
		f.places += place
		return f.add(l, value, depth+1)
	})
}

// skip is the index after the value that b begins with, behind white space.
func skip(b []byte) int {
	end, err := jsonscan.Skip(b, jsonscan.Space(b, 0))
	if err != nil {
		return len(b)
	}
	return end
}

// eachField calls f with each name of the object that b begins with and the bytes from its value on,
// of which f returns the length; it returns the index after the object. b is valid JSON.
func eachField(b []byte, f func(name string, value []byte) int) int {
	i := jsonscan.Space(b, 1)
	for i < len(b) && b[i] == '"' {
		end, _, err := jsonscan.String(b, i)
		if err != nil {
			return len(b)
		}
		name, err := jsonscan.Text(nil, b[i:end])
		if err != nil {
			return len(b)
		}
		i = jsonscan.Space(b, jsonscan.Space(b, end)+1)
		i = jsonscan.Space(b, i+f(string(name), b[i:]))
		if i < len(b) && b[i] == ',' {
			i = jsonscan.Space(b, i+1)
		}
	}
	return i + 1
}

// uniqueKeys reports an object with the same key twice: the fields of a schema must not be.
func uniqueKeys(b []byte) error {
	_, err := duplicates(b)
	return err
}

func duplicates(b []byte) (end int, err error) {
	i := jsonscan.Space(b, 0)
	switch b[i] {
	case '{':
		seen := make(map[string]bool)
		end = i + eachField(b[i:], func(name string, value []byte) int {
			if seen[name] && err == nil {
				err = &column.RowError{Code: column.CodeDuplicate, Field: name, Message: "the field occurs twice"}
			}
			seen[name] = true
			n, inner := duplicates(value)
			if err == nil {
				err = inner
			}
			return n
		})
		return end, err
	case '[':
		j := jsonscan.Space(b, i+1)
		for b[j] != ']' {
			n, inner := duplicates(b[j:])
			if err == nil {
				err = inner
			}
			if j = jsonscan.Space(b, j+n); b[j] == ',' {
				j = jsonscan.Space(b, j+1)
			}
		}
		return j + 1, err
	}
	return skip(b), nil
}

// Values are the values of one field, gathered to see which type takes them all. The zero Values
// are none.
type Values struct {
	node   node
	limits limits
}

// Add takes a value in: valid JSON, which may have white space in front.
func (v *Values) Add(raw []byte) {
	if v.limits.Fields == 0 {
		v.limits.Limits = Limits{}.withDefaults()
	}
	if raw = bytes.TrimSpace(raw); len(raw) > 0 && v.limits.fields <= v.limits.Fields {
		v.node.add(&v.limits, raw, 1)
	}
}

// Len is how many values there are.
func (v *Values) Len() int64 { return v.node.rows }

// Type takes all the values; ok is false while they are null or empty.
func (v *Values) Type() (t column.Type, ok bool) {
	if v.limits.fields > v.limits.Fields {
		return column.Type{Kind: column.JSON}, true
	}
	return v.node.typ(MixedText)
}
