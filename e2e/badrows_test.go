package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// broken are lines that are no click event, by the code that they are rejected with.
var broken = []struct{ code, line string }{
	{"parse-error", `{"event_time":"2026-01-01T00:00:00Z","user_id":"broken-%d"`},
	{"parse-error", `broken-%d is no JSON`},
	{"type-mismatch", `{"event_time":"2026-01-01T00:00:00Z","user_id":"broken-%d","quantity":"many"}`},
	{"type-mismatch", `{"event_time":"yesterday","user_id":"broken-%d"}`},
	{"parse-error", `["broken-%d"]`},
	{"invalid-utf8", "{\"event_time\":\"2026-01-01T00:00:00Z\",\"user_id\":\"broken-%d\",\"url\":\"\xff\"}"},
}

// letter is a dead letter as `millrace dead-letters` prints it.
type letter struct {
	Stream, Shard, Code, Reason, Step string
	Ordinal                           *int64
	Data                              string
	Base64                            []byte `json:"data_base64"`
}

// withBroken copies a file of events with a broken line behind every thousandth, and returns the
// broken ones with the code that each should be rejected with.
func withBroken(t *testing.T, file string) (path string, codes map[string]string) {
	t.Helper()
	in, err := os.Open(file)
	must(t, err)
	defer in.Close()
	path = filepath.Join(t.TempDir(), "mixed.ndjson")
	out, err := os.Create(path)
	must(t, err)
	defer out.Close()
	w := bufio.NewWriter(out)
	codes = map[string]string{}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		fmt.Fprintf(w, "%s\n", lines.Bytes())
		if n%1000 == 0 {
			kind := broken[n/1000%len(broken)]
			line := fmt.Sprintf(kind.line, n)
			codes[line] = kind.code
			fmt.Fprintf(w, "%s\n", line)
		}
	}
	must(t, lines.Err())
	must(t, w.Flush())
	return path, codes
}

func TestBrokenLinesAreKeptOnceAndTheRestDelivered(t *testing.T) {
	needStore(t)
	const n = 200_000
	file := clicks(t, n)
	mixed, codes := withBroken(t, file)
	p := pipeline(t, "lake.yaml", impatientLake, "EVENTS="+mixed)

	process, hits := killed(t, p, rand.New(rand.NewPCG(7, 7)), 5)
	summary, _ := p.finish(process)
	t.Logf("%d kills", hits)
	var bad int64
	for _, step := range summary.Task("lake").Steps {
		bad += step.Bad
	}
	if want := int64(len(codes)); bad != want || summary.DeadLetters.Total != want {
		t.Errorf("%d rows counted as bad, %d kept; want %d", bad, summary.DeadLetters.Total, want)
	}
	table, _ := p.delivered()
	sameEvents(t, file, table)

	exit := p.other("dead-letters", "--data", p.data)
	if exit.Code != 0 {
		t.Fatalf("dead-letters: exit code %d\n%s", exit.Code, exit.Stderr)
	}
	kept := map[string]int{}
	for line := range strings.Lines(exit.Stdout) {
		var l letter
		must(t, json.Unmarshal([]byte(line), &l))
		data := l.Data + string(l.Base64)
		kept[data]++
		if l.Code != codes[data] || l.Reason == "" || l.Stream != "clicks" || l.Shard == "" || l.Ordinal == nil || l.Step == "" {
			t.Errorf("dead letter %s; want the code %q, a reason and the row's identity", strings.TrimSpace(line), codes[data])
		}
	}
	for line := range codes {
		if kept[line] != 1 {
			t.Errorf("kept %d times: %q", kept[line], line)
		}
	}
	if len(kept) != len(codes) {
		t.Errorf("%d different rows are kept, want %d", len(kept), len(codes))
	}
}
