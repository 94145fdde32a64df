package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace-io/millrace/pipelines"
)

// clicksFile writes records as NDJSON, packed as the name says.
func clicksFile(t *testing.T, name, text string) string {
	t.Helper()
	var b bytes.Buffer
	switch filepath.Ext(name) {
	case ".gz":
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
	case ".zst":
		w, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(text))
		_ = w.Close()
	default:
		b.WriteString(text)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const mixedRecords = `{"at":"2026-01-01T00:00:00Z","n":1,"v":1,"none":null}
not json
{"at":"2026-01-02T00:00:00Z","n":2.5,"v":"a","geo":{"lat":1.5}}
`

func TestDiscoverProposesASchemaThatTakesTheRecords(t *testing.T) {
	for _, name := range []string{"My Clicks.ndjson", "my-clicks.ndjson.gz", "my-clicks.ndjson.zst"} {
		path := clicksFile(t, name, mixedRecords)
		code, out, stderr := command(t, "discover", path)
		if code != exitOK {
			t.Fatalf("%s: code %d: %s", name, code, stderr)
		}
		for _, want := range []string{
			"2 records; 1 other left out", "  my-clicks:\n    schema:\n      at: timestamp\n      n: double\n      v: json  # 1 bigint, 1 string\n      geo: {lat: double}\n",
			"# conflict: v is json because it holds 1 bigint, 1 string", "nothing but null or empty lists and objects: none",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is missing in\n%s", name, want, out)
			}
		}
		// What is printed is a file that runs, but for its version.
		pipeline := filepath.Join(t.TempDir(), "p.yaml")
		if err := os.WriteFile(pipeline, []byte("version: 1\n"+out), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := pipelines.Load(pipeline, components(), pipelines.LoadOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDiscoverWritesALockFileOnce(t *testing.T) {
	path := clicksFile(t, "clicks.json", "["+`{"v":1}, {"v":"a"}`+"]")
	lock := filepath.Join(t.TempDir(), "s.yaml")
	if code, _, stderr := command(t, "discover", path, "--lock", lock); code != exitOK {
		t.Fatal(stderr)
	}
	got, err := pipelines.ReadLock(lock)
	if err != nil || len(got.Schema.Fields) != 1 || got.Schema.Fields[0].Type.String() != "string" || got.Version != 0 {
		t.Errorf("%+v (%v)", got, err)
	}
	if code, _, stderr := command(t, "discover", path, "--lock", lock); code != exitUsage || !strings.Contains(stderr, "is there already") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestDiscoverReadsAStream(t *testing.T) {
	data := t.TempDir()
	for _, args := range [][]string{{"stream", "create", "clicks", "--data", data}, {"stream", "put", "clicks", `{"n":1}`, `{"n":2,"x":true}`, "--data", data}} {
		if code, _, stderr := command(t, args...); code != exitOK {
			t.Fatal(stderr)
		}
	}
	code, out, stderr := command(t, "discover", "clicks", "--data", data, "--json")
	var d discovery
	if code != exitOK || json.Unmarshal([]byte(out), &d) != nil {
		t.Fatalf("code %d: %s%s", code, out, stderr)
	}
	if d.Records != 2 || fmt.Sprint(d.Schema) != "map[n:bigint x:boolean]" || d.Columns[1].Nulls != 1 || len(d.Columns[0].Examples) != 2 {
		t.Errorf("%+v", d)
	}
	if code, _, stderr := command(t, "discover", "clocks", "--data", data); code != exitUsage || !strings.Contains(stderr, "is no file, and no stream can be read") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestDiscoverOfNoRecordsSaysSo(t *testing.T) {
	if code, _, stderr := command(t, "discover", clicksFile(t, "a.ndjson", "1\n2\n")); code != exitFailed || !strings.Contains(stderr, "none of 2 records is a JSON object") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

// command runs a command line and returns what it printed.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}
