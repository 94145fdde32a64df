package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a data directory with one stream of two shards, and a destination that outlives tasks.
type world struct {
	t       *testing.T
	backend *disk.Backend
	in      *stream.Stream
	dead    *stream.Stream
	ended   chan struct{}
	stop    chan struct{}
	dest    map[string][]string
	breaks  breaks
}

// breaks makes the nth effect fail, before or after it happened, as a crash would.
type breaks struct {
	at    int
	after bool
	seen  int
}

var errCrash = errors.New("crash")

// effect runs something that a crash may hit.
func (b *breaks) effect(do func() error) error {
	b.seen++
	if b.seen != b.at {
		return do()
	}
	if b.after {
		if err := do(); err != nil {
			return err
		}
	}
	return flow.Permanent(errCrash)
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, ended: make(chan struct{}), stop: make(chan struct{}), dest: map[string][]string{}}
	b, err := disk.Open(vfs.OS{}, t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.backend = b
	open := func(name string, shards int) *stream.Stream {
		s, err := stream.Open(t.Context(), b, stream.Spec{Name: name, Shards: shards})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	w.in, w.dead = open("clicks", 2), open("p.dead-letters", 1)
	t.Cleanup(func() {
		for _, err := range []error{w.in.Close(), w.dead.Close(), b.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return w
}

// write stores one record a line; the key is the line.
func (w *world) write(lines ...string) {
	w.t.Helper()
	var b record.Batch
	for _, l := range lines {
		b.Add([]byte(l), []byte(l), 0)
	}
	if err := w.in.Write(w.t.Context(), &b); err != nil {
		w.t.Fatal(err)
	}
}

var schema = &column.Schema{Fields: []column.Field{
	{Name: "at", Type: column.Type{Kind: column.Timestamp}},
	{Name: "n", Type: column.Type{Kind: column.BigInt}},
	{Name: "password", Type: column.Type{Kind: column.String}},
}}

func (w *world) config(p flow.Processor) flow.Config {
	c := flow.Config{
		Identity: flow.Identity{Pipeline: "p", Name: "lake", Incarnation: w.in.Incarnation()},
		Kind:     "sink",
		Type:     "test",
		Feeds: []flow.Feed{{
			Input: flow.Input{
				Name: "clicks", Updated: w.in.Updated, Ended: w.ended, Schema: schema, EventTime: "at",
				Shards: w.shards,
			},
			Needs: schema.Names(),
			Start: func() (map[record.ShardID]record.Ordinal, error) {
				return map[record.ShardID]record.Ordinal{0: 0, 1: 0}, nil
			},
		}},
		Processor: p,
		Trigger:   flow.Trigger{Rows: 5},
		Meta:      breakingMeta{w.backend.Meta(), w.breaks.effect},
		DeadLetters: &flow.DeadLetters{Pipeline: "p", Write: func(ctx context.Context, b *record.Batch) error {
			return w.breaks.effect(func() error { return w.dead.Write(ctx, b) })
		}},
		Stop: w.stop,
		Now:  time.Now,
		Log:  slog.New(slog.DiscardHandler),
	}
	return c
}

func (w *world) shards() []flow.Shard {
	var shards []flow.Shard
	for _, sh := range w.in.Shards() {
		shards = append(shards, flow.Shard{ID: sh.ID, Parents: sh.Parents, Keys: sh.Range, Log: w.in.Log(sh.ID)})
	}
	return shards
}

// delivered is every row at the destination, sorted.
func (w *world) delivered() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for _, rows := range w.dest {
			for _, r := range rows {
				if !yield(r) {
					return
				}
			}
		}
	})
}

func (w *world) deadLetters() []flow.DeadLetter {
	w.t.Helper()
	var letters []flow.DeadLetter
	var buf stream.Buffer
	frames, err := w.dead.Log(0).Read(w.t.Context(), 0, &buf)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range frames {
		body := f.Body
		for range f.Count {
			var r record.Record
			if r, body, err = record.Next(body); err != nil {
				w.t.Fatal(err)
			}
			var l flow.DeadLetter
			if err := json.Unmarshal(r.Data, &l); err != nil {
				w.t.Fatal(err)
			}
			letters = append(letters, l)
		}
	}
	return letters
}

// breakingMeta is a process's way to the documents, which may crash around each change.
type breakingMeta struct {
	stream.Meta
	effect func(do func() error) error
}

func (m breakingMeta) Delete(ctx context.Context, key string, revision uint64) error {
	return m.effect(func() error { return m.Meta.Delete(ctx, key, revision) })
}

func (m breakingMeta) CAS(ctx context.Context, key string, value []byte, revision uint64) (next uint64, err error) {
	err = m.effect(func() error {
		next, err = m.Meta.CAS(ctx, key, value, revision)
		return err
	})
	return next, err
}

// sink creates an object a chunk in the world's destination, if it is absent.
type sink struct {
	w    *world
	rows []string
}

func (s *sink) Start(context.Context, json.RawMessage) error { s.rows = nil; return nil }

func (s *sink) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	var text []byte
	n := 0
	for i := range b.Rows {
		if b.Selection != nil && !slices.Contains(b.Selection, int32(i)) {
			continue
		}
		text = column.AppendJSON(text[:0], b, i)
		s.rows = append(s.rows, string(text))
		n++
	}
	return flow.Outcome{Counts: flow.Counts{Passed: int64(n)}}, nil
}

func (s *sink) Open() flow.Open { return flow.Open{Rows: int64(len(s.rows))} }

func (s *sink) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	plan := flow.Plan{Cut: cut}
	if len(s.rows) > 0 {
		sorted := slices.Sorted(slices.Values(s.rows))
		plan.Objects = []flow.Object{{Key: fmt.Sprint("chunk-", cut.Chunk), Rows: int64(len(sorted)), Hash: strings.Join(sorted, ",")}}
	}
	return plan, nil
}

func (s *sink) Put(_ context.Context, plan flow.Plan) error {
	return s.w.breaks.effect(func() error {
		for _, o := range plan.Objects {
			if old, ok := s.w.dest[o.Key]; ok && !slices.Equal(slices.Sorted(slices.Values(old)), slices.Sorted(slices.Values(s.rows))) {
				return flow.Permanent(fmt.Errorf("%s exists with other rows", o.Key))
			}
			s.w.dest[o.Key] = slices.Clone(s.rows)
		}
		return nil
	})
}

func (s *sink) Published(flow.Plan) { s.rows = nil }
func (s *sink) Close() error        { return nil }

func row(n int) string { return fmt.Sprintf(`{"at":"2026-01-01T00:00:%02dZ","n":%d}`, n%60, n) }

func wantRows(n int) []string {
	var rows []string
	for i := range n {
		rows = append(rows, fmt.Sprintf(`{"at":"2026-01-01T00:00:%02dZ","n":%d,"password":null}`, i%60, i))
	}
	slices.Sort(rows)
	return rows
}

func TestEachRowArrivesOnceWhereverACrashHits(t *testing.T) {
	const rows = 23
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			w := newWorld(t)
			for i := range rows {
				w.write(row(i))
				if i%7 == 0 {
					w.write(fmt.Sprintf("broken %d", i))
				}
			}
			close(w.ended)
			w.breaks = breaks{at: at, after: after}
			err := flow.NewTask(w.config(&sink{w: w})).Run(t.Context())
			crashed := w.breaks.seen >= at
			if crashed != errors.Is(err, errCrash) {
				t.Fatalf("crash %d: run returned %v", at, err)
			}
			w.breaks = breaks{}
			again := flow.NewTask(w.config(&sink{w: w}))
			if err := again.Run(t.Context()); err != nil {
				t.Fatalf("crash %d (after its effect: %t): the next run: %v", at, after, err)
			}
			if got := w.delivered(); !slices.Equal(got, wantRows(rows)) {
				t.Fatalf("crash %d (after its effect: %t): delivered %d rows, want %d:\n%s", at, after, len(got), rows, strings.Join(got, "\n"))
			}
			if got := w.deadLetters(); len(got) != 4 {
				t.Fatalf("crash %d (after its effect: %t): %d dead letters, want 4: %+v", at, after, len(got), got)
			}
			first := again.Status().Steps[0].Counts
			if want := (checkpoint.Counts{In: rows + 4, Passed: rows, Bad: 4}); first != want {
				t.Fatalf("crash %d: ledger %+v, want %+v", at, first, want)
			}
			if !crashed {
				break
			}
		}
	}
}

func TestDeadLetterNamesWhereItCameFrom(t *testing.T) {
	w := newWorld(t)
	w.write("{", row(1), `{"at":"2126-01-01T00:00:00Z","n":2}`)
	close(w.ended)
	if err := flow.NewTask(w.config(&sink{w: w})).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]flow.DeadLetter{}
	for _, l := range w.deadLetters() {
		if l.Shard == "" || l.Arrival == 0 || l.Reason == "" {
			t.Errorf("a dead letter without identity or reason: %+v", l)
		}
		l.Shard, l.Arrival, l.Reason, l.Ordinal = "", 0, "", 0
		got[l.Data] = l
	}
	want := map[string]flow.DeadLetter{
		"{":                                   {Pipeline: "p", Step: "clicks", Stream: "clicks", Code: "parse-error", Data: "{"},
		`{"at":"2126-01-01T00:00:00Z","n":2}`: {Pipeline: "p", Step: "clicks", Stream: "clicks", Code: "far-future", Data: `{"at":"2126-01-01T00:00:00Z","n":2}`},
	}
	if !maps.EqualFunc(got, want, func(a, b flow.DeadLetter) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }) {
		t.Errorf("dead letters:\n%+v\nwant\n%+v", got, want)
	}
}

func TestUnreachableDestinationIsRetriedAndReported(t *testing.T) {
	w := newWorld(t)
	w.write(row(0))
	close(w.ended)
	s := &flaky{sink: sink{w: w}, failures: 2, tried: make(chan struct{}), reachable: make(chan struct{})}
	task := flow.NewTask(w.config(s))
	done := make(chan error)
	go func() { done <- task.Run(t.Context()) }()
	<-s.tried
	if st := task.Status(); st.State != "retrying" || !strings.Contains(st.Error, "unreachable") {
		t.Errorf("while it fails: state %q, error %q", st.State, st.Error)
	}
	close(s.reachable)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if st := task.Status(); st.State != "done" || st.Error != "" {
		t.Errorf("at the end: state %q, error %q", st.State, st.Error)
	}
	if got := w.delivered(); !slices.Equal(got, wantRows(1)) {
		t.Errorf("delivered %q", got)
	}
}

func TestFullDiskDelaysCheckpointsAndEndsNothing(t *testing.T) {
	w := newWorld(t)
	for i := range 11 {
		w.write(row(i))
	}
	w.write("broken")
	close(w.ended)
	c := w.config(&sink{w: w})
	meta := &fullMeta{Meta: w.backend.Meta(), free: 1}
	c.Meta = meta
	task := flow.NewTask(c)
	if err := task.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if meta.refused < 4 {
		t.Errorf("%d commits met a full disk", meta.refused)
	}
	if st := task.Status(); st.State != "done" || st.Error != "" {
		t.Errorf("at the end: state %q, error %q", st.State, st.Error)
	}
	if got := w.delivered(); !slices.Equal(got, wantRows(11)) {
		t.Errorf("delivered %q", got)
	}
	if got := w.deadLetters(); len(got) != 1 {
		t.Errorf("%d dead letters", len(got))
	}
}

// fullMeta refuses each change of a document twice, as a disk does that is full for a while. The
// first ones are free.
type fullMeta struct {
	stream.Meta
	free, tries, refused int
}

func (m *fullMeta) CAS(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if m.free > 0 {
		m.free--
		return m.Meta.CAS(ctx, key, value, revision)
	}
	if m.tries++; m.tries%3 != 0 {
		m.refused++
		return 0, fmt.Errorf("write document %s: %w", key, syscall.ENOSPC)
	}
	return m.Meta.CAS(ctx, key, value, revision)
}

// flaky fails at first; the attempt after that is told of, and waits until the destination is reachable.
type flaky struct {
	sink
	failures         int
	tried, reachable chan struct{}
}

func (f *flaky) Put(ctx context.Context, plan flow.Plan) error {
	if f.failures > 0 {
		f.failures--
		return errors.New("store is unreachable")
	}
	f.tried <- struct{}{}
	<-f.reachable
	return f.sink.Put(ctx, plan)
}

func TestStopDeliversWhatWasRead(t *testing.T) {
	w := newWorld(t)
	w.write(row(0), row(1))
	c := w.config(&sink{w: w})
	c.Trigger = flow.Trigger{}
	task := flow.NewTask(c)
	done := make(chan error)
	go func() { done <- task.Run(t.Context()) }()
	for task.Status().Steps[0].In < 2 {
		<-time.After(time.Millisecond)
	}
	close(w.stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if task.Drained() {
		t.Error("a stopped task claims that its input had ended")
	}
	if got := w.delivered(); !slices.Equal(got, wantRows(2)) {
		t.Errorf("delivered %q", got)
	}
}

func TestStopDoesNotWaitForAHungDestination(t *testing.T) {
	w := newWorld(t)
	w.write(row(0))
	close(w.ended)
	h := &hung{sink: sink{w: w}, called: make(chan struct{})}
	c := w.config(h)
	c.Grace = 10 * time.Millisecond
	done := make(chan error)
	go func() { done <- flow.NewTask(c).Run(t.Context()) }()
	<-h.called
	close(w.stop)
	if err := <-done; err != nil {
		t.Errorf("a stopped task whose destination hangs: %v", err)
	}
	w.stop = make(chan struct{})
	if err := flow.NewTask(w.config(&sink{w: w})).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.delivered(); !slices.Equal(got, wantRows(1)) {
		t.Errorf("the next run delivered %q", got)
	}
}

// hung never answers.
type hung struct {
	sink
	called chan struct{}
}

func (h *hung) Put(ctx context.Context, _ flow.Plan) error {
	close(h.called)
	<-ctx.Done()
	return ctx.Err()
}

func TestConsumersOfAStreamKeepABrokenRecordOnce(t *testing.T) {
	w := newWorld(t)
	w.write("{", row(1), `{"n":"not a number"}`)
	close(w.ended)
	for _, name := range []string{"lake", "pond"} {
		c := w.config(&sink{w: w})
		c.Identity.Name = name
		if err := flow.NewTask(c).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		clear(w.dest)
	}
	got := map[string]int{}
	for _, l := range w.deadLetters() {
		got[l.Code+" "+l.Task]++
	}
	// Whether a value fits its column is asked only by consumers of that column.
	want := map[string]int{"parse-error ": 1, "type-mismatch lake": 1, "type-mismatch pond": 1}
	if !maps.Equal(got, want) {
		t.Errorf("dead letters %v, want %v", got, want)
	}
}

func TestChangedPlanStopsTheTask(t *testing.T) {
	w := newWorld(t)
	w.write(row(0), row(1))
	close(w.ended)
	w.breaks = breaks{at: 3} // 1 opens the document, 2 plans, 3 puts
	if err := flow.NewTask(w.config(&sink{w: w})).Run(t.Context()); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	w.breaks = breaks{}
	c := w.config(&sink{w: w})
	c.Generation = "edited"
	c.Feeds[0].Steps = [][]flow.Step{{{Name: "none", Transform: dropAll{}}}}
	err := flow.NewTask(c).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another version of the pipeline file") {
		t.Errorf("redoing a plan with another configuration: %v", err)
	}
	if err := flow.NewTask(w.config(&sink{w: w})).Run(t.Context()); err != nil {
		t.Errorf("with the configuration that planned it: %v", err)
	}
	if got := w.delivered(); !slices.Equal(got, wantRows(2)) {
		t.Errorf("delivered %q", got)
	}
}

type dropAll struct{}

func (dropAll) Apply(b *column.Batch) (*column.Batch, flow.Outcome, error) {
	return b.With([]int32{}), flow.Outcome{Counts: flow.Counts{Filtered: int64(b.Selected())}}, nil
}

func TestSamplesHideSecrets(t *testing.T) {
	w := newWorld(t)
	w.write(`{"at":"2026-01-01T00:00:00Z","n":1,"password":"hunter2"}`)
	close(w.ended)
	task := flow.NewTask(w.config(&sink{w: w}))
	if err := task.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	samples := task.Status().Edges[0].Samples
	if len(samples) != 1 || !strings.Contains(samples[0], `"n":1`) {
		t.Fatalf("samples: %q", samples)
	}
	if strings.Contains(samples[0], "hunter2") {
		t.Errorf("a sample shows a secret: %s", samples[0])
	}
}
