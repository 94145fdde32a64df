// Package outline describes plans for people and programs: a tree of steps, the last one on top.
//
// The invariant to remember: an outline is text about a plan. Nothing is run from it.
package outline

import (
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
)

// Node is one step of a plan. Rows come from its inputs.
type Node struct {
	// Kind says what the step does: select, filter, aggregate, over, order, union, join, input; and in
	// a pipeline sink, query, transform, stream, source.
	Kind string `json:"kind"`
	// Name of an input or of a part of a pipeline.
	Name string `json:"name,omitempty"`
	// Text is the clause, or the type of a component.
	Text string `json:"text,omitempty"`
	// Details are the settings that matter, in the order to show them.
	Details []Detail `json:"details,omitempty"`
	// Columns that leave the step, if they are known there.
	Columns []Column `json:"columns,omitempty"`
	// State that is kept between rows, nil for none.
	State []State `json:"state,omitempty"`
	// Inputs are the steps that rows come from.
	Inputs []*Node `json:"inputs,omitempty"`
}

// Detail is one setting.
type Detail struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Column is one column with its type as pipeline files have it.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// State is what a step keeps.
type State struct {
	// What is kept once for each Of: "sums" for each "group and pane of 1m".
	What string `json:"what"`
	Of   string `json:"of"`
	// Bytes of one, roughly; texts are taken as 16 bytes.
	Bytes int64 `json:"bytes"`
	// Open is how many there are at a time for each combination of keys; 0 when the rows decide.
	Open int64 `json:"open,omitempty"`
	// Keyed is set if it is kept for each combination of keys.
	Keyed bool `json:"keyed,omitempty"`
	// Grows says what else makes it larger.
	Grows string `json:"grows,omitempty"`
}

// Detail appends a setting.
func (n *Node) Detail(name, format string, args ...any) {
	n.Details = append(n.Details, Detail{Name: name, Value: fmt.Sprintf(format, args...)})
}

// Columns are those of a schema.
func Columns(s *column.Schema) []Column {
	if s == nil {
		return nil
	}
	out := make([]Column, len(s.Fields))
	for i, f := range s.Fields {
		out[i] = Column{Name: f.Name, Type: f.Type.String()}
	}
	return out
}

// String is the tree as text. No line has control characters, whatever names and texts hold.
func (n *Node) String() string {
	var s strings.Builder
	n.write(&s, "", "")
	return s.String()
}

// write writes a step; first is in front of its first line, rest in front of the others.
func (n *Node) write(s *strings.Builder, first, rest string) {
	head := n.Kind
	for _, part := range []string{n.Name, n.Text} {
		if part != "" {
			head += " " + part
		}
	}
	fmt.Fprintf(s, "%s%s\n", first, plain(head))
	stem := "   "
	if len(n.Inputs) > 0 {
		stem = "│  "
	}
	for _, d := range n.Details {
		fmt.Fprintf(s, "%s%s%s: %s\n", rest, stem, d.Name, plain(d.Value))
	}
	if len(n.Columns) > 0 {
		texts := make([]string, len(n.Columns))
		for i, c := range n.Columns {
			texts[i] = c.Name + " " + c.Type
		}
		fmt.Fprintf(s, "%s%scolumns: %s\n", rest, stem, plain(strings.Join(texts, ", ")))
	}
	for _, x := range n.State {
		fmt.Fprintf(s, "%s%sstate: %s\n", rest, stem, plain(x.String()))
	}
	for i, in := range n.Inputs {
		if i < len(n.Inputs)-1 {
			in.write(s, rest+"├─ ", rest+"│  ")
		} else {
			in.write(s, rest+"└─ ", rest+"   ")
		}
	}
}

// String says it in one line.
func (s State) String() string {
	text := fmt.Sprintf("%s, about %d B for each %s", s.What, s.Bytes, s.Of)
	if s.Open > 0 {
		text += fmt.Sprintf(", of which up to %d are open at a time", s.Open)
		if s.Keyed {
			text += " for a combination of keys"
		}
	}
	if s.Grows != "" {
		text += "; " + s.Grows
	}
	return text
}

// plain is a text on one line.
func plain(text string) string { return strings.Join(strings.FieldsFunc(text, breaks), " ") }

func breaks(r rune) bool {
	return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029
}
