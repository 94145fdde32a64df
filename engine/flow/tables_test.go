package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/sql"
)

var labels = &column.Schema{Fields: []column.Field{
	{Name: "n", Type: column.Type{Kind: column.BigInt}}, {Name: "label", Type: column.Type{Kind: column.String}},
}}

// shelf is a reference table in which every version joins all rows to its own label. Old versions are
// there until they are lost.
type shelf struct {
	version int64
	lost    bool
	missing error
	used    []int64
}

func (s *shelf) at(number int64) (checkpoint.TableVersion, *column.Batch) {
	d := column.NewDecoder(labels, nil, column.Options{})
	for n := range 20 {
		if err := d.Add(fmt.Appendf(nil, `{"n":%d,"label":"v%d"}`, n, number), 0, 0); err != nil {
			panic(err)
		}
	}
	return checkpoint.TableVersion{Number: number, Hash: fmt.Sprint("hash ", number)}, d.Take(column.Origin{})
}

func (s *shelf) Latest(context.Context) (checkpoint.TableVersion, *column.Batch, error) {
	if s.missing != nil {
		err := s.missing
		s.missing = nil
		return checkpoint.TableVersion{}, nil, err
	}
	v, rows := s.at(s.version)
	return v, rows, nil
}

func (s *shelf) At(v checkpoint.TableVersion) (*column.Batch, error) {
	if s.lost && v.Number != s.version {
		return nil, errors.New("the version is gone")
	}
	_, rows := s.at(v.Number)
	return rows, nil
}

func (s *shelf) Use(_ string, v checkpoint.TableVersion) { s.used = append(s.used, v.Number) }

// joining is a query of w's stream that joins a table, with its output in out.
func (w *world) joining(text string, s *shelf, out *stream.Stream) flow.Config {
	w.t.Helper()
	q, err := sql.CompileQuery(text, func(name string) (sql.Input, bool) {
		if name == "labels" {
			return sql.Input{Schema: labels, Table: true}, true
		}
		return sql.Input{Schema: schema, EventTime: "at"}, true
	})
	if err != nil {
		w.t.Fatal(err)
	}
	p := &flow.Query{
		Identity: flow.Identity{Pipeline: "p", Name: "q", Incarnation: w.in.Incarnation()}, Target: "p.q", New: q.New, Windowed: q.Windowed(), Memory: 64 << 20,
		Joins: map[string]flow.ReferenceTable{"labels": s},
		Write: func(ctx context.Context, b *record.Batch) error {
			return w.breaks.effect(func() error { return out.Write(ctx, b) })
		},
	}
	c := w.config(p)
	c.Identity, c.Kind, c.Feeds[0].Needs, c.Trigger = p.Identity, "query", q.Needs(0), flow.Trigger{}
	return c
}

// lines are the records of a stream, sorted.
func (w *world) lines(s *stream.Stream) []string {
	w.t.Helper()
	var out []string
	var buffer stream.Buffer
	for _, sh := range s.Shards() {
		log := s.Log(sh.ID)
		for next := log.Bounds().Oldest; next < log.Bounds().Next; {
			frames, err := log.Read(w.t.Context(), next, &buffer)
			if err != nil {
				w.t.Fatal(err)
			}
			for _, f := range frames {
				body := f.Body
				for range f.Count {
					r, rest, err := record.Next(body)
					if err != nil {
						w.t.Fatal(err)
					}
					out, body = append(out, string(r.Data)), rest
					next++
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func (w *world) output() *stream.Stream {
	w.t.Helper()
	s, err := stream.Open(w.t.Context(), w.backend, stream.Spec{Name: "p.q", Shards: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = s.Close() })
	return s
}

// A crash hits wherever a chunk with version 1 is planned, put or published, and the table is another
// one when the task comes again. Each row is there once, and all rows of the chunk have one version.
func TestAChunkIsRedoneWithTheTablesOfItsPlan(t *testing.T) {
	for name, text := range map[string]string{
		"rows":    "SELECT c.n, label FROM clicks AS c JOIN labels AS l ON c.n = l.n",
		"windows": "SELECT window_start, label, COUNT(*) AS n FROM clicks AS c JOIN labels AS l ON c.n = l.n GROUP BY TUMBLE(at, INTERVAL '1' MINUTE), label",
		"behind":  "SELECT w.n, label FROM (SELECT window_start, n, COUNT(*) AS c FROM clicks GROUP BY TUMBLE(at, INTERVAL '1' MINUTE), n) AS w JOIN labels AS l ON w.n = l.n",
	} {
		t.Run(name, func(t *testing.T) {
			redone := 0
			for at := 1; at <= 4; at++ {
				for _, after := range []bool{false, true} {
					w := newWorld(t)
					out := w.output()
					for i := range 12 {
						w.write(row(i))
					}
					close(w.ended)
					s := &shelf{version: 1}
					w.breaks = breaks{at: at, after: after}
					err := flow.NewTask(w.joining(text, s, out)).Run(t.Context())
					s.version = 2
					doc, derr := checkpoint.Read(t.Context(), w.backend.Meta(), flow.Key(flow.Identity{Pipeline: "p", Name: "q"}))
					pending := derr == nil && doc.Pending != nil
					if err != nil {
						if err := flow.NewTask(w.joining(text, s, out)).Run(t.Context()); err != nil {
							t.Fatalf("crash %d (after %v): %v", at, after, err)
						}
					}
					want := "v1"
					switch {
					case pending:
						redone++
						if doc.Pending.Plan.Cut.Tables["labels"] != (checkpoint.TableVersion{Number: 1, Hash: "hash 1"}) {
							t.Errorf("the plan names %v", doc.Pending.Plan.Cut.Tables)
						}
						if !slices.Contains(s.used, 1) {
							t.Error("the version of the plan was not used")
						}
					case err != nil && doc.Chunk == 0:
						want = "v2" // nothing was planned
					}
					got := w.lines(out)
					if name != "windows" && len(got) != 12 || name == "windows" && len(got) != 1 {
						t.Errorf("crash %d (after %v): %d rows: %v", at, after, len(got), got)
					}
					for _, line := range got {
						if !strings.Contains(line, `"`+want+`"`) {
							t.Errorf("crash %d (after %v): %s, want %s", at, after, line, want)
						}
					}
				}
			}
			if redone < 2 {
				t.Errorf("only %d plans were redone", redone)
			}
		})
	}
}

func TestAPlanWhoseTablesAreGoneStopsTheTask(t *testing.T) {
	w := newWorld(t)
	out := w.output()
	w.write(row(1))
	close(w.ended)
	s := &shelf{version: 1}
	w.breaks = breaks{at: 3}
	const text = "SELECT c.n, label FROM clicks AS c JOIN labels AS l ON c.n = l.n"
	if err := flow.NewTask(w.joining(text, s, out)).Run(t.Context()); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	s.version, s.lost = 2, true
	err := flow.NewTask(w.joining(text, s, out)).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "redo chunk 1") || !strings.Contains(err.Error(), "the version is gone") {
		t.Error(err)
	}
}

func TestATaskWaitsForItsTables(t *testing.T) {
	w := newWorld(t)
	out := w.output()
	w.write(row(1))
	close(w.ended)
	s := &shelf{version: 1, missing: errors.New("there is no file")}
	if err := flow.NewTask(w.joining("SELECT c.n, label FROM clicks AS c JOIN labels AS l ON c.n = l.n", s, out)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.lines(out); !slices.Equal(got, []string{`{"n":1,"label":"v1"}`}) {
		t.Error(got)
	}
}
