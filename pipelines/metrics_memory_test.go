package pipelines_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// gaugeOf is the value of a line of /metrics, 0 if there is none.
func gaugeOf(t *testing.T, text, series string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMetricsTellOfTheMemoryOfAnOpenChunkAndOfItsSpill(t *testing.T) {
	dir := t.TempDir()
	const rows = 40_000
	var lines strings.Builder
	for i := range rows {
		fmt.Fprintf(&lines, `{"id":%d,"pad":"%0100d"}`+"\n", i, i)
	}
	file := filepath.Join(dir, "p.yaml")
	pipeline := fmt.Sprintf(`version: 1
memory: 16MiB
streams:
  in: {schema: {id: bigint, pad: string}}
sources:
  f: {type: file, paths: [%q], format: ndjson, to: in}
  idle: {type: http, listen: "127.0.0.1:0", to: in}
sinks:
  out: {type: file, from: in, dir: %q, partition_by: ["id %% 2 AS part"], buffer: {rows: 1000000}}
`, filepath.Join(dir, "in.ndjson"), filepath.Join(dir, "out"))
	for name, text := range map[string]string{file: pipeline, filepath.Join(dir, "in.ndjson"): lines.String()} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := begin(t, file, filepath.Join(dir, "data"), nil)
	eventually(t, "all rows are in the open chunk", func() bool { return r.run.Status().Tasks[0].Steps[0].In == rows })
	text := metrics(t, r.run.Status)
	for series, least := range map[string]float64{
		`millrace_sink_memory_bytes{holder="staged_rows",task="out"}`:  1,
		`millrace_sink_memory_bytes{holder="open_objects",task="out"}`: 1,
		`millrace_sink_spilled_bytes_total{task="out"}`:                1 << 20,
		`millrace_sink_open_partitions{task="out"}`:                    2,
	} {
		if got := gaugeOf(t, text, series); got < least || got > 100<<20 {
			t.Errorf("%s is %v", series, got)
		}
	}
	if !strings.Contains(text, `millrace_sink_memory_bytes{holder="finished_objects",task="out"} `) {
		t.Error("the memory of finished objects is missing")
	}
	close(r.stop)
	r.end()
	text = metrics(t, r.run.Status)
	if got := gaugeOf(t, text, `millrace_sink_memory_bytes{holder="open_objects",task="out"}`); got != 0 {
		t.Errorf("objects that are delivered take %v bytes", got)
	}
}
