package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/e2e/rig"
)

// webPlace is a pipeline that takes posts and writes them to out.ndjson.
func webPlace(t *testing.T) (p *place, url string) {
	t.Helper()
	address, err := rig.FreeAddress()
	must(t, err)
	p = pipeline(t, "web.yaml", fmt.Sprintf(`version: 1
streams:
  posts: {shards: 2, schema: {id: bigint, text: string}}
sources:
  web: {type: http, listen: "%s", partition_key: id, to: posts}
sinks:
  out: {type: file, from: posts, path: out.ndjson, format: ndjson}
`, address))
	return p, "http://" + address + "/"
}

// post sends records and returns the status code, 0 when there was no answer.
func post(url, body string) int {
	resp, err := http.Post(url, "application/x-ndjson", strings.NewReader(body))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// listening waits until posts are taken; the record it sends for that has the id -1.
func listening(t *testing.T, process *rig.Process, url string) {
	t.Helper()
	must(t, rig.Until(within(t, patience), "the http source", func() bool {
		return post(url, `{"id":-1,"text":"hello"}`) == http.StatusOK || !process.Running()
	}))
}

// ids counts the ids in the output file.
func ids(t *testing.T, file string) map[int64]int {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	seen := map[int64]int{}
	for line := range bytes.Lines(text) {
		var row struct{ ID int64 }
		must(t, json.Unmarshal(line, &row))
		seen[row.ID]++
	}
	return seen
}

func TestAnsweredPostsSurviveAKill(t *testing.T) {
	p, url := webPlace(t)
	var mu sync.Mutex
	answered := map[int64]bool{} // by id; set before the process could be killed
	var next int64
	const rounds, clients = 3, 4
	for round := range rounds {
		process := p.start()
		listening(t, process, url)
		var wait sync.WaitGroup
		enough := make(chan struct{})
		for range clients {
			wait.Go(func() {
				for n := 0; ; n++ {
					mu.Lock()
					id := next
					next += 2
					mu.Unlock()
					body := fmt.Sprintf("{\"id\":%d,\"text\":\"a\"}\n{\"id\":%d,\"text\":\"b\"}\n", id, id+1)
					if post(url, body) != http.StatusOK {
						return // the process is gone
					}
					mu.Lock()
					answered[id], answered[id+1] = true, true
					reached := len(answered) >= (round+1)*400
					mu.Unlock()
					if reached {
						select {
						case enough <- struct{}{}:
						default:
						}
					}
				}
			})
		}
		select {
		case <-enough:
		case <-process.Done():
		}
		if exit := process.Kill(); !exit.Killed {
			t.Fatalf("the process ended by itself:\n%s", exit.Stderr)
		}
		wait.Wait()
	}

	summary, _ := p.run("--drain")
	if summary.Result != "delivered" {
		t.Errorf("result %q, want delivered", summary.Result)
	}
	got := ids(t, p.dir+"/out.ndjson")
	lost := 0
	for id := range answered {
		if got[id] == 0 {
			lost++
		}
	}
	for id, n := range got {
		// What was not answered may be there, but no client sent it twice.
		if id >= 0 && n > 1 {
			t.Errorf("id %d was delivered %d times", id, n)
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d answered records are lost", lost, len(answered))
	}
	t.Logf("%d records answered in %d rounds, %d delivered", len(answered), rounds, len(got))
}

func TestDrainEndsWithoutItsUnboundedSource(t *testing.T) {
	p, url := webPlace(t)
	process := p.start()
	listening(t, process, url)
	process.Terminate()
	if summary, _ := p.finish(process); summary.Result != "stopped" {
		t.Errorf("result %q, want stopped", summary.Result)
	}
	p.run("--drain")
	before := ids(t, p.dir+"/out.ndjson")
	p.run("--drain")
	if after := ids(t, p.dir+"/out.ndjson"); after[-1] != before[-1] || before[-1] == 0 {
		t.Errorf("records delivered %d times, %d after draining twice", before[-1], after[-1])
	}
}
