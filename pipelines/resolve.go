package pipelines

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sql"
)

// node is a stream, transform or query: what can be read from; or a table, which queries join.
type node struct {
	kind, id string
	at       *config.Node

	stream    *stream
	transform *transform
	query     *query
	table     *tableEntry

	state state
	// chain gives the node's rows, once state is resolved.
	chain   Chain
	readers int
}

type state uint8

const (
	unseen state = iota
	visiting
	resolved
	// broken nodes have a mistake that is reported; what reads from them is not blamed.
	broken
)

// declare adds a node to the one namespace of streams, transforms and queries.
func (l *loader) declare(n *node) {
	if n.kind != "stream" {
		l.checkID(n.at, n.id)
	}
	if first := l.nodes[n.id]; first != nil {
		l.d.KeyErrorf(n.at, "%q is the id of a %s in line %d too; streams, tables, transforms and queries share one namespace", n.id, first.kind, first.at.KeyLine)
		return
	}
	l.nodes[n.id] = n
	l.ids = append(l.ids, n.id)
}

func (l *loader) checkEventTime(s *stream) {
	at := s.at.Get("event_time")
	if at == nil {
		if w := s.at.Get("watermark"); w != nil {
			l.d.KeyErrorf(w, "a watermark needs event_time, the timestamp field it goes by")
		}
		return
	}
	if s.broken || s.waits || at.Kind != config.Scalar {
		return
	}
	if s.Schema == nil {
		l.d.Errorf(at, "event_time names a field, but the stream has no schema; add schema: {%s: timestamp}", s.EventTime)
		return
	}
	var names, timestamps []string
	for _, f := range s.Schema.Fields {
		names = append(names, f.Name)
		if f.Type.Kind == column.Timestamp {
			timestamps = append(timestamps, f.Name)
		}
	}
	switch i := s.Schema.Index(s.EventTime); {
	case i < 0:
		if len(timestamps) > 0 {
			names = timestamps
		}
		l.d.Errorf(at, "%s", config.Unknown("field", s.EventTime, "fields", names))
	case s.Schema.Fields[i].Type.Kind != column.Timestamp:
		l.d.Errorf(at, "field %q is %s; event_time needs a timestamp", s.EventTime, s.Schema.Fields[i].Type)
	default:
		return
	}
	s.broken = true
}

// resolveAll connects everything that has a from, a to or a FROM.
func (l *loader) resolveAll() {
	for _, s := range l.sources {
		l.resolveSource(s)
	}
	for _, id := range l.ids {
		l.resolve(l.nodes[id], nil)
	}
	for _, s := range l.sinks {
		l.resolveSink(s)
	}
}

func (l *loader) resolveSource(s *source) {
	if s.Component.AnyStream {
		for _, each := range l.streams {
			each.writers++
		}
	}
	at := s.at.Get("to")
	if at == nil || s.To == "" {
		return
	}
	if n := l.nodes[s.To]; n == nil {
		var streams []string
		for _, each := range l.streams {
			streams = append(streams, each.Name)
		}
		l.d.Errorf(at, "%s", config.Unknown("stream", s.To, "streams", streams))
	} else if n.stream == nil {
		l.d.Errorf(at, "%q is a %s; a source writes to a stream", s.To, n.kind)
	} else {
		n.stream.writers++
	}
}

// input finds what an entry reads from. A nil node means that there is nothing to go on with, and
// that the user knows why.
func (l *loader) input(at *config.Node, id string, path []*node) *node {
	if at == nil || id == "" {
		return nil
	}
	n := l.nodes[id]
	switch {
	case n == nil:
		l.d.Errorf(at, "%s", config.Unknown("input", id, "inputs", l.ids))
		return nil
	case n.table != nil:
		l.d.Errorf(at, "%q is a reference table, of which no rows come by themselves; join it in a query: FROM stream JOIN %s ON …", id, id)
		return nil
	}
	n.readers++
	if n.state == visiting {
		l.d.Errorf(at, "a cycle: %s", cycle(path, n))
		return nil
	}
	l.resolve(n, path)
	if n.state != resolved {
		return nil
	}
	if text := inserts(n); text != "" {
		l.d.Errorf(at, "%s", text)
		return nil
	}
	if n.chain.Schema == nil {
		l.d.Errorf(at, "stream %q has no schema, so its records have no columns to read; add schema: {field: type} to it", n.chain.Root)
		return nil
	}
	return n
}

// cycle spells the way from n back to n.
func cycle(path []*node, n *node) string {
	start := slices.Index(path, n)
	var ids []string
	for _, p := range path[start:] {
		ids = append(ids, p.id)
	}
	return strings.Join(append(ids, n.id), " reads ")
}

// resolve finds the chain of a node and of all that it reads from; path is how it was come to.
func (l *loader) resolve(n *node, path []*node) {
	if n.state != unseen {
		return
	}
	n.state = visiting
	path = append(slices.Clip(path), n)
	ok := false
	switch {
	case n.stream != nil:
		s := n.stream
		n.chain = Chain{Root: n.id, Schema: s.Schema, EventTime: s.EventTime, Delay: s.Watermark, Evolves: s.Evolves()}
		ok = !s.broken && !s.waits
	case n.table != nil:
		n.chain.Schema = n.table.Spec.Schema
		ok = !n.table.broken
	case n.transform != nil:
		ok = l.resolveTransform(n, path)
	default:
		ok = l.resolveQuery(n, path)
	}
	n.state = broken
	if ok {
		n.state = resolved
	}
}

func (l *loader) resolveTransform(n *node, path []*node) bool {
	t := n.transform
	in := l.input(t.at.Get("from"), t.From, path)
	if in == nil || !t.known {
		return false
	}
	t.In = in.chain.Output()
	opened, err := t.Component.Open(t.Config, t.In)
	if err != nil {
		l.explain(t.at, err)
		return false
	}
	t.opened, t.Out = opened, opened.Schema()
	n.chain = in.chain
	n.chain.Steps = append(slices.Clip(in.chain.Steps), &t.Transform)
	return true
}

func (l *loader) resolveQuery(n *node, path []*node) bool {
	q := n.query
	at := q.at.Get("sql")
	if at == nil || at.Kind != config.Scalar || q.spec.SQL == "" {
		return false
	}
	names, err := sql.Names(q.spec.SQL)
	q.inputs = names
	if err != nil {
		l.explain(at, err)
		return false
	}
	ok := true
	for _, name := range names {
		ok = l.queryInput(at, name, path) && ok
	}
	if !ok {
		return false
	}
	compiled, err := sql.CompileQuery(q.spec.SQL, func(name string) (sql.Input, bool) {
		in := l.nodes[name]
		if in == nil || in.state != resolved {
			return sql.Input{}, false
		}
		if in.table != nil {
			return sql.Input{Schema: in.chain.Schema, Table: true}, true
		}
		return sql.Input{Schema: in.chain.Output(), EventTime: in.chain.OutputEventTime()}, true
	})
	if err != nil {
		l.explain(at, err)
		return false
	}
	q.Text, q.Query.Query, q.Start = q.spec.SQL, compiled, Start(q.spec.Start)
	q.Shards, q.Watermark, q.Parallelism = q.spec.Shards, q.spec.Watermark.Std(), q.spec.Parallelism
	for _, name := range compiled.Inputs() {
		q.Chains = append(q.Chains, l.nodes[name].chain)
	}
	for _, name := range compiled.Tables() {
		l.nodes[name].table.Spec.Uses++
	}
	if late := compiled.Late(); late != nil && !l.resolveLate(q, at, late.Line, late.Column, late.Name) {
		return false
	}
	if compiled.Into() != nil && !l.resolveInto(q, at, compiled) {
		return false
	}
	n.chain = Chain{Root: n.id, Schema: compiled.Output(), EventTime: compiled.OutputEventTime(), Delay: q.Watermark}
	return true
}

// resolveInto finds the stream that a query inserts into, and gives its columns the names they have there.
func (l *loader) resolveInto(q *query, at *config.Node, compiled *sql.Query) bool {
	into := compiled.Into()
	n := l.nodes[into.Name]
	say := func(format string, args ...any) { l.d.TextErrorf(at, into.Line, into.Column, format, args...) }
	switch {
	case n == nil:
		say("%s", config.Unknown("stream", into.Name, "streams", l.streamNames()))
	case n.stream == nil:
		say("%q is a %s; INSERT INTO takes a stream", into.Name, n.kind)
	case n.stream.Schema == nil:
		say("stream %q has no schema to insert into; add schema: {field: type} to it", into.Name)
	case slices.ContainsFunc(q.Chains, func(c Chain) bool { return l.feeds(into.Name, c.Root, nil) }):
		say("what is inserted into %q comes back to this query; insert into a stream that it does not read", into.Name)
	default:
		if err := compiled.InsertInto(n.stream.Schema); err != nil {
			l.explain(at, err)
			return false
		}
		q.Into = into.Name
		n.stream.writers++
		return true
	}
	return false
}

func (l *loader) streamNames() []string {
	var names []string
	for _, each := range l.streams {
		names = append(names, each.Name)
	}
	return names
}

// reads reports whether the query reads a stream or another query, be it through transforms.
func (q *Query) reads(root string) bool {
	return slices.ContainsFunc(q.Chains, func(c Chain) bool { return c.Root == root })
}

// unlike is a stream whose records have other columns than those of the query's first, "" if there is none.
func (q *Query) unlike() string {
	first := q.Chains[0].Schema
	for _, c := range q.Chains[1:] {
		other := func(f column.Field) bool {
			i := c.Schema.Index(f.Name)
			return i < 0 || !c.Schema.Fields[i].Type.Equal(f.Type)
		}
		if len(c.Schema.Fields) != len(first.Fields) || slices.ContainsFunc(first.Fields, other) {
			return c.Root
		}
	}
	return ""
}

// feeds reports whether rows of a stream get into another one by way of queries that insert.
func (l *loader) feeds(from, to string, seen []string) bool {
	if from == to {
		return true
	}
	for _, q := range l.queries {
		if !q.reads(from) {
			continue
		}
		// A query that is read by others feeds what they insert into.
		if out := cmp.Or(q.Into, q.Name); !slices.Contains(seen, out) && l.feeds(out, to, append(seen, out)) {
			return true
		}
	}
	return false
}

// inserts tells that a query that inserts into a stream is not read itself.
func inserts(n *node) string {
	if n.query == nil || n.query.Into == "" {
		return ""
	}
	return fmt.Sprintf("the rows of query %q go to stream %q; read that", n.id, n.query.Into)
}

// resolveLate finds the stream that late rows of a query go to. They are records of the streams that
// the query reads in the end, so these must have the same columns.
func (l *loader) resolveLate(q *query, at *config.Node, line, column int, name string) bool {
	n := l.nodes[name]
	switch {
	case n == nil:
		var streams []string
		for _, each := range l.streams {
			streams = append(streams, each.Name)
		}
		l.d.TextErrorf(at, line, column, "%s", config.Unknown("stream", name, "streams", streams))
	case n.stream == nil:
		l.d.TextErrorf(at, line, column, "%q is a %s; late rows go to a stream", name, n.kind)
	case q.reads(name):
		l.d.TextErrorf(at, line, column, "the query reads %q itself; late rows go to a stream of their own", name)
	case q.unlike() != "":
		l.d.TextErrorf(at, line, column, "late rows are written as the records they came in, and those of %q and %q have different columns; leave LATE ROWS INTO out (they are dead letters then), or write a query for each",
			q.Chains[0].Root, q.unlike())
	default:
		q.Late = name
		n.stream.writers++
		return true
	}
	return false
}

// queryInput is input for a name within SQL.
func (l *loader) queryInput(at *config.Node, name string, path []*node) bool {
	line, column := nameInText(at.Text(), name)
	n := l.nodes[name]
	if n == nil {
		l.d.TextErrorf(at, line, column, "%s", config.Unknown("input", name, "inputs", l.ids))
		return false
	}
	n.readers++
	if n.state == visiting {
		l.d.TextErrorf(at, line, column, "a cycle: %s", cycle(path, n))
		return false
	}
	l.resolve(n, path)
	if n.state != resolved {
		return false
	}
	if text := inserts(n); text != "" {
		l.d.TextErrorf(at, line, column, "%s", text)
		return false
	}
	if n.chain.Schema == nil {
		l.d.TextErrorf(at, line, column, "stream %q has no schema, so its records have no columns to read; add schema: {field: type} to it", n.chain.Root)
		return false
	}
	return true
}

// nameInText is the line and column of a name as an input of a SELECT: behind FROM, JOIN or a comma,
// else wherever it first is.
func nameInText(text, name string) (line, column int) {
	word := "[`\"]?" + regexp.QuoteMeta(name) + `(?:[^\w-]|$)`
	for _, before := range []string{`(?is)\b(?:FROM|JOIN)\s+`, `(?is),\s*`, `(?is)(?:^|[^\w-])`} {
		re, err := regexp.Compile(before + "(" + word + ")")
		if err != nil {
			break
		}
		if m := re.FindStringSubmatchIndex(text); m != nil {
			head := text[:m[2]]
			start := strings.LastIndexByte(head, '\n') + 1
			return strings.Count(head, "\n") + 1, utf8.RuneCountInString(head[start:]) + 1
		}
	}
	return 1, 1
}

func (l *loader) resolveSink(s *sink) {
	in := l.input(s.at.Get("from"), s.From, nil)
	if in == nil || !s.known {
		return
	}
	s.Chain, s.Schema = in.chain, in.chain.Output()
	opened, err := s.Component.Open(s.Config, sinks.Env{
		Identity: flow.Identity{Pipeline: l.name, Name: s.Name},
		Schema:   s.Schema,
		Memory:   int64(l.spec.Memory),
		Log:      silent(),
		Now:      epoch,
		Stdout:   io.Discard,
	})
	if err != nil {
		l.explain(s.at, err)
		return
	}
	if err := opened.Close(); err != nil {
		l.explain(s.at, err)
	}
}

// explain reports what a component or the SQL compiler found, at the key and the place in its text
// that the error names. It takes errors apart that were joined.
func (l *loader) explain(at *config.Node, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, each := range joined.Unwrap() {
			l.explain(at, each)
		}
		return
	}
	var pe *config.PathError
	if errors.As(err, &pe) {
		if found, exact := at.Find(pe.Path); exact {
			l.explain(found, pe.Err)
			return
		}
		l.d.Problem(at, config.Problem{Path: pe.Path, Message: pe.Err.Error()})
		return
	}
	var se *sql.Error
	switch {
	case errors.As(err, &se) && at.Kind == config.Scalar:
		l.d.TextErrorf(at, se.Line, se.Column, "%s", se.Message)
	case errors.As(err, &se):
		l.d.KeyErrorf(at, "%s", se.Message)
	default:
		l.d.KeyErrorf(at, "%v", err)
	}
}

// silent and epoch stand in for the log and the clock while a component is opened to be checked.
func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }
func epoch() time.Time     { return time.Unix(0, 0).UTC() }
