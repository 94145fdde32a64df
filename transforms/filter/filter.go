// Package filter is the transform that lets through the rows for which a condition is true.
//
// The invariant to remember: a row whose condition is null is filtered, as in a WHERE clause.
package filter

import (
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/transforms"
)

// Config of the filter transform.
type Config struct {
	// Where is an SQL condition over the columns of the input. Rows pass for which it is true;
	// rows for which it is false or null do not.
	Where string `yaml:"where" required:"true"`
}

// Describe implements transforms.Describer.
func (c *Config) Describe() string { return "where " + c.Where }

// Component is the filter transform for the list of components.
func Component() transforms.Component {
	return transforms.Define("filter", func() Config { return Config{} }, open)
}

type filter struct {
	schema *column.Schema
	where  *sql.Predicate
	// kept is reused: a batch is not kept beyond the call it is passed to.
	kept []int32
}

func open(c Config, in *column.Schema) (transforms.Transform, error) {
	where, err := sql.CompilePredicate(c.Where, in)
	if err != nil {
		return nil, &config.PathError{Path: "where", Err: err}
	}
	return &filter{schema: in, where: where, kept: []int32{}}, nil
}

func (f *filter) Schema() *column.Schema { return f.schema }

func (f *filter) Needs(output []string) []string {
	needs := append([]string{}, output...)
	for _, need := range f.where.Needs() {
		if !slices.Contains(needs, need) {
			needs = append(needs, need)
		}
	}
	return needs
}

func (f *filter) Apply(b *column.Batch) (*column.Batch, flow.Outcome, error) {
	kept, err := f.where.Select(b, f.kept[:0])
	if err != nil {
		return nil, flow.Outcome{}, err
	}
	// kept is never nil: that would select every row.
	f.kept = kept
	in, passed := int64(b.Selected()), int64(len(kept))
	return b.With(kept), flow.Outcome{Counts: flow.Counts{In: in, Passed: passed, Filtered: in - passed}}, nil
}
