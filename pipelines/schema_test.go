package pipelines_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/millrace-io/millrace/pipelines"
)

// validator is the JSON Schema of pipeline files as an independent library understands it.
func validator(t *testing.T, c pipelines.Components) *jsonschema.Schema {
	t.Helper()
	text, err := pipelines.SchemaJSON(c)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("pipeline.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("pipeline.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is a YAML text as an editor shows it to the schema.
func instance(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return plain(v)
}

// plain turns what only YAML has into what JSON has.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case time.Time:
		return v.Format(time.RFC3339)
	}
	return v
}

func TestSchemaAcceptsEveryExample(t *testing.T) {
	files, err := filepath.Glob("pipelines/examples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatal("too few examples", files, err)
	}
	s := validator(t, realComponents())
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(instance(t, string(data))); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if _, err := pipelines.Load(file, realComponents(), pipelines.LoadOptions{Getenv: environment}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestSchemaAcceptsWhatLoadAccepts(t *testing.T) {
	s := validator(t, fakes())
	const entry = "version: 1\nstreams: {a: {schema: {x: int}}}\nsinks:\n  out: {type: store, from: a, url: x, "
	for _, text := range []string{
		whole,
		"version: 1\nstreams:\n  a:\nsources:\ntransforms:\nqueries:\nsinks:\n",
		"version: 1\nmemory: 100000000\nstreams: {a: {shards: \"${env:PRICE}\", retention: \"${env:X:-1h}\", max_disk: 1.5 gib}}\n",
		"version: 1\nname: 007\nstreams: {a: {watermark: 0, event_time: x, schema: {x: timestamp, y: \"decimal( 5 )\", z: [[{a: uuid}]]}}}\n",
		entry + "follow: \"${env:X:-true}\", codec: \"${env:X:-zstd}\", age: 1d12h30m, size: \"1 KB\"}\n",
		entry + "by: , nested: }\n",
		entry + "url: 5}\n",
		entry + "key: true, start: latest, age: 1.5h, nested: {deep: \"${env:PRICE}\"}}\n",
	} {
		text = strings.Replace(text, "url: x, url: 5", "url: 5", 1)
		if _, err := load(t, text, fakes()); err != nil {
			t.Errorf("load: %v\n%s", err, text)
		}
		if err := s.Validate(instance(t, text)); err != nil {
			t.Errorf("schema: %v\n%s", err, text)
		}
	}
}

// Mistakes of structure are seen by the schema, those of the graph by Load alone.
func TestSchemaRejectsEveryStructuralMistake(t *testing.T) {
	s := validator(t, fakes())
	for _, c := range badCases(t) {
		err := s.Validate(instance(t, c.text))
		switch {
		case c.file == "structural" && err == nil:
			t.Errorf("%s: the schema accepts it", c.name)
		case c.file == "graph" && err != nil:
			t.Errorf("%s: the schema rejects it: %v", c.name, err)
		}
	}
}

func TestSchemaDescribesKeys(t *testing.T) {
	text, err := pipelines.SchemaJSON(realComponents())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"$schema": "https://json-schema.org/draft/2020-12/schema"`,
		`"default": "128MiB"`,
		"Retention is how long a record stays readable",
		"Paths are the files to read",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s", want)
		}
	}
	if again, err := pipelines.SchemaJSON(realComponents()); err != nil || !bytes.Equal(text, again) {
		t.Error("the schema differs from call to call")
	}
}

func TestColumnsThatReadersOfParquetTakeForOneAreWarnedOf(t *testing.T) {
	for _, c := range []struct{ schema, format, want string }{
		{"id: bigint, userId: string, userid: string", "parquet", `columns "userId" and "userid" differ only in case`},
		{"id: bigint, userId: string, userid: string", "ndjson", ""},
		{"id: bigint, user: {Id: string, id: string}", "parquet", `columns "user.Id" and "user.id" differ only in case`},
		{"id: bigint, all: [{a: {X: int, x: int}}]", "parquet", `columns "all[].a.X" and "all[].a.x" differ only in case`},
		{"id: bigint, a: {id: int}, b: {ID: int}", "parquet", ""},
	} {
		w := newWorkshop(t)
		w.stream = "schema: {" + c.schema + "}"
		w.sink = fmt.Sprintf(`type: file, from: in, dir: "DIR/out", format: %s`, c.format)
		w.lines(1)
		text := w.load().Warnings.Error()
		if c.want == "" && strings.Contains(text, "differ only in case") ||
			c.want != "" && !(strings.Contains(text, c.want) && strings.Contains(text, "sinks.out.format") && strings.Count(text, "differ only") == 1) {
			t.Errorf("{%s} as %s: %q", c.schema, c.format, text)
		}
	}
}
