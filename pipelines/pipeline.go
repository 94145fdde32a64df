// Package pipelines turns a pipeline file into a running graph: spec.go says what a file may hold,
// load.go checks it and resolves it to a Pipeline, run.go runs that.
//
// The invariant to remember: a Pipeline that Load returned is whole. Every name is resolved, every
// expression compiled and every schema known, so that running it meets only the outside's mistakes.
package pipelines

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/api/users"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	streams "github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sources"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/transforms"
)

// Pipeline is a pipeline file, checked and resolved. Lists are in the order of the file. It prints no
// secrets, whatever way it is printed.
type Pipeline struct {
	// File is the path that Load was given.
	File string
	Name string
	// Memory is the budget of the process.
	Memory     config.Size
	Streams    []*Stream
	Sources    []*Source
	Tables     []*Table
	Transforms []*Transform
	Queries    []*Query
	Sinks      []*Sink
	Tests      []*Test
	// Users may send requests to those who serve the streams.
	Users []users.Fixed
	// Unknown are the streams whose schema is not known before a sample of their records; what reads
	// from them is not in the lists.
	Unknown []*Stream
	// Warnings are what is allowed but hardly meant.
	Warnings config.Errors

	reload reload
}

// Stream is a declared stream.
type Stream struct {
	Name      string
	Shards    int
	Retention time.Duration
	// Schema is nil for a stream of opaque records.
	Schema *column.Schema
	// Infer is nil when the file has the schema.
	Infer *Infer
	// Rest and Add say that unknown fields are kept, and become columns.
	Rest, Add bool
	// Version is that of a Schema that records decide on; its number is 0 until Resolve.
	Version versions.Version
	// UserRecords says that a record may be an aggregate of several rows.
	UserRecords bool
	// EventTime is the timestamp column that windows go by, empty for none.
	EventTime string
	// Watermark is how far the watermark stays behind the latest event of a shard.
	Watermark time.Duration
	// MaxDisk is in bytes; zero means no limit.
	MaxDisk int64
	// ExpireOnLag lets retention remove records that a consumer has not read yet.
	ExpireOnLag bool
	// Settings are the rest of what the file says about how records are stored.
	Settings streams.Settings
}

// Source writes to the stream To, which is empty when its clients name one.
type Source struct {
	Name      string
	Component sources.Component `json:"-"`
	// Config is what Component.Open takes.
	Config any `json:"-"`
	To     string

	// gathered is what it wrote and rejected while Resolve waited for a sample: the first run did that too.
	gathered SourceStatus
}

// Transform is a step that the chains of consumers share; each chain opens its own.
type Transform struct {
	Name      string
	Component transforms.Component `json:"-"`
	// Config is what Component.Open takes.
	Config any `json:"-"`
	From   string
	// In and Out are the schemas of the rows that come and go.
	In, Out *column.Schema

	// opened answers what the step needs; it never gets a row.
	opened transforms.Transform
}

// Query is a continuous SQL query. Its output is a stream of its own, with the query's
// name, unless it inserts into a declared one.
type Query struct {
	Name  string
	Text  string     `json:"-"`
	Query *sql.Query `json:"-"`
	// Chains are those of Query.Inputs.
	Chains []Chain
	Start  Start
	// Parallelism is how many shards are read at the same time.
	Parallelism int
	// Shards of the output.
	Shards int
	// Watermark is how far the watermark of the output stays behind its latest event.
	Watermark time.Duration
	// Into is the stream of INSERT INTO, which is the output then, or "".
	Into string
	// Late is the stream of LATE ROWS INTO, or "".
	Late string
	// Generation is a hash of what the query's rows depend on in the file.
	Generation string

	recorded recorded
}

// Sink delivers what its chain gives.
type Sink struct {
	Name      string
	Component sinks.Component `json:"-"`
	// Config is what Component.Open takes.
	Config any `json:"-"`
	// From is the stream, transform or query that the sink names.
	From  string
	Chain Chain
	Start Start
	// Parallelism is how many tasks share the shards of the stream.
	Parallelism int
	// Schema of the rows that arrive at the sink.
	Schema *column.Schema
	// Generation is a hash of what the sink's objects depend on in the file.
	Generation string

	recorded recorded
}

// Start is where a new consumer begins: at the earliest record unless one of the fields is set.
type Start struct {
	Latest bool
	// Time of arrival.
	Time time.Time
}

// Chain is the way of rows from a stream to a consumer.
type Chain struct {
	// Root is the stream read: a declared one, or a query, whose output is meant.
	Root string
	// Schema, EventTime and Delay are those of the root's rows.
	Schema    *column.Schema
	EventTime string
	Delay     time.Duration
	// Steps are the transforms on the way, the first one first.
	Steps []*Transform
	// Evolves says that Schema may change while the pipeline runs.
	Evolves bool
}

// With is the chain for rows of another schema of its root.
func (c Chain) With(in *column.Schema) (Chain, error) {
	c.Schema, c.Steps = in, slices.Clone(c.Steps)
	for i, t := range c.Steps {
		opened, err := t.Component.Open(t.Config, in)
		if err != nil {
			return c, fmt.Errorf("transform %q: %w", t.Name, err)
		}
		step := *t
		step.In, step.opened, step.Out = in, opened, opened.Schema()
		c.Steps[i], in = &step, step.Out
	}
	return c, nil
}

// Output is the schema of the rows that leave the chain.
func (c Chain) Output() *column.Schema {
	if len(c.Steps) > 0 {
		return c.Steps[len(c.Steps)-1].Out
	}
	return c.Schema
}

// OutputEventTime is the root's event time if it is still a column at the end, else empty.
func (c Chain) OutputEventTime() string {
	out := c.Output()
	if i := out.Index(c.EventTime); i >= 0 && out.Fields[i].Type.Kind == column.Timestamp {
		return c.EventTime
	}
	return ""
}

// Open makes the chain's transforms for one task.
func (c Chain) Open() ([]flow.Step, error) {
	var steps []flow.Step
	for _, t := range c.Steps {
		opened, err := t.Component.Open(t.Config, t.In)
		if err != nil {
			return nil, err
		}
		steps = append(steps, flow.Step{Name: t.Name, Transform: opened})
	}
	return steps, nil
}

// Needs is what is read of the root when something of the output is wanted: columns, or fields within them
// (column.Within), on both sides.
func (c Chain) Needs(output []string) []string {
	for i := len(c.Steps) - 1; i >= 0; i-- {
		output = c.Steps[i].opened.Needs(output)
	}
	return output
}

// The parts that hold a component's configuration print as their ids, whatever the verb: fmt would
// print texts in it that came from ${env:…} and are not marked as secrets.

// Format writes the source's id.
func (s Source) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "source "+s.Name) }

// Format writes the transform's id.
func (t Transform) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "transform "+t.Name) }

// Format writes the query's id.
func (q Query) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "query "+q.Name) }

// Format writes the sink's id.
func (s Sink) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sink "+s.Name) }
