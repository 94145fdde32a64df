// Package selection is the select transform: it computes new columns from those of its input.
// (A Go package cannot be named select.)
//
// The invariant to remember: rows stay what they are. Origin, selection and watermarks pass
// unchanged, so a row can still be traced to its record.
package selection

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/transforms"
)

// Config of the select transform.
type Config struct {
	// Columns of the rows that leave, in order: a list of columns of the input ("country"), SQL
	// expressions with names ("price * quantity AS total") and "*" for all columns of the input; or
	// names with their expressions (total: price * quantity).
	Columns Columns `yaml:"columns" required:"true"`
}

// Component is the select transform for the list of components.
func Component() transforms.Component {
	return transforms.Define("select", func() Config { return Config{} }, open)
}

// output is one column that leaves.
type output struct {
	expr *sql.Expr
	// source is the input column passed on as it is, -1 if expr computes the output.
	source int
	// needs are the input columns, or fields within them, that are read, and places where these are.
	needs  []string
	places [][]int
}

type selection struct {
	schema  *column.Schema
	outputs []output
	// columns is reused: a batch is not kept beyond the call it is passed to.
	columns []*column.Column
}

func open(c Config, in *column.Schema) (transforms.Transform, error) {
	s := &selection{schema: &column.Schema{}}
	var mistakes []error
	for i, column := range c.Columns {
		if err := s.add(column, in); err != nil {
			mistakes = append(mistakes, &config.PathError{Path: column.path(i), Err: err})
		}
	}
	if mistakes != nil {
		return nil, errors.Join(mistakes...)
	}
	s.columns = make([]*column.Column, len(s.outputs))
	return s, nil
}

func (s *selection) add(c Column, in *column.Schema) error {
	if c.Name == "" && c.Text == "*" {
		for i, f := range in.Fields {
			if err := s.append(f, output{source: i, needs: []string{f.Name}, places: [][]int{{i}}}); err != nil {
				return err
			}
		}
		return nil
	}
	expr, name := c.Text, c.Name
	if name == "" {
		var err error
		if expr, name, err = split(c.Text); err != nil {
			return fmt.Errorf("%q %w", c.Text, err)
		}
	}
	compiled, err := sql.CompileExpr(expr, in)
	if err != nil {
		return err
	}
	o := output{expr: compiled, source: in.Index(unquote(expr)), needs: compiled.Needs(), places: compiled.Reads()}
	return s.append(column.Field{Name: name, Type: compiled.Type()}, o)
}

func (s *selection) append(f column.Field, o output) error {
	if s.schema.Index(f.Name) >= 0 {
		return fmt.Errorf("column %q is there twice; name one of them differently with AS", f.Name)
	}
	s.schema.Fields = append(s.schema.Fields, f)
	s.outputs = append(s.outputs, o)
	return nil
}

func (s *selection) Schema() *column.Schema { return s.schema }

func (s *selection) Needs(wanted []string) []string {
	needs := []string{}
	for _, w := range wanted {
		i := s.schema.Index(column.Top(w))
		if i < 0 {
			continue
		}
		for _, need := range s.outputs[i].needs {
			if s.outputs[i].source >= 0 {
				// What is wanted of a column that is passed on is wanted of the input's.
				need += strings.TrimPrefix(w, column.Top(w))
			}
			if !slices.Contains(needs, need) {
				needs = append(needs, need)
			}
		}
	}
	return needs
}

func (s *selection) Apply(b *column.Batch) (*column.Batch, flow.Outcome, error) {
	for i, o := range s.outputs {
		var err error
		switch {
		case o.source >= 0:
			s.columns[i] = b.Columns[o.source]
		case o.absent(b):
			s.columns[i] = nil
		default:
			if s.columns[i], err = o.expr.Eval(b); err != nil {
				return nil, flow.Outcome{}, fmt.Errorf("column %s: %w", s.schema.Fields[i].Name, err)
			}
		}
	}
	out := *b
	out.Schema, out.Columns = s.schema, s.columns
	n := int64(b.Selected())
	return &out, flow.Outcome{Counts: flow.Counts{In: n, Passed: n}}, nil
}

// absent reports whether what o reads was not decoded, because nobody wants o.
func (o *output) absent(b *column.Batch) bool {
	for _, place := range o.places {
		c := b.Columns[place[0]]
		for _, i := range place[1:] {
			if c == nil {
				break
			}
			c = c.Children[i]
		}
		if c == nil || c.Unread {
			return true
		}
	}
	return false
}
