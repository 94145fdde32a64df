package pipelines

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/table"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/outline"
	"github.com/millrace-io/millrace/transforms"
)

// Explain is the plan of a sink, query or transform, or, with an empty id, of all sinks and of the
// queries that nothing reads: trees from there up to the sources.
func (p *Pipeline) Explain(id string) ([]*outline.Node, error) {
	if id != "" {
		e := explainer{p: p, seen: map[string]bool{}}
		if i := slices.IndexFunc(p.Sinks, func(s *Sink) bool { return s.Name == id }); i >= 0 && !p.readable(id) {
			return []*outline.Node{e.sink(p.Sinks[i])}, e.err
		}
		if !p.readable(id) {
			var known []string
			for _, q := range p.Queries {
				known = append(known, q.Name)
			}
			for _, t := range p.Transforms {
				known = append(known, t.Name)
			}
			for _, s := range p.Sinks {
				known = append(known, s.Name)
			}
			return nil, errors.New(config.Unknown("query, transform or sink", id, "ids", known))
		}
		return []*outline.Node{e.node(id)}, e.err
	}
	var trees []*outline.Node
	for _, s := range p.Sinks {
		e := explainer{p: p, seen: map[string]bool{}}
		trees = append(trees, e.sink(s))
		if e.err != nil {
			return nil, e.err
		}
	}
	for _, q := range p.Queries {
		if p.read(q.Name) {
			continue
		}
		e := explainer{p: p, seen: map[string]bool{}}
		trees = append(trees, e.node(q.Name))
		if e.err != nil {
			return nil, e.err
		}
	}
	return trees, nil
}

// readable reports whether an id is that of a stream, transform or query.
func (p *Pipeline) readable(id string) bool {
	return p.stream(id) != nil || slices.ContainsFunc(p.Transforms, func(t *Transform) bool { return t.Name == id }) ||
		slices.ContainsFunc(p.Queries, func(q *Query) bool { return q.Name == id })
}

// read reports whether a sink, transform or other query reads an id.
func (p *Pipeline) read(id string) bool {
	return slices.ContainsFunc(p.Sinks, func(s *Sink) bool { return s.From == id }) ||
		slices.ContainsFunc(p.Transforms, func(t *Transform) bool { return t.From == id }) ||
		slices.ContainsFunc(p.Queries, func(q *Query) bool {
			names, err := sql.Names(q.Text)
			return err == nil && slices.Contains(names, id)
		})
}

// explainer makes one tree.
type explainer struct {
	p *Pipeline
	// seen are the ids that are in the tree: what two steps read is shown once.
	seen map[string]bool
	err  error
}

// share is the memory of a sink or query, as Run gives it.
func (e *explainer) share() int64 { return (&Run{pipeline: e.p}).share() }

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func (e *explainer) sink(s *Sink) *outline.Node {
	n := &outline.Node{Kind: "sink", Name: s.Name, Text: "(" + s.Component.Type + ")", Columns: outline.Columns(s.Schema)}
	n.Detail("guarantee", "%s", e.p.Guarantee(s))
	e.start(n, s.Start)
	n.Detail("parallelism", "%d", s.Parallelism)
	n.Detail("memory", "%s", mebibytes(e.share()/int64(s.Parallelism)))
	n.Inputs = []*outline.Node{e.node(s.From)}
	return n
}

func (e *explainer) start(n *outline.Node, s Start) {
	switch {
	case s.Latest:
		n.Detail("start", "latest")
	case !s.Time.IsZero():
		n.Detail("start", "%s", s.Time.Format("2006-01-02T15:04:05Z07:00"))
	}
}

// node is a stream, transform or query.
func (e *explainer) node(id string) *outline.Node {
	again := e.seen[id]
	e.seen[id] = true
	for _, t := range e.p.Transforms {
		if t.Name == id {
			return e.transform(t, again)
		}
	}
	for _, q := range e.p.Queries {
		if q.Name == id {
			return e.query(q, again)
		}
	}
	return e.stream(id, again)
}

// shown marks a step that is in the tree already.
func shown(n *outline.Node) *outline.Node {
	n.Detail("see", "above")
	return n
}

func (e *explainer) transform(t *Transform, again bool) *outline.Node {
	n := &outline.Node{Kind: "transform", Name: t.Name, Text: "(" + t.Component.Type + ")"}
	if again {
		return shown(n)
	}
	if d, ok := t.Config.(transforms.Describer); ok {
		n.Text += " " + d.Describe()
	}
	n.Columns = outline.Columns(t.Out)
	n.Inputs = []*outline.Node{e.node(t.From)}
	return n
}

func (e *explainer) query(q *Query, again bool) *outline.Node {
	n := &outline.Node{Kind: "query", Name: q.Name}
	if again {
		return shown(n)
	}
	e.start(n, q.Start)
	n.Detail("parallelism", "%d", q.Parallelism)
	n.Detail("output", "stream with %d %s", q.Shards, plural(q.Shards, "shard"))
	if q.Query.Windowed() {
		n.Detail("rows leave", "when the watermark lets them, which is %s", q.watermarks())
	} else {
		n.Detail("rows leave", "as they come")
	}
	if at := q.Query.OutputEventTime(); at != "" {
		n.Detail("event time", "%s, watermark %s", at, config.Duration(q.Watermark))
	}
	plan, err := q.Query.Describe(q.Text, q.delay())
	if err != nil {
		e.err = fmt.Errorf("query %q: %w", q.Name, err)
		return n
	}
	n.State, plan.State = plan.State, nil
	if len(n.State) > 0 {
		n.Detail("memory", "%s", e.capacity(n.State))
	}
	e.connect(plan)
	n.Inputs = []*outline.Node{plan}
	return n
}

// delay is how far the slowest of the query's watermarks is behind.
func (q *Query) delay() time.Duration {
	longest := time.Duration(0)
	for i, c := range q.Chains {
		if !q.Query.ByArrival(i) {
			longest = max(longest, c.Delay)
		}
	}
	return longest
}

// watermarks says where the watermark of the query's input is.
func (q *Query) watermarks() string {
	switch {
	case len(q.Chains) == 1 && q.Query.ByArrival(0):
		return "at the latest arrival in the slowest shard"
	case len(q.Chains) == 1:
		return fmt.Sprintf("%s behind the latest event of the slowest shard", config.Duration(q.Chains[0].Delay))
	}
	var each []string
	for i, name := range q.Query.Inputs() {
		switch c := q.Chains[i]; {
		case q.Query.ByArrival(i):
			each = append(each, "at the latest arrival in "+name)
		case c.EventTime == "":
		default:
			each = append(each, fmt.Sprintf("%s behind the latest event in %s", config.Duration(c.Delay), name))
		}
	}
	return "that of the slowest shard: " + strings.Join(each, ", ")
}

// capacity says what a query's memory is enough for.
func (e *explainer) capacity(states []outline.State) string {
	each := int64(0)
	for _, s := range states {
		if s.Keyed {
			each += s.Bytes * max(s.Open, 1)
		}
	}
	share := e.share()
	if each == 0 {
		return mebibytes(share) + ", more is on disk"
	}
	return fmt.Sprintf("%s; about %s combinations of keys fit, more are on disk", mebibytes(share), humanize.Comma(rough(share/each)))
}

// rough is a number with two digits of its own.
func rough(n int64) int64 {
	unit := int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return (n + unit/2) / unit * unit
}

// connect replaces the inputs of a query's plan by what they are.
func (e *explainer) connect(n *outline.Node) {
	for i, in := range n.Inputs {
		if in.Kind == "input" {
			n.Inputs[i] = e.node(in.Name)
			continue
		}
		e.connect(in)
	}
}

func (e *explainer) stream(id string, again bool) *outline.Node {
	n := &outline.Node{Kind: "stream", Name: id}
	s := e.p.stream(id)
	if s == nil {
		return e.table(e.p.table(id), again)
	}
	if again {
		return shown(n)
	}
	n.Detail("shards", "%d", s.Shards)
	n.Detail("retention", "%s", config.Duration(s.Retention))
	if s.EventTime != "" {
		n.Detail("event time", "%s, watermark %s", s.EventTime, config.Duration(s.Watermark))
	}
	n.Columns = outline.Columns(s.Schema)
	for _, x := range e.p.Sources {
		if x.To == id || x.Component.AnyStream {
			n.Inputs = append(n.Inputs, &outline.Node{Kind: "source", Name: x.Name, Text: "(" + x.Component.Type + ")"})
		}
	}
	return n
}

// table is a reference table. A file is looked into.
func (e *explainer) table(t *Table, again bool) *outline.Node {
	n := &outline.Node{Kind: "table", Name: t.Name, Text: "(" + t.Type + ")"}
	if again {
		return shown(n)
	}
	s := t.Spec
	n.Detail("from", "%s, %s", s.Source, s.Format)
	if len(s.Key) > 0 {
		n.Detail("key", "%s", strings.Join(s.Key, ", "))
	}
	if s.Refresh > 0 {
		n.Detail("refresh", "every %s", config.Duration(s.Refresh))
	} else {
		n.Detail("refresh", "never")
	}
	n.Detail("memory", "%s at most, with the indexes of %d %s", mebibytes(s.Memory), s.Uses, map[bool]string{true: "query", false: "queries"}[s.Uses == 1])
	if t.Type == "file" {
		n.Detail("now", "%s", e.look(&s))
	} else {
		n.Detail("now", "millrace status shows version, rows and memory while the pipeline runs")
	}
	n.Columns = outline.Columns(s.Schema)
	return n
}

// look says what a table has now.
func (e *explainer) look(s *table.Spec) string {
	var content bytes.Buffer
	if _, err := s.Source.Fetch(context.Background(), "", &content); err != nil {
		return err.Error()
	}
	rows, err := table.Decode(s, bytes.NewReader(content.Bytes()), int64(content.Len()))
	if err != nil {
		return "it cannot be read: " + err.Error()
	}
	sum := sha256.Sum256(content.Bytes())
	return fmt.Sprintf("%d %s, %.1f KiB in memory, content %x", rows.Rows, plural(rows.Rows, "row"), float64(rows.Memory)/(1<<10), sum[:6])
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
