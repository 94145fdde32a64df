package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
)

// pipelineFile is a pipeline that makes events until it is stopped, and writes them to a file.
const pipelineFile = `
version: 1
name: shop
streams:
  clicks:
    shards: 2
    retention: 24h
    schema: {user_id: string, seq: bigint}
sources:
  shop: {type: generate, kind: clicks, rate: 2000, to: clicks}
sinks:
  out: {type: file, from: clicks, path: %q, buffer: {age: 50ms}}
`

// delivered is a row of the file.
type delivered struct {
	User string `json:"user_id"`
	// Seq is the number of the event.
	Seq int64 `json:"seq"`
}

// Shards are split and merged while a pipeline writes and delivers: its writers and its sink must
// follow, and every record must be delivered once and each user's in order.
func TestShardsChangeUnderARunningPipeline(t *testing.T) {
	c := newCLI(t)
	rows := filepath.Join(t.TempDir(), "rows.ndjson")
	file := writeFile(t, fmt.Sprintf(pipelineFile, rows))
	done := make(chan string)
	go func() {
		code, out, errs := c.try("run", file)
		done <- fmt.Sprintf("exit code %d: %s%s", code, out, errs)
	}()
	c.awaitRecords(500)
	for _, args := range []string{
		"split clicks 0", "split clicks 1", "merge clicks 3 4", "reshard clicks 6", "reshard clicks 2",
	} {
		c.stream(strings.Fields(args)...)
		c.awaitRecords(c.records() + 200)
	}
	open, all := c.shards()
	if open != 2 || all < 12 {
		t.Errorf("%d of %d shards open while it ran", open, all)
	}
	if code, _, text := c.try("stream", "delete", "clicks", "--yes"); code != exitUsage || !strings.Contains(text, "in use") {
		t.Errorf("deleted a stream in use: %d %s", code, text)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if result := <-done; !strings.HasPrefix(result, "exit code 0") {
		t.Fatal(result)
	}
	// The next run finds the shards as they are now, and delivers what is left.
	c.do("run", file, "--drain")
	n := int(c.records())
	checkDelivered(t, rows, n)
	if lines := strings.Count(c.stream("get", "clicks", "--raw"), "\n"); lines != n {
		t.Errorf("the stream holds %d records, and %d were read", n, lines)
	}
	want(t, c.do("run", file, "--drain"), "nothing new")
	checkDelivered(t, rows, n)
}

// awaitRecords follows the stream until it has so many records. The pipeline may not have
// created it yet: whoever asks before it serves would hold it up, having the directory in its place.
func (c *cli) awaitRecords(n int64) {
	c.t.Helper()
	awaitFile(c.t, filepath.Join(c.data, "control.sock"))
	timeout, tick := time.NewTimer(3*time.Minute), time.NewTicker(10*time.Millisecond)
	defer timeout.Stop()
	defer tick.Stop()
	for {
		if code, _, _ := c.try("stream", "describe", "clicks"); code == exitOK && c.records() >= n {
			return
		}
		select {
		case <-tick.C:
		case <-timeout.C:
			c.t.Fatalf("the stream has not got %d records", n)
		}
	}
}

func (c *cli) records() int64 {
	c.t.Helper()
	return decode[control.Stream](c.t, c.stream("describe", "clicks", "--json")).Records()
}

func (c *cli) shards() (open, all int) {
	c.t.Helper()
	s := decode[control.Stream](c.t, c.stream("describe", "clicks", "--json"))
	return s.Open(), len(s.Shards)
}

func checkDelivered(t *testing.T, file string, n int) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]bool, n)
	last := map[string]int64{}
	count := 0
	for s := bufio.NewScanner(bytes.NewReader(content)); s.Scan(); count++ {
		var row delivered
		if err := json.Unmarshal(s.Bytes(), &row); err != nil || row.Seq < 0 || row.Seq >= int64(n) {
			t.Fatalf("row %q: %v", s.Text(), err)
		}
		if seen[row.Seq] {
			t.Errorf("event %d was delivered twice", row.Seq)
		}
		if before, ok := last[row.User]; ok && before > row.Seq {
			t.Errorf("event %d of user %s was delivered after event %d", row.Seq, row.User, before)
		}
		seen[row.Seq], last[row.User] = true, row.Seq
	}
	if count != n {
		t.Errorf("%d events were delivered, want %d", count, n)
	}
}
