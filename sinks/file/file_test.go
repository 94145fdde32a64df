package file

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
)

var schema = &column.Schema{Fields: []column.Field{
	{Name: "id", Type: column.Type{Kind: column.BigInt}},
	{Name: "name", Type: column.Type{Kind: column.String}},
}}

// task does with a sink what the runtime does: it keeps what is committed across crashes.
type task struct {
	t      *testing.T
	config Config
	env    sinks.Env
	sink   sinks.Sink

	// The checkpoint.
	chunk   int64
	state   json.RawMessage
	pending *flow.Plan
	// rows of the open or pending chunk.
	rows []string
}

// newTask starts a sink with a data directory of its own. c is changed to have defaults.
func newTask(t *testing.T, c Config) *task {
	t.Helper()
	k := prepare(t, c)
	k.start()
	return k
}

func prepare(t *testing.T, c Config) *task {
	t.Helper()
	if c.Format.Type == "" {
		c.Format = Component().Config().(*Config).Format
	}
	if problems := c.Validate(); len(problems) > 0 {
		t.Fatalf("config: %v", problems)
	}
	return &task{t: t, config: c, env: sinks.Env{
		Identity: flow.Identity{Pipeline: "test", Name: "out", Incarnation: "00000000000000aa"},
		Schema:   schema, Dir: t.TempDir(), Data: t.TempDir(), Memory: 1 << 20,
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}}
}

// tryStart makes the sink and redoes a pending chunk, with its rows in another order.
func (k *task) tryStart() error {
	k.t.Helper()
	sink, err := Component().Open(&k.config, k.env)
	if err != nil {
		return err
	}
	k.sink = sink
	if err := sink.Start(context.Background(), k.state); err != nil {
		return err
	}
	if k.pending == nil {
		k.rows = nil
		return nil
	}
	for _, row := range slices.Backward(k.rows) {
		k.feed(row)
	}
	again, err := sink.Plan(context.Background(), k.pending.Cut)
	if err != nil {
		return err
	}
	ignoreBytes := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Bytes" }, cmp.Ignore())
	if diff := cmp.Diff(k.pending.Objects, again.Objects, ignoreBytes); diff != "" {
		k.t.Fatalf("the plan came out differently (-recorded +redone):\n%s", diff)
	}
	if err := sink.Put(context.Background(), *k.pending); err != nil {
		return err
	}
	k.publish()
	return nil
}

func (k *task) start() {
	k.t.Helper()
	if err := k.tryStart(); err != nil {
		k.t.Fatal(err)
	}
}

func (k *task) feed(row string) {
	k.t.Helper()
	outcome, err := k.sink.Add(context.Background(), batch(k.t, row))
	if err != nil {
		k.t.Fatal(err)
	}
	if outcome.Counts.Passed != 1 {
		k.t.Fatalf("outcome %+v, want one row passed", outcome)
	}
}

func (k *task) add(rows ...string) {
	k.t.Helper()
	for _, row := range rows {
		k.rows = append(k.rows, row)
		k.feed(row)
	}
}

func (k *task) plan() {
	k.t.Helper()
	plan, err := k.sink.Plan(context.Background(), flow.Cut{Chunk: k.chunk + 1})
	if err != nil {
		k.t.Fatal(err)
	}
	k.pending = &plan
}

func (k *task) tryPut() error { return k.sink.Put(context.Background(), *k.pending) }

func (k *task) put() {
	k.t.Helper()
	if err := k.tryPut(); err != nil {
		k.t.Fatal(err)
	}
}

func (k *task) publish() {
	k.chunk, k.state = k.pending.Cut.Chunk, k.pending.State
	k.sink.Published(*k.pending)
	k.pending, k.rows = nil, nil
}

// deliver adds rows as one chunk.
func (k *task) deliver(rows ...string) {
	k.t.Helper()
	k.add(rows...)
	k.plan()
	k.put()
	k.publish()
}

// crash forgets everything but the disk and the checkpoint, and starts again.
func (k *task) crash() {
	k.t.Helper()
	k.start()
}

// batch decodes rows.
func batch(t *testing.T, rows ...string) *column.Batch {
	t.Helper()
	d := column.NewDecoder(schema, nil, column.Options{})
	for _, row := range rows {
		if err := d.Add([]byte(row), 0, 0); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
	}
	return d.Take(column.Origin{})
}

const (
	ada   = `{"id":1,"name":"Ada"}`
	grace = `{"id":2,"name":"Grace"}`
	alan  = `{"id":3,"name":"Alan"}`
	edith = `{"id":4,"name":"Edith"}`
)

// wantLines compares the lines of a file, in any order.
func wantLines(t *testing.T, path string, want ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Errorf("%s does not end with a line break: %q", path, text)
	}
	got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(text) == 0 {
		got = nil
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", filepath.Base(path), diff)
	}
}

// wantPermanent checks that err says all of the words and that it ends the pipeline.
func wantPermanent(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one about %q", words)
	}
	if !flow.IsPermanent(err) {
		t.Errorf("%v: would be tried again", err)
	}
	for _, w := range append(words, `file sink "out"`) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}
