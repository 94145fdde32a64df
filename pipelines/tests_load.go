package pipelines

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/table"
)

// Test is rows with what must become of them; RunTest runs it.
type Test struct {
	Name string
	// Line of the test in the file.
	Line int
	// Start is the virtual time at which it begins.
	Start time.Time
	Input []TestInput
	// Tables are the contents of reference tables, as lines of JSON.
	Tables map[string]table.Content
	Expect []Expectation
	// Rejected are the rows that must be rejected.
	Rejected []ExpectedReject
	// Tolerance of floats, relative.
	Tolerance float64
	// Close says that the input ends, so that windows close.
	Close bool
	// queries are those that the expectations depend on.
	queries []string
}

// TestInput is records that come into a stream at one time.
type TestInput struct {
	Stream string
	// At is when, after Test.Start.
	At      time.Duration
	Records [][]byte
}

// Expectation is the rows of a query or transform, or those that reach a sink.
type Expectation struct {
	ID string
	// Chain gives the rows.
	Chain Chain
	Rows  []ExpectedRow
}

// ExpectedRow is the columns of a row that are compared.
type ExpectedRow struct {
	// Line of the row in the file.
	Line   int
	values map[string]any
}

// ExpectedReject is a row that is rejected; empty fields may be anything.
type ExpectedReject struct {
	Line                 int
	Step, Code, Contains string
}

// loadTests resolves the tests. It comes last, when all that they name is resolved.
func (l *loader) loadTests() {
	for i := range l.spec.Tests {
		e := &l.spec.Tests[i]
		l.checkID(e.Node, e.ID)
		t := &Test{Name: e.ID, Line: e.Node.KeyLine, Start: e.Value.Start, Tolerance: e.Value.Tolerance, Close: e.Value.Close}
		l.testInput(t, e)
		l.testTables(t, e)
		for _, x := range e.Value.Expect {
			l.expectation(t, x)
		}
		for k, x := range e.Value.Rejected {
			at, _ := e.Node.Find("rejected[" + strconv.Itoa(k) + "]")
			l.rejection(at, x)
			t.Rejected = append(t.Rejected, ExpectedReject{Line: at.Line, Step: x.Step, Code: x.Code, Contains: x.Contains})
		}
		l.missingTables(t, e.Node)
		l.tests = append(l.tests, t)
	}
}

// testTables reads the rows of reference tables.
func (l *loader) testTables(t *Test, e *config.Entry[testSpec]) {
	for _, x := range e.Value.Tables {
		n := l.nodes[x.ID]
		if n == nil || n.table == nil {
			var known []string
			for _, each := range l.tables {
				known = append(known, each.Name)
			}
			l.d.KeyErrorf(x.Node, "%s", config.Unknown("table", x.ID, "tables", known))
			continue
		}
		if n.table.broken {
			continue
		}
		schema := n.table.Spec.Schema
		content := table.Content{}
		for _, row := range x.Value {
			if row.Kind != config.Mapping {
				l.d.Errorf(row, "expected a row ({column: value})")
				continue
			}
			l.unknownFields(row, schema, "column")
			text := appendNode(nil, row, &column.Type{Kind: column.Struct, Fields: schema.Fields})
			if err := column.NewDecoder(schema, nil, column.Options{}).Add(text, 0, 0); err != nil {
				l.d.Errorf(row, "this is no row of the table: %v", err)
			}
			content = append(append(content, text...), '\n')
		}
		if t.Tables == nil {
			t.Tables = map[string]table.Content{}
		}
		t.Tables[x.ID] = content
	}
}

// missingTables reports tables that a test depends on and that it cannot get at.
func (l *loader) missingTables(t *Test, at *config.Node) {
	for _, name := range t.queries {
		q := l.nodes[name].query
		if q.Query.Query == nil {
			continue
		}
		for _, id := range q.Query.Query.Tables() {
			if _, ok := t.Tables[id]; !ok && l.nodes[id].table.Type != "file" {
				l.d.KeyErrorf(at, "query %q joins table %q, which is not in a file; give its rows: tables: {%s: [{column: value}]}", name, id, id)
			}
		}
	}
}

func (l *loader) testInput(t *Test, e *config.Entry[testSpec]) {
	var latest time.Time
	for i, x := range e.Value.Input {
		at, _ := e.Node.Find("input[" + strconv.Itoa(i) + "].stream")
		n := l.nodes[x.Stream]
		switch {
		case x.Stream == "":
			continue
		case n == nil:
			var streams []string
			for _, s := range l.streams {
				streams = append(streams, s.Name)
			}
			l.d.Errorf(at, "%s", config.Unknown("stream", x.Stream, "streams", streams))
			continue
		case n.stream == nil:
			l.d.Errorf(at, "%q is a %s; input comes into a stream", x.Stream, n.kind)
			continue
		}
		in := TestInput{Stream: x.Stream, At: x.At.Std()}
		for _, row := range x.Rows {
			record := l.testRecord(n.stream, row)
			in.Records = append(in.Records, record)
			if at := eventTime(&n.stream.Stream, record); at.After(latest) && at.Before(latestTestStart) {
				latest = at
			}
		}
		t.Input = append(t.Input, in)
	}
	if t.Start.IsZero() {
		t.Start = latest
	}
	if t.Start.IsZero() {
		t.Start = defaultTestStart
	}
}

// defaultTestStart is when a test without event times begins.
var defaultTestStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// latestTestStart bounds when a test begins: arrival times are nanoseconds, which end in 2262. An event
// behind it, such as a sentinel in the year 9999, lies in the far future as it would in a run.
var latestTestStart = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// testRecord is a row of input as a record.
func (l *loader) testRecord(s *stream, row *config.Node) []byte {
	if row.Kind == config.Scalar {
		return []byte(row.Text())
	}
	if row.Kind != config.Mapping {
		l.d.Errorf(row, "expected a row ({field: value}), or a text for a record as it is")
		return nil
	}
	if s.Schema == nil {
		return appendNode(nil, row, nil)
	}
	if !s.Rest && !s.Add {
		l.unknownFields(row, s.Schema, "field")
	}
	return appendNode(nil, row, &column.Type{Kind: column.Struct, Fields: s.Schema.Fields})
}

func (l *loader) unknownFields(row *config.Node, s *column.Schema, what string) {
	for i, key := range row.Keys {
		if s.Index(key) < 0 {
			l.d.KeyErrorf(row.Values[i], "%s", config.Unknown(what, key, what+"s", s.Names()))
		}
	}
}

// eventTime is that of a record, zero if it has none.
func eventTime(s *Stream, record []byte) time.Time {
	if s.EventTime == "" || s.Schema == nil {
		return time.Time{}
	}
	d := column.NewDecoder(s.Schema, []string{s.EventTime}, column.Options{})
	if err := d.Add(record, 0, 0); err != nil {
		return time.Time{}
	}
	b := d.Take(column.Origin{})
	c := b.Columns[s.Schema.Index(s.EventTime)]
	if c.IsNull(0) {
		return time.Time{}
	}
	return time.UnixMicro(c.Int64s[0]).UTC()
}

func (l *loader) expectation(t *Test, e config.Entry[rowsSpec]) {
	x := Expectation{ID: e.ID}
	n := l.nodes[e.ID]
	from := e.ID
	if n == nil || n.stream != nil {
		i := slices.IndexFunc(l.sinks, func(s *sink) bool { return s.Name == e.ID })
		switch {
		case i >= 0:
			from = l.sinks[i].From
			n = l.nodes[from]
		case n != nil:
			l.d.KeyErrorf(e.Node, "%q is a stream; expect the rows of a query, transform or sink", e.ID)
			return
		default:
			known := slices.DeleteFunc(slices.Clone(l.ids), func(id string) bool { return l.nodes[id].stream != nil })
			for _, s := range l.sinks {
				known = append(known, s.Name)
			}
			l.d.KeyErrorf(e.Node, "%s", config.Unknown("query, transform or sink", e.ID, "ids", known))
			return
		}
	}
	if n == nil || n.state != resolved || n.chain.Schema == nil {
		if n != nil && l.waits(n) {
			l.d.KeyErrorf(e.Node, "the schema of its stream is inferred by the first run; run the pipeline once, or write schema:")
		}
		return
	}
	x.Chain = n.chain
	for _, row := range e.Value {
		if r, ok := l.expectedRow(row, n.chain.Output()); ok {
			x.Rows = append(x.Rows, r)
		}
	}
	t.Expect = append(t.Expect, x)
	need := recorder{l: l}
	need.need(from)
	for _, q := range need.queries {
		if !slices.Contains(t.queries, q) {
			t.queries = append(t.queries, q)
		}
	}
}

// waits reports whether a node cannot be resolved because a schema is not known yet.
func (l *loader) waits(n *node) bool {
	need := recorder{l: l}
	need.need(n.id)
	return slices.ContainsFunc(need.streams, func(id string) bool { return l.nodes[id].stream.waits })
}

// expectedRow reads a row of an output's schema.
func (l *loader) expectedRow(row *config.Node, s *column.Schema) (ExpectedRow, bool) {
	r := ExpectedRow{Line: row.Line, values: map[string]any{}}
	if row.Kind != config.Mapping {
		l.d.Errorf(row, "expected a row ({column: value})")
		return r, false
	}
	before := l.d.ErrorCount()
	l.unknownFields(row, s, "column")
	for i, key := range row.Keys {
		at := s.Index(key)
		if at < 0 {
			continue
		}
		one := &column.Schema{Fields: s.Fields[at : at+1]}
		text := appendNode(append(strconv.AppendQuote([]byte("{"), key), ':'), row.Values[i], &s.Fields[at].Type)
		d := column.NewDecoder(one, nil, column.Options{})
		if err := d.Add(append(text, '}'), 0, 0); err != nil {
			l.d.Errorf(row.Values[i], "column %q is %s, and this is no such value", key, s.Fields[at].Type)
			continue
		}
		r.values[key] = decodeRow(column.AppendJSON(nil, d.Take(column.Origin{}), 0))[key]
	}
	return r, l.d.ErrorCount() == before
}

// rejection checks that a step can reject.
func (l *loader) rejection(at *config.Node, x testRejectSpec) {
	known := slices.Clone(l.ids)
	for _, s := range l.sinks {
		known = append(known, s.Name)
	}
	if x.Step != "" && !slices.Contains(known, x.Step) {
		l.d.Errorf(at.Get("step"), "%s", config.Unknown("step", x.Step, "steps", known))
	}
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// appendNode appends a value of the file as JSON of a type; nil is any type.
func appendNode(dst []byte, n *config.Node, t *column.Type) []byte {
	switch n.Kind {
	case config.Null:
		return append(dst, "null"...)
	case config.List:
		dst = append(dst, '[')
		for i, item := range n.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			var elem *column.Type
			if t != nil {
				elem = t.Elem
			}
			dst = appendNode(dst, item, elem)
		}
		return append(dst, ']')
	case config.Mapping:
		dst = append(dst, '{')
		for i, key := range n.Keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendText(dst, key), ':')
			dst = appendNode(dst, n.Values[i], fieldType(t, key))
		}
		return append(dst, '}')
	}
	if asWritten(n, t) {
		return append(dst, n.Text()...)
	}
	return appendText(dst, n.Text())
}

// fieldType is the type of an object's field, nil for any.
func fieldType(t *column.Type, name string) *column.Type {
	if t == nil {
		return nil
	}
	for i := range t.Fields {
		if t.Fields[i].Name == name {
			return &t.Fields[i].Type
		}
	}
	return nil
}

// asWritten reports whether a scalar goes into JSON without quotes. What a column has decides, so that
// nobody has to think of what YAML takes for a number.
func asWritten(n *config.Node, t *column.Type) bool {
	number := jsonNumber.MatchString(n.Text())
	word := n.Text() == "true" || n.Text() == "false"
	if t == nil {
		return !n.Quoted() && (number || word)
	}
	switch t.Kind {
	case column.JSON, column.List, column.Struct:
		return !n.Quoted() && (number || word)
	case column.Boolean:
		return word
	case column.Int, column.BigInt, column.Float, column.Double, column.Decimal, column.Timestamp:
		return number
	}
	return false
}

func appendText(dst []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		return append(dst, "null"...) // a text is always JSON
	}
	return append(dst, quoted...)
}
