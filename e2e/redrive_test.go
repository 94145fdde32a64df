package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

// envelope is a rejected row in an error object.
type envelope struct {
	AttemptsMade           int
	ArrivalTimestamp       int64
	AttemptEndingTimestamp int64
	ErrorCode, Step        string
	ErrorMessage, Stream   string
	Shard                  string
	Sequence               *int64
	RawData                []byte
}

// rejected are the lines in the error objects of a place, by how often they are there.
func (p *place) rejected(codes map[string]string) map[string]int {
	p.t.Helper()
	objects, err := store.Download(within(p.t, patience), "bench", p.prefix+"-errors/", p.t.TempDir())
	must(p.t, err)
	kept := map[string]int{}
	for _, o := range objects {
		if !strings.Contains(o.Key, "/format-conversion-failed/") {
			p.t.Errorf("error object %s", o.Key)
		}
		text, err := os.ReadFile(o.Path)
		must(p.t, err)
		for line := range strings.Lines(string(text)) {
			var e envelope
			must(p.t, json.Unmarshal([]byte(line), &e))
			kept[string(e.RawData)]++
			if e.ErrorCode != codes[string(e.RawData)] || e.ErrorMessage == "" || e.AttemptsMade != 1 || e.Sequence == nil || e.Shard == "" ||
				e.ArrivalTimestamp > e.AttemptEndingTimestamp {
				p.t.Errorf("%s: %s", o.Key, line)
			}
		}
	}
	return kept
}

func TestRejectedRowsAreInMinIOOnceAndAreRedrivenOnceAcrossKills(t *testing.T) {
	needStore(t)
	const n = 200_000
	file := clicks(t, n)
	mixed, codes := withBroken(t, file)
	text := strings.Replace(impatientLake, "    format: {type: parquet", "    error_prefix: \"${env:PREFIX}-errors/!{firehose:error-output-type}/!{timestamp:yyyy}/\"\n    format: {type: parquet", 1)
	p := pipeline(t, "lake.yaml", text, "EVENTS="+mixed)
	random := rand.New(rand.NewPCG(11, 11))
	process, hits := killed(t, p, random, 5)
	summary, _ := p.finish(process)
	t.Logf("%d kills", hits)
	table, _ := p.delivered()
	sameEvents(t, file, table)
	if summary.DeadLetters.Total != 0 || summary.Task("lake").Delivered.ErrorRows != int64(len(codes)) || summary.Task("lake").Delivered.Rows != n {
		t.Errorf("%d dead letters, delivered %+v; want %d rows under the error prefix", summary.DeadLetters.Total, summary.Task("lake").Delivered, len(codes))
	}
	once := func(what string, kept map[string]int, times func(line string) int) {
		t.Helper()
		for line := range codes {
			if kept[line] != times(line) {
				t.Errorf("%s: %d times, want %d: %q", what, kept[line], times(line), line)
			}
		}
		if len(kept) != len(codes) {
			t.Errorf("%s: %d different rows, want %d", what, len(kept), len(codes))
		}
	}
	once("after kills", p.rejected(codes), func(string) int { return 1 })

	// The fix takes any quantity. The other rows fail again.
	old, err := os.ReadFile(p.file)
	must(t, err)
	must(t, os.WriteFile(p.file, []byte(strings.Replace(string(old), "quantity: bigint", "quantity: json", 1)), 0o644))
	fixed := func(line string) bool { return strings.Contains(line, `"many"`) }
	good := int64(0)
	for line := range codes {
		if fixed(line) {
			good++
		}
	}
	redrive := []string{"redrive", p.file, "lake", "--data", p.data, "--json"}
	for range 3 {
		process, err := rig.Command{Path: binary, Args: redrive, Env: p.env, Dir: p.dir}.Start()
		must(t, err)
		after := time.NewTimer(time.Duration(10+random.IntN(60)) * time.Millisecond)
		select {
		case <-after.C:
		case <-process.Done():
		}
		process.Kill()
	}
	exit := p.other(redrive...)
	if exit.Code != 0 {
		t.Fatalf("redrive: %d\n%s", exit.Code, exit.Stderr)
	}
	table, _ = p.delivered()
	if got := number(t, "SELECT COUNT(*) FROM read_parquet('%s') WHERE user_id LIKE 'broken-%%'", strings.Split(table, "'")[1]); got != good {
		t.Errorf("%d redriven rows arrived, want %d\n%s", got, good, exit.Stdout)
	}
	if got := number(t, "SELECT COUNT(DISTINCT user_id) FROM read_parquet('%s') WHERE user_id LIKE 'broken-%%'", strings.Split(table, "'")[1]); got != good {
		t.Errorf("%d different redriven rows arrived, want %d", got, good)
	}
	times := func(line string) int {
		if fixed(line) {
			return 1
		}
		return 2
	}
	// A redrive that was killed after it delivered a failure sends that one again the next time.
	kept := p.rejected(codes)
	for line, k := range kept {
		if k < times(line) || fixed(line) && k != 1 {
			t.Errorf("%q failed %d times", line, k)
		}
	}
	// The same objects, named by their place in the store, are known: only what failed again is sent.
	var again struct {
		Objects, Records, Sent, Delivered int64
		Before                            int64 `json:"sent_before"`
		Failed                            int64 `json:"failed_again"`
	}
	exit = p.other(append(redrive, "--from", "s3://bench/"+p.prefix+"-errors/")...)
	if exit.Code != 0 {
		t.Fatalf("redrive from the store: %d\n%s", exit.Code, exit.Stderr)
	}
	must(t, json.Unmarshal([]byte(exit.Stdout), &again))
	bad := int64(len(codes)) - good
	if again.Objects < 2 || again.Before < int64(len(codes)) || again.Sent != bad || again.Failed != bad || again.Delivered != 0 || again.Records != again.Before+again.Sent {
		t.Errorf("redriven from the store: %s", exit.Stdout)
	}
	if got := number(t, "SELECT COUNT(*) FROM read_parquet('%s') WHERE user_id LIKE 'broken-%%'", strings.Split(table, "'")[1]); got != good {
		t.Errorf("%d redriven rows after a second redrive, want %d", got, good)
	}
	exit = p.other(append(redrive, "--from", "s3://nothere/x/")...)
	if exit.Code == 0 || !strings.Contains(exit.Stderr, `bucket "nothere" does not exist`) {
		t.Errorf("redrive from another bucket: %d\n%s", exit.Code, exit.Stderr)
	}
	fmt.Printf("%d rejected, %d redriven and delivered once, %d failed again\n", len(codes), good, int64(len(codes))-good)
}
