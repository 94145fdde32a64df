package objects

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
)

func withErrors(prefix string) func(s *Settings) {
	return func(s *Settings) { s.Layout.ErrorPrefix = prefix }
}

func TestRejectedRowsTakeDiskAndNotMemory(t *testing.T) {
	c := newChunk(t, withErrors("bad"))
	data := bytes.Repeat([]byte{0xff}, 1<<20)
	for i := range 40 {
		if err := c.Reject(flow.Rejected{Undecoded: i%2 == 0, Code: "c", Data: data, Ordinal: record.Ordinal(i)}); err != nil {
			t.Fatal(err)
		}
		if o := c.Open(); o.Memory > 8<<20 {
			t.Fatalf("%d bytes in memory after %d rows", o.Memory, i+1)
		}
	}
	if o := c.Open(); o.Encoded < 40<<20 || o.Rows != 0 {
		t.Errorf("%+v", o)
	}
	got := contents(t, c)
	n := 0
	for key, text := range got {
		if !strings.HasPrefix(key, "bad/") {
			t.Errorf("object %s", key)
		}
		for line := range strings.Lines(text) {
			var e Envelope
			if err := json.Unmarshal([]byte(line), &e); err != nil || !bytes.Equal(e.Data, data) || e.Ending != cut1.Now.UnixMilli() {
				t.Fatalf("%v in %.200s", err, line)
			}
			n++
		}
	}
	if len(got) != 2 || n != 40 {
		t.Errorf("%d rows in %d objects", n, len(got))
	}
}

func TestErrorObjectsAreToldApartByTheirNames(t *testing.T) {
	id := flow.Identity{Pipeline: "p", Name: "s.redrive"}
	own := OwnErrors(id)
	name := func(task string) string { return "bad/" + task + "-0000000007-processing-failed.ndjson" }
	for task, want := range map[string]bool{
		"p-s-00000000000000aa-0": true, "p-s.redrive-00000000000000aa-3": true, "p-s-2-00000000000000aa-0": false,
		"q-s-00000000000000aa-0": false, "p-t-00000000000000aa-0": false, "p-s.other-00000000000000aa-0": false,
	} {
		if own(name(task)) != want {
			t.Errorf("%s is own: %v", name(task), !want)
		}
	}
	if got := ErrorName(name("p-s-00000000000000aa-0")); strings.Contains(got, "/") {
		t.Errorf("the name depends on the place: %s", got)
	}
	if got := ErrorName("some/firehose-object"); got != "some/firehose-object" {
		t.Error(got)
	}
	// The keys of a chunk are such names.
	c := newChunk(t, withErrors("bad/!{firehose:error-output-type}"))
	if err := c.Reject(flow.Rejected{Code: "c"}); err != nil {
		t.Fatal(err)
	}
	if c.Open().Memory < 100 {
		t.Errorf("a rejected row takes %d bytes of memory", c.Open().Memory)
	}
	for key, text := range contents(t, c) {
		if !strings.Contains(text, `"rawData":""`) {
			t.Errorf("no data is not empty data: %s", text)
		}
		if fmt.Sprint(OwnErrors(flow.Identity{Pipeline: "p", Name: "s"})(key)) != "true" || !strings.HasPrefix(key, "bad/processing-failed/") {
			t.Errorf("key %s", key)
		}
	}
}
