package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-io/millrace/e2e/rig"
)

// joined joins each event with the version of a table that was there.
const joined = `version: 1
name: joined
streams:
  events: {schema: {seq: bigint, k: string}}
sources:
  in: {type: file, paths: ["${env:EVENTS}"], follow: true, to: events}
tables:
  versions:
    type: s3
    endpoint: http://127.0.0.1:19000
    access_key: ${env:AWS_ACCESS_KEY_ID}
    secret_key: ${env:AWS_SECRET_ACCESS_KEY}
    bucket: bench
    path: "${env:PREFIX}/versions.csv"
    format: csv
    schema: {k: string, version: bigint, part: bigint}
    refresh: 50ms
queries:
  rows:
    sql: SELECT e.seq, v.version, v.part FROM events AS e JOIN versions AS v ON e.k = v.k
sinks:
  out: {type: file, from: rows, path: "${env:OUT}", format: ndjson}
`

// putVersion replaces the table: each key has two rows of one version.
func putVersion(t *testing.T, s *rig.MinIO, p *place, version int) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("version,k,part\n")
	for k := range 50 {
		for part := range 2 {
			fmt.Fprintf(&b, "%d,k%d,%d\n", version, k, part)
		}
	}
	_, err := s.Client.PutObject(t.Context(), "bench", p.prefix+"/versions.csv", &b, int64(b.Len()), minio.PutObjectOptions{})
	must(t, err)
}

// appendEvents adds n events to the file that is followed.
func appendEvents(t *testing.T, file string, from, n int) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	for i := range n {
		_, err := fmt.Fprintf(f, "{\"seq\":%d,\"k\":\"k%d\"}\n", from+i, (from+i)%50)
		must(t, err)
	}
	must(t, f.Close())
}

// joinedRows are the lines of the output: how many rows each event has, and its version.
func joinedRows(t *testing.T, out string) (rows map[int]int, versions map[int]int, mixed int) {
	t.Helper()
	rows, versions = map[int]int{}, map[int]int{}
	text, err := os.ReadFile(out)
	if os.IsNotExist(err) {
		return rows, versions, 0
	}
	must(t, err)
	parts := map[[2]int]bool{}
	for line := range strings.Lines(string(text)) {
		var r struct{ Seq, Version, Part int }
		must(t, json.Unmarshal([]byte(line), &r))
		if v, ok := versions[r.Seq]; ok && v != r.Version || parts[[2]int{r.Seq, r.Part}] {
			mixed++
		}
		versions[r.Seq], parts[[2]int{r.Seq, r.Part}] = r.Version, true
		rows[r.Seq]++
	}
	return rows, versions, mixed
}

// The object of a table is replaced again and again while events come and the process is killed: each
// event is joined once, with both rows of one version, and versions never go back.
func TestATableIsReplacedWhileTheProcessIsKilled(t *testing.T) {
	s := needStore(t)
	kills := 12
	if long() {
		kills = 100
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run %s -args -seed %d", t.Name(), *seed)
	random := rand.New(rand.NewPCG(*seed, 1))
	dir := t.TempDir()
	file, out := filepath.Join(dir, "events.ndjson"), filepath.Join(dir, "out.ndjson")
	p := pipeline(t, "joined.yaml", joined, "EVENTS="+file, "OUT="+out)
	must(t, os.WriteFile(file, nil, 0o600))

	// Without its table the pipeline says so and is not ready.
	admin, err := rig.FreeAddress()
	must(t, err)
	process := p.start("--admin", admin)
	must(t, rig.Until(within(t, patience), "a fault that names the table", func() bool {
		return strings.Contains(process.Stderr(), `table "versions"`) && strings.Contains(process.Stderr(), "there is no object s3://bench/")
	}))
	must(t, rig.Until(within(t, patience), "not to be ready", func() bool {
		answer, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return err == nil && answer.StatusCode == http.StatusServiceUnavailable && bytes.Contains(text, []byte("there is no object"))
	}))
	version, next, redone, changed := 1, 0, 0, 0
	feed := func() {
		appendEvents(t, file, next, 20)
		next += 20
		version++
		putVersion(t, s, p, version)
	}
	document := filepath.Join(p.data, "meta", "tasks+joined+rows+0.doc")
	pending := func() bool {
		text, err := os.ReadFile(document)
		return err == nil && bytes.Contains(text, []byte(`"pending":{`))
	}
	for kill := range kills {
		// Some chunks go through, and then the process is killed with one planned and not published.
		for end := time.Now().Add(time.Duration(300+random.IntN(2000)) * time.Millisecond); time.Now().Before(end); {
			feed()
		}
		must(t, rig.Until(within(t, patience), "a plan", func() bool {
			feed()
			for range 2000 {
				if pending() {
					process.Stop()
					if pending() {
						return true
					}
					process.Continue()
				}
			}
			return false
		}))
		exit := process.Kill()
		redone += strings.Count(string(exit.Stderr), "redoing a chunk")
		if strings.Contains(string(exit.Stderr), "planned with another configuration") {
			changed++
		}
		// Another version waits for the one who comes next, and now and then another pipeline file.
		version++
		putVersion(t, s, p, version)
		if kill%4 == 3 {
			text, err := os.ReadFile(p.file)
			must(t, err)
			before, after := "part: bigint}", "part: int}"
			if bytes.Contains(text, []byte(after)) {
				before, after = after, before
			}
			text = bytes.Replace(text, []byte(before), []byte(after), 1)
			must(t, os.WriteFile(p.file, text, 0o600))
		}
		process = p.start("--log-level", "info")
	}
	must(t, rig.Until(within(t, patience), "all events to be there", func() bool {
		rows, _, _ := joinedRows(t, out)
		return len(rows) == next || !process.Running()
	}))
	process.Terminate()
	summary, exit := p.finish(process)
	redone += strings.Count(string(exit.Stderr), "redoing a chunk")
	rows, versions, mixed := joinedRows(t, out)
	last, seen := 0, map[int]bool{}
	for i := range next {
		if rows[i] != 2 {
			t.Fatalf("event %d has %d rows, want 2", i, rows[i])
		}
		if versions[i] < last {
			t.Fatalf("event %d has version %d behind one with %d", i, versions[i], last)
		}
		last = versions[i]
		seen[last] = true
	}
	if mixed > 0 {
		t.Errorf("%d rows are of another version than their event's, or twice", mixed)
	}
	fmt.Printf("%d kills, %d events, %d versions put, %d joined, %d plans redone, %d of them of another file\n", kills, next, version, len(seen), redone, changed)
	if in := summary.Task("rows").In(); in != int64(next) {
		t.Errorf("the query took %d rows, want %d", in, next)
	}
	if len(seen) <= kills || redone < kills/2 || changed == 0 {
		t.Errorf("only %d of %d versions were joined, and %d plans redone, %d of another file, in %d kills", len(seen), version, redone, changed, kills)
	}
}
