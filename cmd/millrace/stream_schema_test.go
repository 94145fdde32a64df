package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/pipelines"
)

func TestDescribeShowsTheSchemaThatRecordsDecidedOn(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	input := clicksFile(t, "in.ndjson", `{"at":"2026-01-01T00:00:00Z","n":1}`+"\n")
	file := filepath.Join(dir, "p.yaml")
	text := fmt.Sprintf("version: 1\nstreams:\n  clicks: {infer: {wait: 1ms}, event_time: at}\nsources:\n  in: {type: file, paths: [%q], to: clicks}\nsinks:\n  out: {type: file, from: clicks, dir: %s}\n", input, filepath.Join(dir, "out"))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := command(t, "check", file)
	if code != exitOK {
		t.Fatal(stderr)
	}
	want(t, out, "the first run infers the schema and writes "+filepath.Join(dir, "clicks.schema.yaml"))
	code, out, stderr = command(t, "run", file, "--data", data, "--json")
	if code != exitOK {
		t.Fatal(stderr)
	}
	want(t, stderr, "waiting for records to infer the schema of clicks", "inferred 2 columns from 1 record", "clicks.schema.yaml; review it")
	if s := decode[pipelines.Summary](t, out); s.Tasks[0].Delivered.Rows != 1 {
		t.Errorf("%+v", s)
	}
	_, out, _ = command(t, "stream", "describe", "clicks", "--data", data)
	want(t, out, "schema, version 1 (sample, ", "at     timestamp  fixed", "n      bigint", "_rest  json")
	_, out, _ = command(t, "stream", "describe", "clicks", "--data", data, "--json")
	s := decode[control.Stream](t, out)
	if s.Schema == nil || s.Schema.Version != 1 || len(s.Schema.Columns) != 3 || !s.Schema.Columns[0].Fixed {
		t.Errorf("%+v", s.Schema)
	}
	code, out, _ = command(t, "check", file)
	if code != exitOK {
		t.Error(code)
	}
	want(t, out, "3 columns from "+filepath.Join(dir, "clicks.schema.yaml"))
}
