package file_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/file"
	"github.com/millrace-io/millrace/sinks/objects"
)

// ordeal is a task with a directory as its sink, which may crash around every effect: each commit of
// the document and each Put, before, in the middle and after.
type ordeal struct {
	t       *testing.T
	dir     string
	backend *disk.Backend
	in      *stream.Stream
	// at is the effect that a crash hits, seen how many there were.
	at, seen int
	after    bool
}

var errCrash = errors.New("crash")

func (o *ordeal) effect(do func() error) error {
	if o.seen++; o.seen != o.at {
		return do()
	}
	if o.after {
		if err := do(); err != nil {
			return err
		}
	}
	return flow.Permanent(errCrash)
}

type brittleMeta struct {
	stream.Meta
	o *ordeal
}

func (m brittleMeta) CAS(ctx context.Context, key string, value []byte, revision uint64) (next uint64, err error) {
	err = m.o.effect(func() error {
		next, err = m.Meta.CAS(ctx, key, value, revision)
		return err
	})
	return next, err
}

// brittleSink puts one object after the other.
type brittleSink struct {
	sinks.Sink
	o *ordeal
}

func (s brittleSink) Put(ctx context.Context, plan flow.Plan) error {
	for i := range plan.Objects {
		part := plan
		part.Objects = plan.Objects[:i+1]
		if err := s.o.effect(func() error { return s.Sink.Put(ctx, part) }); err != nil {
			return err
		}
	}
	return nil
}

func (s brittleSink) KeepsRejects() bool { return s.Sink.(flow.RejectKeeper).KeepsRejects() }

func (s brittleSink) Reject(r flow.Rejected) error { return s.Sink.(flow.RejectKeeper).Reject(r) }

var pairs = &column.Schema{Fields: []column.Field{
	{Name: "id", Type: column.Type{Kind: column.BigInt}}, {Name: "k", Type: column.Type{Kind: column.String}},
}}

// odd is a transform that rejects rows with a multiple of eleven.
type odd struct{}

func (odd) Apply(b *column.Batch) (*column.Batch, flow.Outcome, error) {
	var out flow.Outcome
	rows := []int32{}
	for i := range b.Selected() {
		row := i
		if b.Selection != nil {
			row = int(b.Selection[i])
		}
		if b.Columns[0].Int64s[row]%11 == 0 {
			out.Rejects = append(out.Rejects, flow.Reject{Row: row, Code: "eleven", Reason: "a multiple of eleven"})
			out.Counts.Bad++
			continue
		}
		rows = append(rows, int32(row))
	}
	return b.With(rows), out, nil
}

const ordealRows = 200

// code is why row i is rejected, empty if it is not.
func code(i int) string {
	switch {
	case i%10 == 3:
		return column.CodeParse
	case i%11 == 0:
		return "eleven"
	case i%17 == 5:
		return "partition-value"
	}
	return ""
}

func newOrdeal(t *testing.T) *ordeal {
	o := &ordeal{t: t, dir: t.TempDir()}
	b, err := disk.Open(vfs.NewMem(), "data", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o.backend = b
	if o.in, err = stream.Open(t.Context(), b, stream.Spec{Name: "in", Shards: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(o.in.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	})
	for i := range ordealRows {
		var batch record.Batch
		text := fmt.Sprintf(`{"id":%d,"k":"%s"}`, i, strings.Repeat("x", 1+i%2))
		switch code(i) {
		case column.CodeParse:
			text = fmt.Sprintf(`{"id":%d,`, i)
		case "partition-value":
			text = fmt.Sprintf(`{"id":%d,"k":"%s"}`, i, strings.Repeat("y", 300))
		}
		batch.Add(fmt.Appendf(nil, "%d", i), []byte(text), 0)
		if err := o.in.Write(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// live runs the task until it has delivered everything or crashes.
func (o *ordeal) live() (flow.Status, error) {
	o.t.Helper()
	component := file.Component()
	c := component.Config().(*file.Config)
	c.Dir = filepath.Join(o.dir, "out")
	c.Prefix, c.ErrorPrefix = "ok", "bad/!{firehose:error-output-type}/!{timestamp:yyyy}"
	c.PartitionBy = []string{"k"}
	id := flow.Identity{Pipeline: "p", Name: "out", Incarnation: o.in.Incarnation()}
	work := filepath.Join(o.dir, "work")
	if err := os.MkdirAll(work, 0o700); err != nil {
		o.t.Fatal(err)
	}
	s, err := component.Open(c, sinks.Env{Identity: id, Schema: pairs, Dir: work, Data: o.dir, Memory: 8 << 20, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		o.t.Fatal(err)
	}
	ended := make(chan struct{})
	close(ended)
	task := flow.NewTask(flow.Config{
		Identity: id, Kind: "sink", Type: "file",
		Feeds: []flow.Feed{{
			Input: flow.Input{Name: "in", Updated: o.in.Updated, Ended: ended, Schema: pairs, Shards: func() (all []flow.Shard) {
				for _, sh := range o.in.Shards() {
					// A read at a time gives chunks of about that many rows.
					all = append(all, flow.Shard{ID: sh.ID, Log: few{o.in.Log(sh.ID)}})
				}
				return all
			}},
			Needs: pairs.Names(), Steps: [][]flow.Step{{{Name: "odd", Transform: odd{}}}},
			Start: func() (map[record.ShardID]record.Ordinal, error) {
				return map[record.ShardID]record.Ordinal{0: 0, 1: 0}, nil
			},
		}},
		Processor: brittleSink{s, o}, Trigger: flow.Trigger{Rows: 60}, Memory: 8 << 20,
		Meta: brittleMeta{o.backend.Meta(), o},
		DeadLetters: &flow.DeadLetters{Pipeline: "p", Write: func(context.Context, *record.Batch) error {
			return flow.Permanent(errors.New("a row went to the dead letters"))
		}},
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	err = task.Run(o.t.Context())
	return task.Status(), err
}

// few is a log that gives a frame at a time.
type few struct{ stream.Log }

func (f few) Read(ctx context.Context, from record.Ordinal, buf *stream.Buffer) ([]stream.Frame, error) {
	frames, err := f.Log.Read(ctx, from, buf)
	return frames[:min(len(frames), 20)], err
}

// verify wants each row in one place, once.
func (o *ordeal) verify(s flow.Status) {
	o.t.Helper()
	want, got := map[string]int{}, map[string]int{}
	bad, places := int64(0), map[string]bool{}
	for i := range ordealRows {
		want[fmt.Sprintf("%d %s", i, code(i))] = 1
		if code(i) != "" {
			bad++
		}
	}
	err := filepath.WalkDir(filepath.Join(o.dir, "out"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			var e objects.Envelope
			if strings.Contains(path, "/bad/") {
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					o.t.Fatalf("%v in %s", err, line)
				}
				undecoded := strings.Contains(path, "/bad/format-conversion-failed/")
				if undecoded != (e.Code == column.CodeParse) || !undecoded && !strings.Contains(path, "/bad/processing-failed/") {
					o.t.Errorf("%s is in %s", e.Code, path)
				}
				line = string(e.Data)
				at := fmt.Sprint(e.Shard, e.Sequence)
				if e.Stream != "in" || places[at] || e.Sequence < 0 || e.Sequence >= ordealRows {
					o.t.Errorf("%+v is not the place of a row of its own", e)
				}
				places[at] = true
			}
			id := -1
			if _, err := fmt.Sscanf(line, `{"id":%d`, &id); err != nil {
				o.t.Errorf("%v in %q", err, line)
			}
			got[fmt.Sprintf("%d %s", id, e.Code)]++
		}
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		o.t.Fatal(d)
	}
	last := s.Steps[len(s.Steps)-1]
	if s.Delivered.Rows != ordealRows-bad || s.Delivered.ErrorRows != bad || s.Steps[0].Bad+s.Steps[1].Bad+last.Bad != bad {
		o.t.Fatalf("%d bad rows: %+v %+v", bad, s.Delivered, s.Steps)
	}
	for _, step := range s.Steps {
		if step.InFlight() != 0 {
			o.t.Fatalf("%+v", step)
		}
	}
}

func TestEachRowIsDeliveredOrRejectedOnceWhereverACrashHits(t *testing.T) {
	hit := 0
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			o := newOrdeal(t)
			o.at, o.after = at, after
			s, err := o.live()
			if err == nil {
				o.verify(s)
				break
			}
			if !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			hit++
			if s, err = o.live(); err != nil {
				t.Fatalf("after a crash at effect %d: %v", at, err)
			}
			o.verify(s)
		}
	}
	t.Logf("%d crashes", hit)
	if hit < 20 {
		t.Errorf("only %d crashes", hit)
	}
}

func TestErrorObjectsComeOutTheSameWhenTheyAreRedone(t *testing.T) {
	o := newOrdeal(t)
	o.at, o.after = 3, false // the first object of the first chunk
	if _, err := o.live(); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	doc, err := checkpoint.Read(t.Context(), o.backend.Meta(), "tasks/p/out/0")
	if err != nil || doc.Pending == nil {
		t.Fatal(doc, err)
	}
	rejects := 0
	for _, object := range doc.Pending.Plan.Objects {
		if object.Rejects {
			rejects++
		}
	}
	if rejects != 2 {
		t.Errorf("%d error objects in %+v", rejects, doc.Pending.Plan.Objects)
	}
	if _, err := o.live(); err != nil {
		t.Fatal(err)
	}
	ending := fmt.Sprintf(`"attemptEndingTimestamp":%d}`, doc.Pending.Plan.Cut.Now.UnixMilli())
	for _, object := range doc.Pending.Plan.Objects {
		text, err := os.ReadFile(object.Key)
		if err != nil {
			t.Fatal(err)
		}
		if object.Rejects && int64(strings.Count(string(text), ending+"\n")) != object.Rows {
			t.Errorf("%s has not the time of the plan (%s) in each line:\n%s", object.Key, ending, text)
		}
	}
}
