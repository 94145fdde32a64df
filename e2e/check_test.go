package e2e

import (
	"fmt"
	"strings"
	"testing"
)

func TestCheckReportsEveryMistake(t *testing.T) {
	const text = `version: 1
streams:
  clicks:
    shard: 2
    retention: 24 parsecs
    schema: {event_time: timestamp, user_id: strin, price: double}
    event_time: event_time
sources:
  events: {type: file, paths: [events.ndjson], format: ndjson, to: click}
queries:
  spend:
    sql: SELECT user_id, SUM(price) AS spent FROM clicks GROUP BY TUMBLE(event_time, INTERVAL '1' MINUTE), user_id
sinks:
  lake: {type: s4, from: clicks}
  out:
    type: file
    from: nowhere
    path: out.ndjson
    path: twice.ndjson
`
	p := pipeline(t, "seven.yaml", text)
	exit := p.other("check", p.file)
	if exit.Code != 2 {
		t.Errorf("exit code %d, want 2", exit.Code)
	}
	said := exit.Stdout + exit.Stderr
	for _, want := range []struct {
		line, column int
		words        []string
	}{
		{4, 5, []string{"shard", "shards"}},
		{5, 16, []string{"retention", "24 parsecs"}},
		{6, 46, []string{"strin", "string"}},
		{9, 68, []string{"click", "clicks"}},
		{14, 16, []string{"s4", "s3"}},
		{17, 11, []string{"nowhere"}},
		{19, 5, []string{"path"}},
	} {
		place := fmt.Sprintf("seven.yaml:%d:%d: ", want.line, want.column)
		if line := lineWith(said, place); line == "" || !containsAll(line, want.words) {
			t.Errorf("no line with %q that names %q", place, want.words)
		}
	}
	if n := strings.Count(said, "seven.yaml:"); n != 7 {
		t.Errorf("%d mistakes reported, want 7: one must not bring forth another", n)
	}
	if t.Failed() {
		t.Logf("check said:\n%s", said)
	}

	if run := p.other("run", p.file); run.Code != 2 {
		t.Errorf("run of a file with mistakes: exit code %d, want 2", run.Code)
	}
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}

func containsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

func TestCheckAcceptsTheExamples(t *testing.T) {
	for _, name := range []string{"quickstart.yaml", "clicks_to_s3.yaml", "revenue.yaml"} {
		p := example(t, name, "EVENTS=events.ndjson", "OUT=out.ndjson", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=hush-hush")
		p.dir = root
		exit := p.other("check", p.file)
		if exit.Code != 0 {
			t.Errorf("%s: exit code %d\n%s%s", name, exit.Code, exit.Stdout, exit.Stderr)
		}
		if strings.Contains(exit.Stdout+exit.Stderr, "hush-hush") {
			t.Errorf("%s: check printed a secret", name)
		}
	}
}
