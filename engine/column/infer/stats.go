package infer

import (
	"bytes"
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/millrace-io/millrace/engine/column"
)

// Column describes a field of the sample.
type Column struct {
	// Path is the field's name, dotted within objects and with [] for the elements of lists.
	Path string `json:"path"`
	// Type is as a pipeline file spells it, empty while it is unknown.
	Type string `json:"type,omitempty"`
	// Values are those seen; Nulls of Rows were null or missing.
	Rows   int64 `json:"rows"`
	Values int64 `json:"values"`
	Nulls  int64 `json:"nulls"`
	// Distinct values, exact up to a few dozen and estimated beyond.
	Distinct int64 `json:"distinct"`
	// Min and Max are of numbers if there are any, else of texts, which are cut short.
	Min      string   `json:"min,omitempty"`
	Max      string   `json:"max,omitempty"`
	Examples []string `json:"examples,omitempty"`
	// Kinds counts the values by what they are when they are of more than one kind.
	Kinds map[string]int64 `json:"kinds,omitempty"`
}

// Columns describes every field, those of nested objects behind their own.
func (s *Sample) Columns(m Mixed) []Column {
	var all []Column
	s.root.describe(m, "", s.root.rows, &all)
	return all
}

func (n *node) describe(m Mixed, path string, rows int64, all *[]Column) {
	if path != "" {
		c := Column{Path: path, Rows: rows, Values: n.rows - n.nulls, Nulls: rows - n.rows + n.nulls, Kinds: n.kinds()}
		if t, ok := n.typ(m); ok {
			c.Type = t.String()
		}
		n.stats.describe(&c)
		*all = append(*all, c)
		path += "."
	}
	for _, f := range n.ordered() {
		f.describe(m, path+f.name, n.objects, all)
	}
	if n.elem != nil {
		n.elem.describe(m, path[:max(len(path)-1, 0)]+"[]", n.elem.rows, all)
	}
}

// kinds counts values by kind, nil if all are of one.
func (n *node) kinds() map[string]int64 {
	counts := map[string]int64{}
	for name, count := range map[string]int64{
		"boolean": n.bools, "bigint": n.ints, "double": n.doubles, "string": n.texts, "object": n.objects, "list": n.lists,
	} {
		if count > 0 {
			counts[name] = count
		}
	}
	if len(counts) < 2 {
		return nil
	}
	return counts
}

const (
	// sketchSize is how many of the smallest hashes are kept: the estimate is within an eighth or so.
	sketchSize = 64
	examples   = 5
	// shown is how many bytes of a text are kept.
	shown = 48
)

// stats are statistics of scalars. The smallest hashes are a random choice of the distinct values
// that does not depend on their order.
type stats struct {
	smallest []hashed
	low      bound
	high     bound
}

type hashed struct {
	hash uint64
	text string
}

// bound is a smallest or largest value. Numbers come before texts.
type bound struct {
	set    bool
	number bool
	value  float64
	text   string
}

func (s *stats) add(text []byte, number bool) {
	b := bound{set: true, number: number, text: cut(text)}
	if number {
		b.value, _ = strconv.ParseFloat(string(text), 64)
	}
	s.low, s.high = s.low.pick(b, -1), s.high.pick(b, 1)
	h := fnv.New64a()
	_, _ = h.Write(text)
	s.keep(mix(h.Sum64()), text)
}

// mix spreads the hash over all bits (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func (s *stats) keep(hash uint64, text []byte) {
	i, found := slices.BinarySearchFunc(s.smallest, hash, func(a hashed, b uint64) int { return cmp.Compare(a.hash, b) })
	if found || i == sketchSize {
		return
	}
	x := hashed{hash: hash}
	if i < examples {
		x.text = cut(text)
	}
	s.smallest = slices.Insert(s.smallest, i, x)
	if len(s.smallest) > examples {
		s.smallest[examples].text = ""
	}
	if len(s.smallest) > sketchSize {
		s.smallest = s.smallest[:sketchSize]
	}
}

// cut is the beginning of a text, valid UTF-8.
func cut(text []byte) string {
	if len(text) <= shown {
		return string(text)
	}
	return string(bytes.ToValidUTF8(text[:shown], nil)) + "…"
}

// pick is b if it lies further in the direction of sign, else a.
func (a bound) pick(b bound, sign int) bound {
	switch {
	case !a.set, b.number && !a.number:
		return b
	case a.number && !b.number:
		return a
	}
	if sign*cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(b.text, a.text)) > 0 {
		return b
	}
	return a
}

func (s *stats) describe(c *Column) {
	c.Min, c.Max = s.low.text, s.high.text
	c.Distinct = int64(len(s.smallest))
	if len(s.smallest) == sketchSize {
		last := float64(s.smallest[sketchSize-1].hash) / (1 << 64)
		c.Distinct = min(int64((sketchSize-1)/last), c.Values)
	}
	for _, x := range s.smallest[:min(examples, len(s.smallest))] {
		c.Examples = append(c.Examples, x.text)
	}
}

// Conflict is a field whose values are of kinds that have none in common.
type Conflict struct {
	Path string `json:"path"`
	// Type is what takes them all.
	Type  string           `json:"type"`
	Kinds map[string]int64 `json:"kinds"`
}

// Conflicts are the columns that became string or json because their values differ in kind.
func Conflicts(columns []Column) []Conflict {
	var all []Conflict
	for _, c := range columns {
		if len(c.Kinds) > 1 && (c.Type == column.String.String() || c.Type == column.JSON.String()) {
			all = append(all, Conflict{Path: c.Path, Type: c.Type, Kinds: c.Kinds})
		}
	}
	return all
}
