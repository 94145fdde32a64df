package pipelines

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	streams "github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/table"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sources"
)

// TestResult is what a test found.
type TestResult struct {
	Name string `json:"name"`
	Line int    `json:"line"`
	OK   bool   `json:"ok"`
	// Seconds it took.
	Seconds float64 `json:"seconds"`
	// Error says why the pipeline failed.
	Error string `json:"error,omitempty"`
	// Outputs are those whose rows are not as expected.
	Outputs []OutputResult `json:"outputs,omitempty"`
	// NotRejected are lines of rejected rows that were not; Rejected are rows that were, unexpected.
	NotRejected []int             `json:"not_rejected,omitempty"`
	Rejected    []flow.DeadLetter `json:"rejected,omitempty"`
}

// OutputResult is the rows of a query, transform or sink that are not as expected.
type OutputResult struct {
	ID string `json:"id"`
	// Want and Got are how many rows were expected and came.
	Want        int          `json:"want"`
	Got         int          `json:"got"`
	Differences []Difference `json:"differences"`
}

// testTask begins the names of the tasks that stand in for sinks.
const testTask = "test."

// testTime is how long a test may take; time within it is virtual.
const testTime = time.Minute

// RunTest runs a test: the streams, transforms and queries that its expectations depend on, as they are
// but in memory and in virtual time, with its rows in place of the sources and nothing in place of the
// sinks. An error means that it could not be run.
func (p *Pipeline) RunTest(ctx context.Context, t *Test) (result TestResult, err error) {
	began := time.Now()
	dir, err := os.MkdirTemp("", "millrace-test-")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	d := newDirector(t)
	part, captures := p.underTest(t, d)
	if part.Tables, err = p.testedTables(t); err != nil {
		return TestResult{Name: t.Name, Line: t.Line, Error: err.Error()}, nil
	}
	r, err := Open(ctx, part, Options{
		Data: dir, FS: vfs.NewMem(), Stop: d.stop, Stdout: io.Discard, Log: slog.New(slog.DiscardHandler), Now: d.now,
	})
	if err != nil {
		return result, err
	}
	d.settled = r.settled
	failure := r.Wait(ctx)
	letters, err := r.letters(context.WithoutCancel(ctx))
	if err = errors.Join(err, r.Close()); err != nil {
		return result, err
	}
	result = TestResult{Name: t.Name, Line: t.Line}
	switch {
	case errors.Is(failure, context.DeadlineExceeded):
		result.Error = fmt.Sprintf("it did not end within %s", testTime)
	case ctx.Err() != nil:
		return result, ctx.Err()
	case failure != nil:
		result.Error = failure.Error()
	default:
		for i, e := range t.Expect {
			rows := captures[i].rows
			if different := e.differences(rows, t.Tolerance); len(different) > 0 {
				result.Outputs = append(result.Outputs, OutputResult{ID: e.ID, Want: len(e.Rows), Got: len(rows), Differences: different})
			}
		}
		result.NotRejected, result.Rejected = t.rejections(letters)
	}
	result.OK = result.Error == "" && len(result.Outputs)+len(result.NotRejected)+len(result.Rejected) == 0
	result.Seconds = time.Since(began).Seconds()
	return result, nil
}

// underTest is the part of the pipeline that a test needs.
func (p *Pipeline) underTest(t *Test, d *director) (*Pipeline, []*capture) {
	part := *p
	part.Sources, part.Transforms, part.Queries, part.Sinks = nil, nil, nil, nil
	for _, s := range p.Streams {
		if slices.ContainsFunc(t.Input, func(in TestInput) bool { return in.Stream == s.Name }) {
			name := "test-" + s.Name
			part.Sources = append(part.Sources, &Source{Name: name, To: s.Name, Component: sources.Component{
				Type: "test", Open: func(_ any, env sources.Env) (sources.Source, error) {
					return &testSource{director: d, stream: s.Name, pipeline: env.Pipeline}, nil
				},
			}})
		}
	}
	for _, q := range p.Queries {
		if slices.Contains(t.queries, q.Name) {
			part.Queries = append(part.Queries, q)
		}
	}
	var captures []*capture
	for _, e := range t.Expect {
		c := &capture{}
		captures = append(captures, c)
		// Ids have no dot, so this is no query's.
		name := testTask + e.ID
		part.Sinks = append(part.Sinks, &Sink{
			Name: name, From: e.ID, Chain: e.Chain, Parallelism: 1, Schema: e.Chain.Output(),
			Generation: "test", Component: sinks.Component{Type: "test", Open: func(any, sinks.Env) (sinks.Sink, error) { return c, nil }},
		})
	}
	return &part, captures
}

// testedTables are the tables with the rows of a test, or with those that their files have now.
func (p *Pipeline) testedTables(t *Test) ([]*Table, error) {
	var out []*Table
	for _, each := range p.Tables {
		given := *each
		content, ok := t.Tables[each.Name]
		switch {
		case ok:
			given.Spec.Format, given.Spec.Source = table.NDJSON, content
		case each.Type == "file" && p.joined(each.Name, t.queries):
			var all bytes.Buffer
			if _, err := each.Spec.Source.Fetch(context.Background(), "", &all); err != nil {
				return nil, fmt.Errorf("table %q: %w", each.Name, err)
			}
			content = all.Bytes()
		}
		if p.joined(each.Name, t.queries) {
			// A query would wait for a content that it can use.
			if _, err := table.Decode(&given.Spec, bytes.NewReader(content), int64(len(content))); err != nil {
				return nil, fmt.Errorf("table %q: %s: %w", each.Name, given.Spec.Source, err)
			}
		}
		given.Spec.Source = content
		out = append(out, &given)
	}
	return out, nil
}

// joined reports whether one of some queries joins a table.
func (p *Pipeline) joined(name string, queries []string) bool {
	return slices.ContainsFunc(p.Queries, func(q *Query) bool {
		return slices.Contains(queries, q.Name) && slices.Contains(q.Query.Tables(), name)
	})
}

// director says when each input comes, and what time it is.
type director struct {
	test *Test
	time atomic.Int64 // nanoseconds since the epoch
	// turns are closed when an input's turn has come; the last one when all have come.
	turns []chan struct{}
	// stop ends the pipeline without closing windows.
	stop chan struct{}
	// settled reports whether all that was written is read.
	settled func() bool
}

func newDirector(t *Test) *director {
	d := &director{test: t, turns: make([]chan struct{}, len(t.Input)+1), stop: make(chan struct{})}
	for i := range d.turns {
		d.turns[i] = make(chan struct{})
	}
	d.time.Store(t.Start.UnixNano())
	close(d.turns[0])
	return d
}

func (d *director) now() time.Time { return time.Unix(0, d.time.Load()).UTC() }

// settleEvery is how often it is looked at whether the tasks have read everything.
const settleEvery = time.Millisecond

// settle waits until all that was written is read.
func (d *director) settle(ctx context.Context) error {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for !d.settled() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// pass ends the turn of an input.
func (d *director) pass(ctx context.Context, i int) error {
	last := i == len(d.test.Input)-1
	if last && !d.test.Close || !last && d.test.Input[i+1].At > d.test.Input[i].At {
		if err := d.settle(ctx); err != nil {
			return err
		}
	}
	if last && !d.test.Close {
		close(d.stop)
	}
	close(d.turns[i+1])
	return nil
}

// testSource writes the inputs of one stream.
type testSource struct {
	director         *director
	stream, pipeline string
}

// Bounded is sources.Source.
func (s *testSource) Bounded() bool { return true }

// Run is sources.Source.
func (s *testSource) Run(ctx context.Context, w sources.Writer) error {
	d := s.director
	for i, in := range d.test.Input {
		if in.Stream != s.stream {
			continue
		}
		if err := await(ctx, d.turns[i]); err != nil {
			return nil //nolint:nilerr // it was stopped
		}
		d.time.Store(d.test.Start.Add(in.At).UnixNano())
		if err := s.write(ctx, w, i, in); err != nil {
			return err
		}
		if err := d.pass(ctx, i); err != nil {
			return nil //nolint:nilerr // it was stopped
		}
	}
	// All inputs end together: one that ended earlier would close windows.
	_ = await(ctx, d.turns[len(d.turns)-1])
	if !d.test.Close {
		// The pipeline is being stopped, and the input must not end before.
		<-ctx.Done()
	}
	return nil
}

func await(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *testSource) write(ctx context.Context, w sources.Writer, step int, in TestInput) error {
	if len(in.Records) == 0 {
		return nil
	}
	// Records of one key keep their order; which field is the key is a source's affair, so all have one.
	b := &record.Batch{Producer: record.Producer{ID: streams.ProducerID(s.pipeline, "test", s.stream), Epoch: 1}}
	for i, text := range in.Records {
		b.End = int64(step)<<32 | int64(i+1)
		b.Add([]byte(s.stream), text, b.End)
	}
	return w.Write(ctx, b)
}

// settled reports whether the tasks have read all there is to read.
func (r *Run) settled() bool {
	for _, t := range r.tasks {
		s := t.Status()
		if s.State == "starting" || len(s.Shards) == 0 {
			return false
		}
		for _, sh := range s.Shards {
			if sh.Lag > 0 {
				return false
			}
		}
	}
	return true
}

// letters are the dead letters of the run.
func (r *Run) letters(ctx context.Context) ([]flow.DeadLetter, error) {
	var out []flow.DeadLetter
	seen := map[letterID]bool{}
	s := r.feeds[internalName(r.pipeline.Name, deadLetters)].stream
	for _, sh := range s.Shards() {
		err := visitShard(ctx, s.Log(sh.ID), func(text []byte) error {
			var l flow.DeadLetter
			if err := json.Unmarshal(text, &l); err != nil {
				return err
			}
			if l.Base64 != nil {
				l.Data, l.Base64 = string(l.Base64), nil
			}
			l.Task = strings.TrimPrefix(l.Task, testTask)
			l.Step = strings.TrimPrefix(l.Step, testTask)
			// Every consumer behind a transform rejects what the transform rejects.
			key := letterID{l.Step, l.Code, l.Stream, l.Shard, l.Ordinal, l.Sub}
			if !seen[key] {
				seen[key] = true
				out = append(out, l)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// letterID tells rejected rows apart, whichever consumer rejected them.
type letterID struct {
	step, code, stream, shard string
	ordinal, sub              int64
}

// rejections compares what was rejected with what should have been.
func (t *Test) rejections(letters []flow.DeadLetter) (missing []int, unexpected []flow.DeadLetter) {
	left := slices.Clone(letters)
	for _, want := range t.Rejected {
		i := slices.IndexFunc(left, func(l flow.DeadLetter) bool {
			return l.Step == want.Step && (want.Code == "" || l.Code == want.Code) && strings.Contains(l.Data, want.Contains)
		})
		if i < 0 {
			missing = append(missing, want.Line)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	return missing, left
}

// capture stands in for a sink and keeps its rows.
type capture struct {
	// rows are those of published chunks, open those of the open one.
	rows, open [][]byte
}

func (c *capture) Guarantee() string                            { return "test" }
func (c *capture) Trigger() flow.Trigger                        { return flow.Trigger{} }
func (c *capture) Start(context.Context, json.RawMessage) error { return nil }
func (c *capture) Open() flow.Open                              { return flow.Open{Rows: int64(len(c.open))} }
func (c *capture) Put(context.Context, flow.Plan) error         { return nil }
func (c *capture) Close() error                                 { return nil }

func (c *capture) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	n := b.Selected()
	for i := range n {
		row := i
		if b.Selection != nil {
			row = int(b.Selection[i])
		}
		c.open = append(c.open, column.AppendJSON(nil, b, row))
	}
	return flow.Outcome{Counts: flow.Counts{In: int64(n), Passed: int64(n)}}, nil
}

func (c *capture) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	return flow.Plan{Cut: cut}, nil
}

func (c *capture) Published(flow.Plan) {
	c.rows = append(c.rows, c.open...)
	c.open = nil
}
