package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipelines"
)

// estimated is the estimate of a pipeline with one sink, and what prints it for people.
func estimated(t *testing.T, sink string, flags ...string) (x pipelines.Estimate, human func() string) {
	t.Helper()
	var records strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&records, "{\"id\":%d,\"country\":\"c%d\",\"note\":\"%x\"}\n", i, i%4, i*2654435761)
	}
	dir := t.TempDir()
	input := clicksFile(t, "in.ndjson.gz", records.String())
	file := filepath.Join(dir, "lake.yaml")
	text := fmt.Sprintf("version: 1\nstreams:\n  clicks: {infer: {}}\nsources:\n  in: {type: file, paths: [%q], to: clicks}\nsinks:\n  lake: {from: clicks, %s}\n", input, sink)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"estimate", file, "--data", filepath.Join(dir, "data")}, flags...)
	human = func() string {
		_, text, _ := command(t, args...)
		return text
	}
	code, out, stderr := command(t, append(args, "--json")...)
	if code != exitOK {
		t.Fatalf("code %d: %s", code, stderr)
	}
	var got struct{ Sinks []pipelines.Estimate }
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Sinks) != 1 {
		t.Fatalf("%s (%v)", out, err)
	}
	for _, left := range []string{"data", "out"} {
		if _, err := os.Stat(filepath.Join(dir, left)); err == nil {
			t.Errorf("the estimate made %s", left)
		}
	}
	return got.Sinks[0], human
}

const s3Sink = `type: s3, endpoint: "http://localhost:9", bucket: lake, access_key: a, secret_key: b`

func TestEstimateFollowsTheTriggerThatCutsFirst(t *testing.T) {
	x, human := estimated(t, s3Sink+", buffer: {age: 60s}", "--rate", "100")
	if x.Cut != "age" || math.Abs(x.ChunkRows-6000) > 1 || math.Abs(x.ObjectsPerHour-60) > 0.1 || x.Partitions != 1 {
		t.Errorf("%+v", x)
	}
	if len(x.Warnings) != 1 || !strings.Contains(x.Warnings[0], "buffer: {age: ") || !strings.Contains(human(), "warning") {
		t.Errorf("warnings %q in\n%s", x.Warnings, human())
	}
	x, _ = estimated(t, s3Sink+", buffer: {size: 32MiB, age: 1h}", "--rate", "1000000")
	if x.Cut != "size" || x.BytesPerObject < 30<<20 || x.BytesPerObject > 34<<20 || len(x.Warnings) > 0 {
		t.Errorf("%+v", x)
	}
	x, _ = estimated(t, s3Sink+", buffer: {rows: 1000}", "--rate", "1000")
	if x.Cut != "rows" || math.Abs(x.ObjectsPerHour-3600) > 1 || !strings.Contains(x.Warnings[0], "buffer.rows") || !strings.Contains(x.Warnings[0], " KiB") {
		t.Errorf("%+v", x)
	}
}

func TestEstimateCountsPartitionsAndTasks(t *testing.T) {
	x, human := estimated(t, s3Sink+", partition_by: [country], buffer: {age: 60s}", "--rate", "100")
	if x.Partitions != 4 || math.Abs(x.ObjectsPerHour-240) > 0.1 || math.Abs(x.RowsPerObject-1500) > 1 || len(x.Largest) != 4 {
		t.Errorf("%+v", x)
	}
	if !strings.Contains(human(), "country=c0") || !strings.Contains(x.Warnings[0], "fewer or coarser partitions") {
		t.Errorf("%q in\n%s", x.Warnings, human())
	}
	// As many partitions as rows: each chunk has as many objects as rows.
	x, _ = estimated(t, s3Sink+", partition_by: [id], buffer: {rows: 500}", "--rate", "100", "--sample", "2000")
	if math.Abs(x.Partitions-500) > 1 {
		t.Errorf("%+v", x)
	}
}

func TestEstimateSaysWhatItCannotTell(t *testing.T) {
	if x, _ := estimated(t, "type: file, path: "+filepath.Join(t.TempDir(), "out.ndjson")); x.Note != "it writes one file, which grows" {
		t.Errorf("%+v", x)
	}
	if x, _ := estimated(t, "type: file, dir: "+t.TempDir()); x.PerSecondFrom != "assumed" || x.PerSecond != pipelines.AssumedRate {
		t.Errorf("%+v", x)
	}
}
