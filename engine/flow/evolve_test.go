package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/flow"
)

// firstSchema is what a sample of the first records would give.
var firstSchema = &column.Schema{Fields: []column.Field{
	{Name: "at", Type: column.Type{Kind: column.Timestamp}},
	{Name: "n", Type: column.Type{Kind: column.BigInt}},
	{Name: versions.Rest, Type: column.Type{Kind: column.JSON}},
}}

// schemas opens the versions of the world's stream, as a process does that starts.
func (w *world) schemas() *versions.Stream {
	w.t.Helper()
	v, err := versions.Open(w.t.Context(), breakingMeta{w.backend.Meta(), w.breaks.effect}, "clicks", w.in.Incarnation(), versions.Options{Add: true, Now: time.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// evolving is a configuration of a task whose schema changes.
func (w *world) evolving(p flow.Processor, v *versions.Stream) flow.Config {
	c := w.config(p)
	c.Feeds[0].Input.Schema = v.Current().Schema
	c.Feeds[0].Needs = c.Feeds[0].Input.Schema.Names()
	c.Feeds[0].Evolution = flow.Evolution{Versions: v, Built: v.Current(), Rebuild: func(in *column.Schema) (flow.Shape, error) {
		return flow.Shape{Needs: in.Names(), Output: in}, nil
	}}
	return c
}

// limber is a sink that takes rows of any schema, one at a time.
type limber struct {
	sink
	schema *column.Schema
	seen   []string
	// published is called after each chunk.
	published func()
}

func (s *limber) Published(p flow.Plan) {
	s.sink.Published(p)
	if s.published != nil {
		s.published()
	}
}

func (s *limber) Reschema(schema *column.Schema) error {
	if len(s.rows) > 0 {
		return errors.New("called within a chunk")
	}
	s.schema = schema
	return nil
}

func (s *limber) Add(ctx context.Context, b *column.Batch) (flow.Outcome, error) {
	if s.schema != nil && b.Schema != s.schema {
		return flow.Outcome{}, errors.New("rows of another schema than announced")
	}
	return s.sink.Add(ctx, b)
}

func (s *limber) Plan(ctx context.Context, cut flow.Cut) (flow.Plan, error) {
	s.seen = append(s.seen, fmt.Sprint(cut.Reason, " ", cut.Schema))
	return s.sink.Plan(ctx, cut)
}

// whole is a row as its record was, whichever columns it came in, with numbers as texts.
func whole(t *testing.T, row string) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(row))
	d.UseNumber()
	fields := map[string]any{}
	if err := d.Decode(&fields); err != nil {
		t.Fatal(err)
	}
	rest, _ := fields[versions.Rest].(map[string]any)
	delete(fields, versions.Rest)
	for k, v := range rest {
		fields[k] = v
	}
	out := map[string]string{}
	for k, v := range fields {
		if v != nil {
			out[k] = fmt.Sprint(v)
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shapes are records of which every other has another shape, and none the shape of the first ones.
func shapes(n int) []string {
	var rows []string
	for i := range n {
		at := fmt.Sprintf(`"at":"2026-01-01T00:00:%02dZ"`, i%60)
		switch i % 3 {
		case 0:
			rows = append(rows, fmt.Sprintf(`{%s,"n":%d}`, at, i))
		case 1:
			rows = append(rows, fmt.Sprintf(`{%s,"n":%d.5,"extra":"e%d"}`, at, i, i))
		default:
			rows = append(rows, fmt.Sprintf(`{%s,"n":"n%d","other":%d}`, at, i, i))
		}
	}
	return rows
}

func TestRowsArriveOnceWhileTheSchemaChangesWhereverACrashHits(t *testing.T) {
	rows := shapes(24)
	var want []string
	for _, r := range rows {
		want = append(want, whole(t, r))
	}
	slices.Sort(want)
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			name := fmt.Sprintf("crash %d (after its effect: %t)", at, after)
			w := newWorld(t)
			left := rows
			more := func() {
				if len(left) == 0 {
					close(w.ended)
					return
				}
				w.write(left[:8]...)
				left = left[8:]
			}
			more()
			v := w.schemas()
			if _, err := v.Put(t.Context(), versions.Version{Schema: firstSchema, Fixed: []string{"at"}}); err != nil {
				t.Fatal(err)
			}
			w.breaks = breaks{at: at, after: after}
			err := flow.NewTask(w.evolving(&limber{sink: sink{w: w}, published: more}, v)).Run(t.Context())
			crashed := w.breaks.seen >= at
			// A version that cannot be written stops nobody.
			if err != nil && !errors.Is(err, errCrash) {
				t.Fatalf("%s: run returned %v", name, err)
			}
			w.breaks = breaks{}
			for len(left) > 0 {
				more()
			}
			select {
			case <-w.ended:
			default:
				more()
			}
			// The schema moves on before the plan is redone, and its columns even change places.
			v = w.schemas()
			moved := versions.Version{Schema: &column.Schema{}, Fixed: []string{"at"}, Origin: versions.FromFile}
			moved.Schema.Fields = append(moved.Schema.Fields, column.Field{Name: "brand_new", Type: column.Type{Kind: column.Double}})
			moved.Schema.Fields = append(moved.Schema.Fields, v.Current().Schema.Fields...)
			if _, err := v.Put(t.Context(), moved); err != nil {
				t.Fatal(err)
			}
			if err := flow.NewTask(w.evolving(&limber{sink: sink{w: w}}, v)).Run(t.Context()); err != nil {
				t.Fatalf("%s: the next run: %v", name, err)
			}
			var got []string
			for _, r := range w.delivered() {
				got = append(got, whole(t, r))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("%s: delivered %d rows, want %d:\n%s", name, len(got), len(want), strings.Join(got, "\n"))
			}
			if dead := w.deadLetters(); len(dead) > 0 {
				t.Fatalf("%s: dead letters %+v", name, dead)
			}
			if !crashed {
				break
			}
		}
	}
}

func TestAlternatingShapesCutNothingAndSettle(t *testing.T) {
	w := newWorld(t)
	v := w.schemas()
	if _, err := v.Put(t.Context(), versions.Version{Schema: firstSchema, Fixed: []string{"at"}}); err != nil {
		t.Fatal(err)
	}
	s := &limber{sink: sink{w: w}}
	c := w.evolving(s, v)
	c.Trigger = flow.Trigger{Rows: 10}
	rows := shapes(300)
	task := flow.NewTask(c)
	done := make(chan error)
	go func() { done <- task.Run(t.Context()) }()
	for len(rows) > 0 {
		// Both shards get about half of these.
		w.write(rows[:20]...)
		rows = rows[20:]
	}
	close(w.ended)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, cut := range s.seen[:len(s.seen)-1] {
		reason, version, _ := strings.Cut(cut, " ")
		if reason != "rows" || i == 0 && version != "1" || i > 3 && version != fmt.Sprint(v.Current().Number) {
			t.Errorf("chunk %d: %s", i+1, cut)
		}
	}
	if n := v.Current().Number; n > 3 {
		t.Errorf("%d versions for three shapes", n)
	}
	const want = "{at: timestamp, n: string, _rest: json, extra: string, other: bigint}"
	fields := slices.Clone(v.Current().Schema.Fields)
	slices.SortFunc(fields[3:], func(a, b column.Field) int { return strings.Compare(a.Name, b.Name) })
	if got := (column.Type{Kind: column.Struct, Fields: fields}).String(); got != want {
		t.Errorf("the schema became %s, want %s", got, want)
	}
	if got := task.Status().Schema; got != v.Current().Number {
		t.Errorf("status names version %d of %d", got, v.Current().Number)
	}
}

func TestSinkThatCannotGoAlongKeepsItsSchema(t *testing.T) {
	w := newWorld(t)
	w.write(shapes(30)...)
	close(w.ended)
	v := w.schemas()
	if _, err := v.Put(t.Context(), versions.Version{Schema: firstSchema, Fixed: []string{"at"}}); err != nil {
		t.Fatal(err)
	}
	task := flow.NewTask(w.evolving(&sink{w: w}, v))
	if err := task.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(w.delivered()); got != 30 || task.Status().Schema != 1 || v.Current().Number == 1 {
		t.Errorf("%d rows with version %d; the latest is %d", got, task.Status().Schema, v.Current().Number)
	}
}

func TestFixedColumnsMakeRowsBad(t *testing.T) {
	w := newWorld(t)
	w.write(`{"at":"soon","n":1}`, `{"at":"2026-01-01T00:00:00Z","n":2}`)
	close(w.ended)
	v := w.schemas()
	if _, err := v.Put(t.Context(), versions.Version{Schema: firstSchema, Fixed: []string{"at"}}); err != nil {
		t.Fatal(err)
	}
	if err := flow.NewTask(w.evolving(&limber{sink: sink{w: w}}, v)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	dead := w.deadLetters()
	if len(w.delivered()) != 1 || len(dead) != 1 || dead[0].Code != column.CodeMismatch || v.Current().Number != 1 {
		t.Errorf("delivered %q, dead %+v, version %d", w.delivered(), dead, v.Current().Number)
	}
}

func TestLastChunkOfARunTeachesTheNextRun(t *testing.T) {
	w := newWorld(t)
	w.write(`{"n":1,"extra":true}`)
	close(w.ended)
	v := w.schemas()
	if _, err := v.Put(t.Context(), versions.Version{Schema: firstSchema}); err != nil {
		t.Fatal(err)
	}
	if err := flow.NewTask(w.evolving(&limber{sink: sink{w: w}}, v)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := w.schemas().Current().Schema; s.Index("extra") < 0 {
		t.Errorf("columns %v", s.Names())
	}
}

func TestQueryRedoesWithTheColumnsItWasMadeFor(t *testing.T) {
	w := newWorld(t)
	w.write(`{"n":1}`, `{"n":2}`)
	close(w.ended)
	v := w.schemas()
	if _, err := v.Put(t.Context(), versions.Version{Schema: firstSchema}); err != nil {
		t.Fatal(err)
	}
	query := func() flow.Config {
		c := w.evolving(&sink{w: w}, v)
		c.Feeds[0].Evolution.Rebuild, c.Feeds[0].Needs = nil, []string{"n"}
		return c
	}
	w.breaks = breaks{at: 3} // the put
	if err := flow.NewTask(query()).Run(t.Context()); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	w.breaks = breaks{}
	changed := &column.Schema{Fields: slices.Clone(firstSchema.Fields)}
	changed.Fields[1].Type.Kind = column.String
	if _, err := v.Put(t.Context(), versions.Version{Schema: changed}); err != nil {
		t.Fatal(err)
	}
	if err := flow.NewTask(query()).Run(t.Context()); err == nil || !strings.Contains(err.Error(), `version 1 of the schema of stream "clicks"`) {
		t.Errorf("redone over a changed column: %v", err)
	}
	// Columns that it does not read may come.
	changed = &column.Schema{Fields: append(slices.Clone(firstSchema.Fields), column.Field{Name: "more", Type: column.Type{Kind: column.Double}})}
	if _, err := v.Put(t.Context(), versions.Version{Schema: changed}); err != nil {
		t.Fatal(err)
	}
	if err := flow.NewTask(query()).Run(t.Context()); err != nil {
		t.Error(err)
	}
	if got := w.delivered(); len(got) != 2 {
		t.Errorf("delivered %q", got)
	}
}

func TestPlanOfAVersionThatIsGoneIsNamed(t *testing.T) {
	w := newWorld(t)
	w.write(`{"n":1}`)
	close(w.ended)
	v := w.schemas()
	if _, err := v.Put(t.Context(), versions.Version{Schema: firstSchema}); err != nil {
		t.Fatal(err)
	}
	w.breaks = breaks{at: 3}
	if err := flow.NewTask(w.evolving(&limber{sink: sink{w: w}}, v)).Run(t.Context()); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	w.breaks = breaks{}
	if _, err := v.Put(t.Context(), versions.Version{Schema: firstSchema, Fixed: []string{"n"}}); err != nil {
		t.Fatal(err)
	}
	meta := w.backend.Meta()
	keys, err := meta.List(t.Context(), "schemas/")
	if err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	_, revision, err := meta.Get(t.Context(), keys[0])
	if err == nil {
		err = meta.Delete(t.Context(), keys[0], revision)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = flow.NewTask(w.evolving(&limber{sink: sink{w: w}}, v)).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "which is gone") {
		t.Error(err)
	}
}
