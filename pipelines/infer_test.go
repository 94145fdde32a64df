package pipelines_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/pipelines"
)

// newPlace has a pipeline from in-*.ndjson through a stream into files of ten rows.
func newPlace(t *testing.T, stream string, extra ...string) *place {
	t.Helper()
	return placeOf(t, fmt.Sprintf(`
version: 1
streams:
  clicks:
%s
sources:
  in: {type: file, paths: ["DIR/in-*.ndjson"], to: clicks}
sinks:
  lake:
    type: file
    from: clicks
    dir: DIR/out
    format: ndjson
    buffer: {rows: 10}
%s
`, stream, strings.Join(extra, "\n")))
}

func TestSchemaIsInferredLockedAndWidened(t *testing.T) {
	p := newPlace(t, "    infer: {sample: 20}\n    unknown: add\n    event_time: at")
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "{\"at\":%d,\"n\":%d,\"who\":{\"id\":\"u%d\"}}\n", 1_760_000_000_000+i, i, i)
	}
	p.write("in-1.ndjson", text.String())
	if s := p.run(); s.Sources[0].Written != 20 {
		t.Errorf("the first run reports %d records, those of the sample included", s.Sources[0].Written)
	}
	const first = "version: 1\nschema:\n  at: timestamp\n  n: bigint\n  who: {id: string}\n"
	if lock := p.read("clicks.schema.yaml"); !strings.HasSuffix(lock, first) || !strings.HasPrefix(lock, "# ") {
		t.Errorf("the lock file is\n%s", lock)
	}
	if len(p.said) != 3 || !strings.Contains(p.said[0], "waiting for records") || !strings.Contains(p.said[2], "review it") {
		t.Errorf("said %q", p.said)
	}
	if _, rows := p.rows(); len(rows) != 20 || rows[0] != `{"at":"2025-10-09T08:53:20Z","n":0,"who":{"id":"u0"},"_rest":null}` {
		t.Errorf("%d rows, first %s", len(rows), rows[0])
	}

	// The next records do not fit; what they bring is kept, and has columns from the next chunk on.
	p.write("in-2.ndjson", `{"at":1760000001000,"n":1.5,"who":{"id":"a","age":7},"new":[1]}`+"\n")
	s := p.run()
	if s.Sources[0].Written != 1 {
		t.Errorf("the second run reports %d records", s.Sources[0].Written)
	}
	if s.Tasks[0].Schema != 1 {
		t.Errorf("the chunk of the second run has version %d", s.Tasks[0].Schema)
	}
	if _, rows := p.rows(); !slices.Contains(rows, `{"at":"2025-10-09T08:53:21Z","n":null,"who":{"id":"a"},"_rest":{"n":1.5,"new":[1],"who":{"id":"a","age":7}}}`) {
		t.Errorf("rows\n%s", strings.Join(rows, "\n"))
	}
	const second = "version: 2\nschema:\n  at: timestamp\n  n: double\n  who: {id: string, age: bigint}\n  new: [bigint]\n"
	if lock := p.read("clicks.schema.yaml"); !strings.HasSuffix(lock, second) {
		t.Errorf("the lock file is\n%s", lock)
	}

	// A person edits it: age is not wanted, n is to be a decimal.
	p.write("clicks.schema.yaml", "version: 2\nschema:\n  at: timestamp\n  n: decimal(10,2)\n  who: {id: string}\n  new: json\n")
	p.write("in-3.ndjson", `{"at":1760000002000,"n":2.25,"who":{"id":"b"},"new":{"x":1}}`+"\n")
	if s := p.run(); s.Tasks[0].Schema != 3 {
		t.Errorf("the chunk of the third run has version %d", s.Tasks[0].Schema)
	}
	if _, rows := p.rows(); !slices.Contains(rows, `{"at":"2025-10-09T08:53:22Z","n":2.25,"who":{"id":"b"},"new":{"x":1},"_rest":null}`) {
		t.Errorf("rows\n%s", strings.Join(rows, "\n"))
	}
	if lock := p.read("clicks.schema.yaml"); !strings.Contains(lock, "version: 3\n") || !strings.Contains(lock, `n: "decimal(10,2)"`) {
		t.Errorf("the lock file is\n%s", lock)
	}

	// An old copy of the file, or none, changes nothing.
	p.write("clicks.schema.yaml", first)
	if s := p.run(); s.Tasks[0].Schema != 3 {
		t.Errorf("an old copy of the lock file led to version %d", s.Tasks[0].Schema)
	}
	if err := os.Remove(p.path("clicks.schema.yaml")); err != nil {
		t.Fatal(err)
	}
	if s := p.run(); s.Tasks[0].Schema != 3 || !strings.Contains(p.read("clicks.schema.yaml"), "version: 3\n") {
		t.Errorf("without the lock file the version is %d", s.Tasks[0].Schema)
	}
	if _, rows := p.rows(); len(rows) != 22 {
		t.Errorf("%d rows in the end", len(rows))
	}
}

func TestAlternatingShapesMakeNoSmallFiles(t *testing.T) {
	p := newPlace(t, "    infer: {sample: 1}\n    unknown: add")
	for file := range 10 {
		var text strings.Builder
		for i := range 1000 {
			if i%2 == 0 {
				fmt.Fprintf(&text, "{\"id\":%d,\"a\":%d}\n", i, i)
			} else {
				fmt.Fprintf(&text, "{\"id\":%d,\"b\":\"%d\",\"a\":0.5}\n", i, i)
			}
		}
		p.write(fmt.Sprintf("in-%02d.ndjson", file), text.String())
	}
	s := p.run()
	files, rows := p.rows()
	if len(rows) != 10_000 {
		t.Errorf("%d rows", len(rows))
	}
	for i, f := range files {
		// A chunk is cut after the batch that fills it; only the last may have less.
		if len(f) < 10 && i < len(files)-1 {
			t.Errorf("file %d of %d has %d rows", i, len(files), len(f))
		}
	}
	for reason := range s.Tasks[0].Cuts {
		if reason != "rows" && reason != "end" {
			t.Errorf("a chunk was cut by %s", reason)
		}
	}
	want := []string{"id", "a", "_rest", "b"}
	var last struct{ ID, A, B, Rest any }
	if err := json.Unmarshal([]byte(rows[len(rows)-1]), &last); err != nil {
		t.Fatal(err)
	}
	loaded, _, err := p.resolve()
	if err != nil {
		t.Fatal(err)
	}
	if got := loaded.Streams[0].Schema.Names(); !slices.Equal(got, want) || loaded.Streams[0].Version.Number != 2 {
		t.Errorf("columns %v of version %d", got, loaded.Streams[0].Version.Number)
	}
}

func TestDeclaredSchemaKeepsWhatItDoesNotKnow(t *testing.T) {
	for _, c := range []struct{ unknown, want string }{
		{"ignore", `{"id":1}`},
		{"rest", `{"id":1,"_rest":{"x":"a"}}`},
		{"add", `{"id":1,"_rest":{"x":"a"}}`},
	} {
		p := newPlace(t, "    schema: {id: bigint}\n    unknown: "+c.unknown)
		p.write("in-1.ndjson", `{"id":1,"x":"a"}`+"\n"+`{"id":"no","x":1}`+"\n")
		s := p.run()
		if _, rows := p.rows(); len(rows) != 1 || rows[0] != c.want || s.DeadLetters.Records != 1 {
			t.Errorf("%s: rows %q, %d dead letters", c.unknown, rows, s.DeadLetters.Records)
		}
		if c.unknown != "add" {
			continue
		}
		p.write("in-2.ndjson", `{"id":2,"x":"b"}`+"\n")
		p.run()
		if _, rows := p.rows(); !slices.Contains(rows, `{"id":2,"_rest":null,"x":"b"}`) {
			t.Errorf("added: rows %q", rows)
		}
		if _, err := os.Stat(p.path("clicks.schema.yaml")); err == nil {
			t.Error("a declared schema got a lock file")
		}
	}
}

func TestColumnsThatSQLReadsKeepTheirTypes(t *testing.T) {
	p := newPlace(t, "    infer: {sample: 1}", `queries:
  big: {sql: "SELECT n + 1 AS m FROM clicks"}`)
	p.write("p.yaml", strings.Replace(p.read("p.yaml"), "from: clicks\n", "from: big\n", 1))
	p.write("in-1.ndjson", `{"n":1,"other":1}`+"\n"+`{"n":"x"}`+"\n"+`{"n":5,"other":"x"}`+"\n")
	s := p.run()
	if _, rows := p.rows(); !slices.Equal(rows, []string{`{"m":2}`, `{"m":6}`}) || s.DeadLetters.Records != 1 {
		t.Errorf("rows %q, %d dead letters", rows, s.DeadLetters.Records)
	}
	loaded, _, err := p.resolve()
	if err != nil {
		t.Fatal(err)
	}
	if v := loaded.Streams[0].Version; !slices.Equal(v.Fixed, []string{"n"}) || v.Schema.Fields[0].Type.Kind != column.BigInt {
		t.Errorf("fixed %v in %v", v.Fixed, v.Schema)
	}
}

func TestColumnsOfPartitionsKeepTheirTypes(t *testing.T) {
	p := newPlace(t, "    infer: {sample: 1}")
	p.write("p.yaml", strings.Replace(p.read("p.yaml"), "    format: ndjson\n", "    format: ndjson\n    partition_by: [\"n + 1 AS m\"]\n", 1))
	p.write("in-1.ndjson", `{"n":1}`+"\n"+`{"n":"x"}`+"\n")
	if s := p.run(); s.DeadLetters.Records != 1 || s.Tasks[0].Schema != 1 {
		t.Errorf("%d dead letters, version %d", s.DeadLetters.Records, s.Tasks[0].Schema)
	}
	if s := p.run(); s.Tasks[0].Schema != 1 {
		t.Errorf("version %d after a restart", s.Tasks[0].Schema)
	}
}

func TestMistakesAboutInferredSchemasNameTheCure(t *testing.T) {
	for _, c := range []struct{ stream, lock, want string }{
		{"    infer: {}\n    schema: {id: bigint}", "", "remove schema to infer one"},
		{"    unknown: rest", "", "add schema: {field: type} or infer: {}"},
		{"    schema: {id: bigint, _rest: json}\n    unknown: rest", "", "rename the field"},
		{"    infer: {lock: p.yaml}", "", "the pipeline file itself"},
		{"    infer: {}", "schema: {id: bigin}", `did you mean "bigint"`},
		{"    infer: {}", "schema: {_rest: json}", "remove it"},
		{"    infer: {}\n    event_time: id", "schema: {id: string}", "event_time needs a timestamp"},
	} {
		p := newPlace(t, c.stream)
		if c.lock != "" {
			p.write("clicks.schema.yaml", c.lock)
		}
		_, err := pipelines.Load(p.path("p.yaml"), realComponents(), pipelines.LoadOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.stream, err, c.want)
		}
	}
}

func TestCheckOfAStreamWithoutASchemaYetIsNoMistake(t *testing.T) {
	p := newPlace(t, "    infer: {}\n    event_time: at")
	loaded, err := pipelines.Load(p.path("p.yaml"), realComponents(), pipelines.LoadOptions{})
	if err != nil || len(loaded.Unknown) != 1 || len(loaded.Sinks) != 0 || len(loaded.Warnings) > 0 {
		t.Errorf("%+v (%v)", loaded, err)
	}
}

func TestNothingToInferFromIsSaid(t *testing.T) {
	p := newPlace(t, "    infer: {wait: 10ms}")
	p.write("in-1.ndjson", "5\n[]\n")
	if _, _, err := p.resolve(); err == nil || !strings.Contains(err.Error(), "none of the 2 records looked at is a JSON object") {
		t.Error(err)
	}
	p = newPlace(t, "    infer: {wait: 10ms}\n    event_time: missing")
	p.write("in-1.ndjson", `{"a":1}`+"\n")
	if _, _, err := p.resolve(); err == nil || !strings.Contains(err.Error(), "missing") || !strings.Contains(p.read("clicks.schema.yaml"), "a: bigint") {
		t.Errorf("a schema that does not fit the pipeline: %v", err)
	}
}

func TestStopWhileRecordsAreWaitedForEndsTheWait(t *testing.T) {
	p := newPlace(t, "    infer: {}")
	p.write("p.yaml", strings.Replace(p.read("p.yaml"), "type: file, paths", "type: file, follow: true, paths", 1))
	stop := make(chan struct{})
	o := pipelines.Options{Data: p.path("data"), Stop: stop, Stdout: os.Stderr, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	_, err := pipelines.Resolve(t.Context(), p.path("p.yaml"), realComponents(), pipelines.ResolveOptions{Run: o, Say: func(string) { close(stop) }})
	if !errors.Is(err, pipelines.ErrUnsampled) {
		t.Error(err)
	}
	if _, err := os.Stat(p.path("clicks.schema.yaml")); err == nil {
		t.Error("a lock file was written for a schema that nobody knows")
	}
}

func TestLockFilesHoldAnyName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.yaml")
	schema := &column.Schema{}
	for _, name := range []string{"a b", "yes", "null", "1", "#", "ü", "a: b", "\"", "\n", "-", "~", "{", "a.b", "\\", "\u2028"} {
		elem := column.Type{Kind: column.Struct, Fields: []column.Field{{Name: name, Type: column.Type{Kind: column.Decimal, Precision: 10, Scale: 2}}}}
		schema.Fields = append(schema.Fields, column.Field{Name: name, Type: column.Type{Kind: column.List, Elem: &elem}})
	}
	if err := (pipelines.Lock{Version: 4, Schema: schema}).Write(path, "head\nof two lines\n"); err != nil {
		t.Fatal(err)
	}
	lock, err := pipelines.ReadLock(path)
	if err != nil || lock.Version != 4 || !slices.EqualFunc(lock.Schema.Fields, schema.Fields, func(a, b column.Field) bool { return a.Name == b.Name && a.Type.Equal(b.Type) }) {
		t.Errorf("%+v (%v)", lock, err)
	}
}
