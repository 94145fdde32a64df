package pipelines_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/pipelines"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/s3"
)

// crash ends the process, in effect, at the nth Put of any sink.
type crash struct {
	at, seen int
	// objects of the plan are there before it comes.
	objects int
}

var errCrash = errors.New("crash")

// fragile is a sink that crashes.
type fragile struct {
	sinks.Sink
	crash *crash
}

func (f *fragile) Put(ctx context.Context, plan flow.Plan) error {
	f.crash.seen++
	if f.crash.seen != f.crash.at {
		return f.Sink.Put(ctx, plan)
	}
	plan.Objects = plan.Objects[:min(f.crash.objects, len(plan.Objects))]
	return flow.Permanent(errors.Join(f.Sink.Put(ctx, plan), errCrash))
}

func (f *fragile) KeepsRejects() bool {
	k, ok := f.Sink.(flow.RejectKeeper)
	return ok && k.KeepsRejects()
}

func (f *fragile) Reject(r flow.Rejected) error { return f.Sink.(flow.RejectKeeper).Reject(r) }

func (f *fragile) Reschema(s *column.Schema) error { return f.Sink.(flow.Reschemer).Reschema(s) }

// breaks makes all sinks of the workshop fragile.
func (w *workshop) breaks(c *crash) {
	for i, component := range w.components.Sinks {
		w.components.Sinks[i].Open = func(cfg any, env sinks.Env) (sinks.Sink, error) {
			s, err := component.Open(cfg, env)
			if err != nil {
				return nil, err
			}
			return &fragile{s, c}, nil
		}
	}
}

// everywhere is how often each id is in all files below a directory, compressed or not.
func (w *workshop) everywhere(dir string) map[string]int {
	w.t.Helper()
	n := map[string]int{}
	err := filepath.WalkDir(w.path(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/bad/") || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		text, err := os.ReadFile(path)
		if z, zerr := gzip.NewReader(bytes.NewReader(text)); zerr == nil && err == nil {
			text, err = io.ReadAll(z)
		}
		for _, m := range idOf.FindAllSubmatch(text, -1) {
			n[string(m[1])]++
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// generations are the configurations that are kept.
func (w *workshop) generations() map[string]string {
	w.t.Helper()
	b, err := disk.Open(vfs.OS{}, w.path("data"), disk.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer b.Close()
	keys, err := b.Meta().List(w.t.Context(), "generations/")
	if err != nil {
		w.t.Fatal(err)
	}
	kept := map[string]string{}
	for _, k := range keys {
		value, _, err := b.Meta().Get(w.t.Context(), k)
		if err != nil {
			w.t.Fatal(err)
		}
		kept[k] = string(value)
	}
	return kept
}

// A chunk that was planned is delivered as it was planned, whatever the file says by then.
func TestChangedFileRedoesWhatWasPlannedAndGoesOn(t *testing.T) {
	replace := func(old, new string) func(*workshop) {
		return func(w *workshop) {
			if !strings.Contains(w.sink, old) {
				t.Fatalf("no %q in %s", old, w.sink)
			}
			w.sink = strings.Replace(w.sink, old, new, 1)
		}
	}
	changes := []struct {
		name string
		do   func(w *workshop)
	}{
		{"nothing", func(*workshop) {}},
		{"prefix", replace("prefix: ok", "prefix: ok/other")},
		{"format", replace("{type: ndjson, compression: none}", "{type: json, compression: none}")},
		{"compression", replace("compression: none", "compression: gzip")},
		{"partitions", replace("prefix: ok", `prefix: ok, partition_by: ["id % 3 AS part"]`)},
		{"fewer partitions", replace("prefix: ok", `prefix: ok, partition_by: ["id % 3 AS part"], max_partitions: 3`)},
		{"buffer", replace("rows: 20", "rows: 7")},
		{"error prefix", replace(`error_prefix: "bad/`, `error_prefix: "bad/new/`)},
		{"transform", func(w *workshop) {
			w.more = `transforms:
  narrow: {type: select, from: in, columns: [id]}`
			replace("from: in", "from: narrow")(w)
		}},
		{"schema", func(w *workshop) { w.stream = "schema: {id: bigint, n: json}" }},
		{"all", func(w *workshop) {
			w.stream = "schema: {id: bigint, n: json}"
			replace("prefix: ok", `prefix: ok/x, partition_by: ["id % 2 AS part"]`)(w)
			replace("compression: none", "compression: gzip")(w)
			replace("rows: 20", "rows: 9")(w)
		}},
	}
	stores := []struct {
		name, sink, out string
		there           []int
	}{
		{"file", newWorkshop(t).sink + ", format: {type: ndjson, compression: none}", "out", []int{0, 1, 9}},
		{"s3", `type: s3, from: in, endpoint: embedded, bucket: lake, format: {type: ndjson, compression: none}, prefix: ok, error_prefix: "bad/!{firehose:error-output-type}", buffer: {rows: 20}`, "data/s3/lake", []int{1}},
	}
	for _, store := range stores {
		for _, change := range changes {
			for _, there := range store.there {
				t.Run(fmt.Sprintf("%s/%s/%d", store.name, change.name, there), func(t *testing.T) {
					w := newWorkshop(t)
					w.t, w.sink = t, store.sink
					c := &crash{at: 1, objects: there}
					w.breaks(c)
					w.lines(100)
					if _, err := w.tryRun(); !errors.Is(err, errCrash) {
						t.Fatal(err)
					}
					before := w.everywhere(store.out)
					change.do(w)
					w.lines(200)
					s := w.run()
					got := w.everywhere(store.out)
					for id, n := range before {
						if got[id] < n {
							t.Errorf("row %s was delivered and is gone", id)
						}
					}
					// What was planned before the change rejects its bad rows, what came later does not.
					rejected := s.Delivered.ErrorRows
					for i := range 200 {
						n := got[fmt.Sprint(i)]
						if n > 1 || n == 0 && isGood(i) {
							t.Errorf("row %d was delivered %d times", i, n)
						}
						if isBad(i) && n == 0 {
							rejected--
						}
					}
					if rejected != 0 {
						t.Errorf("%d more rows under the error prefix than are missing", rejected)
					}
					if s.Delivered.Rows+s.Delivered.ErrorRows != 200 {
						t.Errorf("%+v", s.Delivered)
					}
					w.run()
					if kept := w.generations(); len(kept) != 1 {
						t.Errorf("%d configurations are kept: %v", len(kept), kept)
					}
				})
			}
		}
	}
}

func TestRecordedConfigurationHasNoSecrets(t *testing.T) {
	w := newWorkshop(t)
	t.Setenv("WORKSHOP_KEY", "sesame")
	w.sink = `type: s3, from: in, endpoint: "http://127.0.0.1:1", bucket: lake, access_key: "${env:WORKSHOP_KEY}", secret_key: open-sesame`
	w.lines(1)
	r, err := pipelines.Open(t.Context(), w.load(), w.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	kept := w.generations()
	for key, text := range kept {
		if strings.Contains(text, "sesame") {
			t.Errorf("%s holds a secret: %s", key, text)
		}
		if !strings.Contains(text, "${env:WORKSHOP_KEY}") || !strings.Contains(text, "bucket: lake") {
			t.Errorf("%s lacks a reference or the bucket: %s", key, text)
		}
	}
	if len(kept) != 1 {
		t.Errorf("%d configurations", len(kept))
	}
}

func TestRedoneChunksGoWhereTheStoreIsNow(t *testing.T) {
	w := newWorkshop(t)
	w.lines(1)
	t.Setenv("WORKSHOP_KEY", "old")
	t.Setenv("WORKSHOP_TOKEN", "old token")
	w.sink = `type: s3, from: in, endpoint: "http://127.0.0.1:1", bucket: lake, prefix: then, access_key: "${env:WORKSHOP_KEY}", secret_key: "old", session_token: "${env:WORKSHOP_TOKEN}"`
	then := w.load()
	t.Setenv("WORKSHOP_KEY", "new: ${x} \"")
	t.Setenv("WORKSHOP_TOKEN", "new token")
	w.sink = `type: s3, from: in, endpoint: "http://127.0.0.1:2", region: eu-central-1, bucket: other, access_key: "${env:WORKSHOP_KEY}", secret_key: "new", session_token: "${env:WORKSHOP_TOKEN}"`
	now := w.load()
	redone, err := then.Sinks[0].Redone(now, now.Sinks[0])
	if err != nil {
		t.Fatal(err)
	}
	c := redone.Sinks[0].Config.(*s3.Config)
	if c.Bucket != "lake" || c.Prefix != "then" {
		t.Errorf("what is put is not what was planned: %+v", c)
	}
	if c.Endpoint != "http://127.0.0.1:2" || c.Region != "eu-central-1" || c.AccessKey.Reveal() != "new: ${x} \"" || c.SecretKey.Reveal() != "new" ||
		c.SessionToken.Reveal() != "new token" {
		t.Errorf("the store is not reached as it is now: %+v %q %q %q", c, c.AccessKey.Reveal(), c.SecretKey.Reveal(), c.SessionToken.Reveal())
	}
	// Lasting credentials took the place of temporary ones.
	w.sink = strings.Replace(w.sink, `, session_token: "${env:WORKSHOP_TOKEN}"`, "", 1)
	lasting := w.load()
	if redone, err = then.Sinks[0].Redone(lasting, lasting.Sinks[0]); err != nil {
		t.Fatal(err)
	}
	if c := redone.Sinks[0].Config.(*s3.Config); !c.SessionToken.Empty() {
		t.Errorf("a token of the past remains: %q", c.SessionToken.Reveal())
	}
	// Of another type there is only what was recorded.
	w.sink = newWorkshop(t).sink
	if _, err := then.Sinks[0].Redone(now, w.load().Sinks[0]); err == nil || !strings.Contains(err.Error(), "secret_key") {
		t.Errorf("a secret that is not recorded is not missed: %v", err)
	}
}

func TestChunkOfAnInferredSchemaIsRedoneAsPlanned(t *testing.T) {
	w := newWorkshop(t)
	w.stream = "infer: {sample: 10}"
	c := &crash{at: 1, objects: 1}
	w.breaks(c)
	var text strings.Builder
	for i := range 50 {
		fmt.Fprintf(&text, `{"id":%d,"n":1}`+"\n", i)
	}
	w.put("in.ndjson", text.String())
	if _, err := w.tryRun(); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	// Later records widen the schema, and the file changes.
	for i := range 50 {
		fmt.Fprintf(&text, `{"id":%d,"n":1.5,"more":"x"}`+"\n", 50+i)
	}
	w.put("in.ndjson", text.String())
	w.stream = "infer: {sample: 10}, unknown: add"
	w.sink = strings.Replace(w.sink, "prefix: ok", `prefix: ok/new, partition_by: ["id % 2 AS part"]`, 1)
	w.run()
	w.run()
	w.want("delivered", w.everywhere("out"), each(100, isAny))
}
