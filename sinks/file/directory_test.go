package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace-io/millrace/sinks/encode"
)

func inDirectory(t *testing.T) Config {
	return Config{Dir: filepath.Join(t.TempDir(), "new", "out")}
}

// files are the paths in the sink's directory, sorted by name.
func (k *task) files() []string {
	k.t.Helper()
	entries, err := os.ReadDir(k.config.Dir)
	if err != nil {
		k.t.Fatal(err)
	}
	var paths []string
	for _, e := range entries {
		paths = append(paths, filepath.Join(k.config.Dir, e.Name()))
	}
	return paths
}

// wantFiles compares the lines of the files, file by file.
func (k *task) wantFiles(want ...[]string) {
	k.t.Helper()
	paths := k.files()
	if len(paths) != len(want) {
		k.t.Fatalf("%d files %v, want %d", len(paths), paths, len(want))
	}
	for i, lines := range want {
		wantLines(k.t, paths[i], lines...)
	}
}

func TestEachChunkIsAFile(t *testing.T) {
	k := newTask(t, inDirectory(t))
	k.wantFiles()
	k.deliver(ada, grace)
	k.deliver(alan)
	k.wantFiles([]string{ada, grace}, []string{alan})
	name := filepath.Base(k.files()[1])
	if !strings.HasPrefix(name, "test-out-00000000000000aa-0-0000000002-") || !strings.HasSuffix(name, ".ndjson") {
		t.Errorf("name %q", name)
	}
}

func TestFilesAreThereOnceWhereverACrashComes(t *testing.T) {
	for _, step := range []struct {
		name string
		do   func(k *task)
	}{
		{"after the plan", func(k *task) { k.plan() }},
		{"half written", func(k *task) {
			k.plan()
			half, err := k.sink.(*directory).temporary()
			if err == nil {
				_, err = half.WriteString(grace[:5])
			}
			if err != nil || half.Close() != nil {
				k.t.Fatal(err)
			}
		}},
		{"all written", func(k *task) { k.plan(); k.put() }},
		{"written twice", func(k *task) { k.plan(); k.put(); k.put() }},
		{"published", func(k *task) { k.plan(); k.put(); k.publish() }},
	} {
		t.Run(step.name, func(t *testing.T) {
			k := newTask(t, inDirectory(t))
			k.deliver(ada)
			k.add(grace, alan)
			step.do(k)
			k.crash()
			k.wantFiles([]string{ada}, []string{grace, alan})
			k.crash()
			k.deliver(edith)
			k.wantFiles([]string{ada}, []string{grace, alan}, []string{edith})
		})
	}
}

// A data directory that was set back to an older copy plans a chunk a second time.
func TestOtherRowsForAChunkAreRefused(t *testing.T) {
	k := newTask(t, inDirectory(t))
	k.deliver(ada)
	k.chunk = 0
	k.crash()
	k.add(grace)
	k.plan()
	wantPermanent(t, k.tryPut(), "other rows", "move it away")
	k.wantFiles([]string{ada})
}

func TestEmptyChunkIsNoFile(t *testing.T) {
	k := newTask(t, inDirectory(t))
	k.plan()
	k.put()
	k.publish()
	k.wantFiles()
}

func TestForeignFilesStayInTheDirectory(t *testing.T) {
	k := newTask(t, inDirectory(t))
	for _, name := range []string{".other.tmp", "test-out-x.ndjson"} {
		if err := os.WriteFile(filepath.Join(k.config.Dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	k.crash()
	k.deliver(ada)
	if got := len(k.files()); got != 3 {
		t.Errorf("%d files: %v", got, k.files())
	}
}

func TestParquetFilesHoldTheRows(t *testing.T) {
	c := inDirectory(t)
	c.Format = encode.NewConfig(encode.Parquet, encode.None)
	k := newTask(t, c)
	k.add(ada, grace, alan)
	k.plan()
	k.put()
	k.crash()
	paths := k.files()
	if len(paths) != 1 || !strings.HasSuffix(paths[0], ".parquet") {
		t.Fatalf("files: %v", paths)
	}
	type person struct {
		ID   *int64  `parquet:"id,optional"`
		Name *string `parquet:"name,optional"`
	}
	rows, err := parquet.ReadFile[person](paths[0])
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, r := range rows {
		sum += *r.ID
	}
	if len(rows) != 3 || sum != 6 {
		t.Errorf("%d rows, ids sum up to %d", len(rows), sum)
	}
}

func TestRowsOfADirectoryGoToTheirPartitions(t *testing.T) {
	c := inDirectory(t)
	c.Prefix, c.PartitionBy = "people", []string{"name"}
	k := newTask(t, c)
	k.deliver(ada)
	k.add(ada, grace)
	k.plan()
	k.put()
	k.crash()
	for name, want := range map[string][]int{"Ada": {1, 1}, "Grace": {1}} {
		files, err := filepath.Glob(filepath.Join(c.Dir, "people", "name="+name, "test-out-*.ndjson"))
		if err != nil || len(files) != len(want) {
			t.Errorf("%s: %v, %v; want %d files", name, files, err, len(want))
		}
	}
	if len(k.files()) != 1 {
		t.Errorf("beside the prefix: %v", k.files())
	}
}

// A set back data directory may plan the same chunk with rows of other partitions only.
func TestFilesOfLaterChunksAreReported(t *testing.T) {
	k := newTask(t, inDirectory(t))
	k.deliver(ada)
	k.deliver(grace)
	k.chunk = 0
	k.crash()
	k.add(ada)
	k.plan()
	wantPermanent(t, k.tryPut(), "set back", "move it away")
}
