package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// NodeKind is what a Node is.
type NodeKind int

// The kinds. A Text is any value without parts: a string, a truth value or a number.
const (
	Null NodeKind = iota
	Text
	List
	Object
)

// Node is a value of a document before it is understood, with its place: the line and column, from 1, at which it
// begins. So mistakes have places whether the document is JSON or a part of a YAML file.
type Node struct {
	Kind NodeKind
	// Text of a Text.
	Text string
	// Items of a List.
	Items []Node
	// Fields of an Object, in their order.
	Fields       []Field
	Line, Column int
}

// Field is one of an Object. The place is its name's.
type Field struct {
	Name         string
	Value        Node
	Line, Column int
}

// maxDepth is how deep a document may be nested; Condition has the deepest part that means something.
const maxDepth = 8

// reader makes Nodes of JSON.
type reader struct {
	text string
	d    *json.Decoder
	// line and start are those of the line that at is in.
	at, line, start int
}

// read makes a Node of a JSON text.
func read(text string) (Node, error) {
	if len(text) > MaxDocument {
		return Node{}, &Problem{1, 1, fmt.Sprintf("the document has %d bytes, the most is %d", len(text), MaxDocument)}
	}
	if !utf8.ValidString(text) {
		return Node{}, &Problem{1, 1, "the document is not UTF-8"}
	}
	r := &reader{text: text, d: json.NewDecoder(strings.NewReader(text)), line: 1}
	r.d.UseNumber()
	n, err := r.node(0)
	if err != nil {
		return Node{}, err
	}
	r.place()
	if _, err := r.d.Token(); !errors.Is(err, io.EOF) {
		return Node{}, r.problem("there is something behind the document")
	}
	return n, nil
}

// place moves to where the next token begins.
func (r *reader) place() {
	to := int(r.d.InputOffset())
	for to < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[to]) >= 0 {
		to++
	}
	for ; r.at < to; r.at++ {
		if r.text[r.at] == '\n' {
			r.line, r.start = r.line+1, r.at+1
		}
	}
}

func (r *reader) column() int { return utf8.RuneCountInString(r.text[r.start:r.at]) + 1 }

func (r *reader) problem(text string) error { return &Problem{r.line, r.column(), text} }

func (r *reader) token() (json.Token, error) {
	r.place()
	t, err := r.d.Token()
	if err != nil {
		return nil, r.problem("this is not JSON: " + strings.TrimPrefix(err.Error(), "json: "))
	}
	return t, nil
}

func (r *reader) node(depth int) (n Node, err error) {
	t, err := r.token()
	if err != nil {
		return n, err
	}
	n.Line, n.Column = r.line, r.column()
	switch v := t.(type) {
	case nil:
		return n, nil
	case json.Delim:
		if depth == maxDepth {
			return n, r.problem("the document is nested too deep")
		}
		if v == '{' {
			n.Kind = Object
			return n, r.fields(&n, depth+1)
		}
		n.Kind = List
		for r.d.More() {
			item, err := r.node(depth + 1)
			if err != nil {
				return n, err
			}
			n.Items = append(n.Items, item)
		}
		_, err = r.token()
		return n, err
	}
	n.Kind, n.Text = Text, fmt.Sprint(t)
	return n, nil
}

func (r *reader) fields(n *Node, depth int) error {
	for r.d.More() {
		t, err := r.token()
		if err != nil {
			return err
		}
		f := Field{Line: r.line, Column: r.column()}
		f.Name, _ = t.(string) // the decoder accepts nothing else
		if f.Value, err = r.node(depth); err != nil {
			return err
		}
		n.Fields = append(n.Fields, f)
	}
	_, err := r.token()
	return err
}
