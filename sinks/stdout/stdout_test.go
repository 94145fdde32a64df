package stdout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
)

var hourly = &column.Schema{Fields: []column.Field{
	{Name: "window_start", Type: column.Type{Kind: column.Timestamp}},
	{Name: "type", Type: column.Type{Kind: column.String}},
	{Name: "quakes", Type: column.Type{Kind: column.BigInt}},
	{Name: "strongest", Type: column.Type{Kind: column.Double}},
}}

// start makes a sink for the schema and starts it on a state.
func start(t *testing.T, c Config, schema *column.Schema, state json.RawMessage, out io.Writer) sinks.Sink {
	t.Helper()
	s, err := Component().Open(&c, sinks.Env{Identity: flow.Identity{Name: "metrics"}, Schema: schema, Stdout: out})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	return s
}

// add decodes rows and adds those selected, all if selection is nil.
func add(t *testing.T, s sinks.Sink, schema *column.Schema, selection []int32, rows ...string) {
	t.Helper()
	d := column.NewDecoder(schema, nil, column.Options{})
	for _, row := range rows {
		if err := d.Add([]byte(row), 0, 0); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
	}
	if _, err := s.Add(t.Context(), d.Take(column.Origin{}).With(selection)); err != nil {
		t.Fatal(err)
	}
}

// publish commits the open chunk and returns the state.
func publish(t *testing.T, s sinks.Sink) json.RawMessage {
	t.Helper()
	plan, err := s.Plan(t.Context(), flow.Cut{Chunk: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	s.Published(plan)
	return plan.State
}

func wantScreen(t *testing.T, s sinks.Sink, width int, want string) {
	t.Helper()
	got := strings.Join(s.(sinks.Screen).Screen(width), "\n") + "\n"
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), got); diff != "" {
		t.Errorf("screen (-want +got):\n%s", diff)
	}
}

var quakes = []string{
	`{"window_start":"2018-01-31T01:00:00Z","type":"earthquake","quakes":1,"strongest":0.31}`,
	`{"window_start":"2018-01-31T02:00:00Z","type":"earthquake","quakes":12,"strongest":4}`,
	`{"window_start":"2018-01-31T02:00:00Z","type":"quarry blast","quakes":1,"strongest":null}`,
	`{"window_start":"2018-01-31T03:00:00Z","type":null,"quakes":null,"strongest":-1.5}`,
}

func TestTableShowsTheNewestRowsOnceTheyAreCommitted(t *testing.T) {
	s := start(t, Config{Format: Table, Rows: 3}, hourly, nil, nil)
	wantScreen(t, s, 80, `
metrics: no rows yet
`)
	add(t, s, hourly, nil, quakes...)
	wantScreen(t, s, 80, `
metrics: no rows yet
`)
	publish(t, s)
	wantScreen(t, s, 80, `
metrics: the last 3 of 4 rows
window_start      type          quakes  strongest
────────────────  ────────────  ──────  ─────────
2018-01-31 02:00  earthquake        12        4.0
2018-01-31 02:00  quarry blast       1          -
2018-01-31 03:00  -                  -       -1.5
`)
}

func TestTableTakesSelectedRowsOnly(t *testing.T) {
	s := start(t, Config{Format: Table, Rows: 3}, hourly, nil, nil)
	add(t, s, hourly, []int32{0, 2}, quakes...)
	publish(t, s)
	wantScreen(t, s, 80, `
metrics: 2 rows
window_start      type          quakes  strongest
────────────────  ────────────  ──────  ─────────
2018-01-31 01:00  earthquake         1       0.31
2018-01-31 02:00  quarry blast       1          -
`)
}

func TestTableIsThereAfterARestart(t *testing.T) {
	c := Config{Format: Table, Rows: 2}
	s := start(t, c, hourly, nil, nil)
	add(t, s, hourly, nil, quakes[:2]...)
	state := publish(t, s)
	add(t, s, hourly, nil, quakes[2:]...) // never committed

	s = start(t, c, hourly, state, nil)
	wantScreen(t, s, 0, `
metrics: 2 rows, from earlier runs
window_start      type        quakes  strongest
────────────────  ──────────  ──────  ─────────
2018-01-31 01:00  earthquake       1       0.31
2018-01-31 02:00  earthquake      12       4.00
`)
	add(t, s, hourly, nil, quakes[2:]...)
	publish(t, s)
	wantScreen(t, s, 0, `
metrics: the last 2 of 4 rows
window_start      type          quakes  strongest
────────────────  ────────────  ──────  ─────────
2018-01-31 02:00  quarry blast       1          -
2018-01-31 03:00  -                  -       -1.5
`)
}

func TestTableForgetsRowsOfOtherColumns(t *testing.T) {
	s := start(t, Config{Format: Table, Rows: 2}, hourly, nil, nil)
	add(t, s, hourly, nil, quakes...)
	state := publish(t, s)
	s = start(t, Config{Format: Table, Rows: 2}, &column.Schema{Fields: hourly.Fields[:2]}, state, nil)
	wantScreen(t, s, 80, `
metrics: 4 rows so far, none since the columns changed
`)
}

// A chunk that is redone must come out as it was planned.
func TestTablePlansTheSameAfterARestart(t *testing.T) {
	for _, format := range []Format{Table, NDJSON} {
		c := Config{Format: format, Rows: 2}
		s := start(t, c, hourly, nil, io.Discard)
		add(t, s, hourly, nil, quakes[:3]...)
		state := publish(t, s)
		planned := func(s sinks.Sink, rows ...string) []flow.Object {
			for _, row := range rows {
				add(t, s, hourly, nil, row)
			}
			plan, err := s.Plan(t.Context(), flow.Cut{Chunk: 2})
			if err != nil {
				t.Fatal(err)
			}
			return plan.Objects
		}
		before := planned(s, quakes[3], quakes[0])
		after := planned(start(t, c, hourly, state, io.Discard), quakes[0], quakes[3])
		if diff := cmp.Diff(before, after); diff != "" || len(before) != 1 || before[0].Rows != 2 {
			t.Errorf("%s: planned %v (-before +after):\n%s", format, before, diff)
		}
	}
}

func TestTableStateIsBounded(t *testing.T) {
	schema := &column.Schema{Fields: []column.Field{{Name: "s", Type: column.Type{Kind: column.String}}}}
	s := start(t, Config{Format: Table, Rows: 5}, schema, nil, nil)
	row := `{"s":"` + strings.Repeat("ü", 10_000) + `"}`
	for range 50 {
		add(t, s, schema, nil, row, row, row)
	}
	if state := publish(t, s); len(state) > 4<<10 {
		t.Errorf("state of %d bytes", len(state))
	}
}

func TestNDJSONWritesEveryRowOnce(t *testing.T) {
	var out bytes.Buffer
	s := start(t, Config{Format: NDJSON}, hourly, nil, &out)
	add(t, s, hourly, nil, quakes[:2]...)
	if out.Len() > 0 {
		t.Errorf("written before the plan: %q", out.String())
	}
	publish(t, s)
	add(t, s, hourly, []int32{0}, quakes[2:]...)
	publish(t, s)
	publish(t, s)
	var got []map[string]any
	for line := range strings.Lines(out.String()) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got = append(got, row)
	}
	if len(got) != 3 || got[1]["quakes"] != 12.0 || got[2]["type"] != "quarry blast" {
		t.Errorf("got %v", got)
	}
}

// broken takes n bytes and then returns err.
type broken struct {
	bytes.Buffer
	n   int
	err error
}

func (b *broken) Write(p []byte) (int, error) {
	if b.err != nil && len(p) > b.n {
		b.Buffer.Write(p[:b.n])
		return b.n, b.err
	}
	return b.Buffer.Write(p)
}

func TestNDJSONGoesOnWhereAWriteBrokeOff(t *testing.T) {
	out := &broken{n: 10, err: io.ErrShortWrite}
	s := start(t, Config{Format: NDJSON}, hourly, nil, out)
	add(t, s, hourly, nil, quakes...)
	plan, err := s.Plan(t.Context(), flow.Cut{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), plan); !errors.Is(err, io.ErrShortWrite) || flow.IsPermanent(err) {
		t.Fatalf("put: %v", err)
	}
	out.err = nil
	if err := s.Put(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "\n"); got != 4 || strings.Count(out.String(), "0.31") != 1 {
		t.Errorf("%d lines: %s", got, out.String())
	}
}

func TestNDJSONEndsWhenNobodyReads(t *testing.T) {
	r, w := io.Pipe()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Format: NDJSON}, hourly, nil, w)
	add(t, s, hourly, nil, quakes...)
	plan, err := s.Plan(t.Context(), flow.Cut{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(context.Background(), plan); !flow.IsPermanent(err) {
		t.Errorf("put: %v, want a permanent error", err)
	}
}
