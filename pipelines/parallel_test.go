package pipelines_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/pipelines"
)

const parallelFile = `
version: 1
name: par
streams:
  clicks: {shards: 3, schema: {event_time: timestamp, user_id: string}, event_time: event_time}
sources:
  gen: {type: generate, kind: clicks, count: %d, partition_key: user_id, to: clicks}
sinks:
  lake: {type: file, dir: %q, from: clicks, parallelism: %d, buffer: {rows: 700}}
`

// deliverParallel runs a pipeline with a number of tasks to its end.
func deliverParallel(t *testing.T, dir string, count, tasks int) pipelines.Summary {
	t.Helper()
	path := filepath.Join(dir, "par.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, parallelFile, count, filepath.Join(dir, "out"), tasks), 0o600); err != nil {
		t.Fatal(err)
	}
	return begin(t, path, filepath.Join(dir, "data"), nil).end()
}

// lines counts the rows below a directory, and how many tasks wrote them.
func lines(t *testing.T, dir string) (rows int, unique map[string]bool) {
	t.Helper()
	unique = map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			rows++
			unique[line] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows, unique
}

func TestParallelSinkDeliversOnceWhateverItsNumberOfTasks(t *testing.T) {
	dir := t.TempDir()
	total := 0
	for i, tasks := range []int{1, 3, 2} {
		total = 5000 * (i + 1)
		s := deliverParallel(t, dir, total, tasks)
		x := task(t, s, "lake")
		if x.Total.In != int64(total) || x.Run.In != 5000 || x.Delivered.Rows != int64(total) {
			t.Errorf("%d tasks: in %d, in this run %d, delivered %d, want %d", tasks, x.Total.In, x.Run.In, x.Delivered.Rows, total)
		}
	}
	if rows, unique := lines(t, filepath.Join(dir, "out")); rows != total || len(unique) < total/2 {
		t.Errorf("%d rows were delivered, %d of them different, of %d", rows, len(unique), total)
	}
}

// A process that was killed leaves leases behind. The next one must not wait for them.
func TestLeasesOfADeadProcessAreFree(t *testing.T) {
	dir := t.TempDir()
	deliverParallel(t, dir, 100, 2)
	b, err := disk.Open(vfs.OS{}, filepath.Join(dir, "data"), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := b.Meta().List(t.Context(), "leases/")
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, key := range keys {
		if !strings.Contains(key, "shardId-") {
			continue
		}
		_, revision, err := b.Meta().Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		lease := `{"version":1,"owner":"pid-1-dead","counter":7,"fence":9,"position":0}`
		if _, err := b.Meta().CAS(t.Context(), key, []byte(lease), revision); err != nil {
			t.Fatal(err)
		}
		held++
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if held != 2 {
		t.Fatalf("%d leases, want 2: %v", held, keys)
	}
	if s := deliverParallel(t, dir, 200, 2); task(t, s, "lake").Run.In != 100 || s.Seconds > 30 {
		t.Errorf("the next run took %v s for %d rows", s.Seconds, task(t, s, "lake").Run.In)
	}
}

func TestSinkWithOneWriterRefusesParallelism(t *testing.T) {
	for sink, want := range map[string]string{
		"{type: stdout, from: clicks, parallelism: 2}":                 "standard output has one writer",
		"{type: file, path: a.json, from: clicks, parallelism: 2}":     "one file has one writer",
		"{type: file, dir: a, from: clicks, parallelism: 0}":           "parallelism",
		"{type: file, path: a.json, from: clicks, parallelism: 1}":     "",
		"{type: file, dir: a.directory, from: clicks, parallelism: 8}": "",
	} {
		path := filepath.Join(t.TempDir(), "p.yaml")
		text := "version: 1\nstreams:\n  clicks: {schema: {at: timestamp}}\nsinks:\n  out: " + sink + "\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := pipelines.Load(path, realComponents(), pipelines.LoadOptions{})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", sink, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ":5:")):
			t.Errorf("%s: %v, want %q in line 5", sink, err, want)
		}
	}
}
