package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

func TestRedriveSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	file, data := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "data")
	text := `version: 1
streams: {in: {schema: {id: bigint}}}
sources: {f: {type: file, paths: ["` + filepath.Join(dir, "in.ndjson") + `"], format: ndjson, to: in}}
sinks: {out: {type: file, from: in, dir: "` + filepath.Join(dir, "out") + `", error_prefix: bad}}
`
	for name, content := range map[string]string{file: text, filepath.Join(dir, "in.ndjson"): "{\"id\":1}\n{\"id\":\"x\"}\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	call := func(args ...string) (code int, stdout, stderr string) {
		var out, errs strings.Builder
		code = run(args, &out, &errs)
		return code, out.String(), errs.String()
	}
	if code, out, errs := call("run", file, "--data", data); code != exitOK || !strings.Contains(out, "1 rejected row under its error prefix (1 in this run)") {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	if code, _, errs := call("redrive", file, "lake", "--data", data); code != exitUsage || !strings.Contains(errs, `no sink "lake"; it has out`) {
		t.Errorf("unknown sink: %d %s", code, errs)
	}
	if code, out, errs := call("redrive", file, "out", "--data", data, "--dry-run"); code != exitOK || !strings.Contains(out, "1 row would be sent") {
		t.Errorf("dry run: %d %s %s", code, out, errs)
	}
	if code, out, errs := call("redrive", file, "out", "--data", data); code != exitOK || !strings.Contains(out, "1 row sent, 0 delivered, 1 failed again") {
		t.Errorf("redrive: %d %s %s", code, out, errs)
	}
	other, err := disk.Open(vfs.OS{}, data, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if code, _, errs := call("redrive", file, "out", "--data", data); code != exitFailed || !strings.Contains(errs, "stop the pipeline, redrive, and start it again") {
		t.Errorf("locked: %d %s", code, errs)
	}
}
