package pipelines_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/pipelines"
)

// unionFile reads two streams in one query, which differ in their columns and in how many shards they have.
const unionFile = `
version: 1
streams:
  clicks: {schema: {ts: timestamp, v: bigint}, event_time: ts, watermark: 0s, shards: 2}
  views: {schema: {n: bigint, at: timestamp}, event_time: at, watermark: 0s}
sources:
  clicks: {type: file, paths: [DIR/clicks.ndjson], to: clicks}
  views: {type: file, paths: [DIR/views.ndjson], to: views}
queries:
  sums:
    sql: |
      SELECT window_start, kind, SUM(n) AS total FROM (
        SELECT ts, 'click' AS kind, v AS n FROM clicks UNION ALL SELECT at, 'view', n FROM views WHERE n > 0) AS u
      GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), kind
sinks:
  totals: {type: file, from: sums, dir: DIR/sums, format: ndjson}
`

func TestAQueryReadsTwoStreams(t *testing.T) {
	p := placeOf(t, unionFile)
	p.write("clicks.ndjson", `{"ts":"2026-01-01T00:00:01Z","v":1}
{"ts":"2026-01-01T00:01:00Z","v":2}
{"ts":"2026-01-01T00:01:00Z","v":"x"}
`)
	p.write("views.ndjson", `{"at":"2026-01-01T00:00:05Z","n":4}
{"at":"2026-01-01T00:00:09Z","n":0}
`)
	status := p.run()
	p.want("sums",
		`{"window_start":"2026-01-01T00:00:00Z","kind":"click","total":1}`,
		`{"window_start":"2026-01-01T00:00:00Z","kind":"view","total":4}`,
		`{"window_start":"2026-01-01T00:01:00Z","kind":"click","total":2}`,
	)
	for _, task := range status.Tasks {
		if task.Name != "sums" {
			continue
		}
		if n := task.Read(); n != 5 {
			t.Errorf("%d records were read, want 5", n)
		}
		if task.From != "clicks, views" || len(task.Shards) != 3 {
			t.Errorf("from %s: %+v", task.From, task.Shards)
		}
	}
}

// shopFile has three streams of other columns each; TERMS are those of the union, FOLLOW says whether input goes on.
const shopFile = `
version: 1
streams:
  web: {schema: {ts: timestamp, id: bigint}, event_time: ts, watermark: 0s, shards: 3}
  till: {schema: {id: bigint, at: timestamp, refund: boolean}, event_time: at, watermark: 1s}
  post: {schema: {day: timestamp, no: bigint}, event_time: day, watermark: 5s, shards: 2}
sources:
  web: {type: file, paths: [DIR/web.ndjson], to: web, partition_key: id, follow: FOLLOW}
  till: {type: file, paths: [DIR/till.ndjson], to: till, follow: FOLLOW}
  post: {type: file, paths: [DIR/post.ndjson], to: post, partition_key: no, follow: FOLLOW}
transforms:
  kept: {type: filter, from: till, where: refund = false}
queries:
  sold:
    sql: "SELECT window_start, src, COUNT(*) AS n, MIN(id) AS low, MAX(id) AS high FROM (TERMS) AS u GROUP BY TUMBLE(ts, INTERVAL '1' HOUR), src"
  all:
    sql: "TERMS"
sinks:
  sold_out: {type: file, from: sold, dir: DIR/sold, format: ndjson}
  all_out: {type: file, from: all, dir: DIR/all, format: ndjson}
`

const (
	webTerm  = "SELECT ts, id, 'web' AS src FROM web"
	tillTerm = "SELECT at AS ts, id, 'till' AS src FROM kept"
	postTerm = "SELECT day AS ts, no AS id, 'post' AS src FROM post"
)

func (p *place) shop(follow bool, terms ...string) {
	p.write("p.yaml", strings.NewReplacer("DIR", p.dir, "FOLLOW", fmt.Sprint(follow), "TERMS", strings.Join(terms, " UNION ALL ")).Replace(shopFile))
}

// Between runs terms change places, one is added, and one is taken away: each input goes on where it stood.
func TestTermsChangePlacesAndAreAddedBetweenRuns(t *testing.T) {
	p := &place{t: t, dir: t.TempDir()} // shop writes its file
	var web, till, post strings.Builder
	add := func(from, to int) {
		for i := from; i < to; i++ {
			at := fmt.Sprintf("2026-01-01T00:%02d:%02dZ", i/60, i%60)
			fmt.Fprintf(&web, `{"ts":"%s","id":%d}`+"\n", at, i)
			fmt.Fprintf(&till, `{"at":"%s","id":%d,"refund":%t}`+"\n", at, 1000+i, i%2 == 1)
			fmt.Fprintf(&post, `{"day":"%s","no":%d}`+"\n", at, 2000+i)
		}
		p.write("web.ndjson", web.String())
		p.write("till.ndjson", till.String())
		p.write("post.ndjson", post.String())
	}
	add(0, 100)
	p.shop(true, webTerm, tillTerm)
	p.stopped(300)
	add(100, 200)
	p.shop(true, tillTerm, webTerm)
	p.stopped(600)
	p.shop(true, postTerm, tillTerm, webTerm)
	add(200, 300)
	p.stopped(900)
	p.shop(false, webTerm, postTerm, tillTerm)
	add(300, 400)
	s := p.run()
	p.want("sold",
		`{"window_start":"2026-01-01T00:00:00Z","src":"post","n":400,"low":2000,"high":2399}`,
		`{"window_start":"2026-01-01T00:00:00Z","src":"till","n":200,"low":1000,"high":1398}`,
		`{"window_start":"2026-01-01T00:00:00Z","src":"web","n":400,"low":0,"high":399}`,
	)
	all := p.lines("all")
	if len(all) != 1000 || len(slices.Compact(all)) != 1000 {
		t.Errorf("%d rows, %d different ones; want 1000", len(all), len(slices.Compact(all)))
	}
	for _, task := range s.Tasks {
		last := task.Steps[len(task.Steps)-1].Counts
		if (task.Kind == "query") && last.In != 1000 {
			t.Errorf("%s: %+v", task.Name, task.Steps)
		}
	}
}

// A stream once directly and once through a transform, and what another query gives of it.
func TestTheSameStreamIsReadTwiceAndAsTheOutputOfAQuery(t *testing.T) {
	p := placeOf(t, `
version: 1
streams:
  clicks: {schema: {ts: timestamp, v: bigint}, event_time: ts, watermark: 0s, shards: 2}
sources:
  in: {type: file, paths: [DIR/in.ndjson], to: clicks, partition_key: v}
transforms:
  large: {type: filter, from: clicks, where: v > 2}
queries:
  minutes: {sql: "SELECT window_start, SUM(v) AS v FROM clicks GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)"}
  mixed:
    sql: |
      SELECT window_start, kind, SUM(v) AS v, COUNT(*) AS n FROM (
        SELECT ts, 'every' AS kind, v FROM clicks UNION ALL
        SELECT ts, 'large', v FROM large UNION ALL
        SELECT window_start, 'minute', v FROM minutes) AS u
      GROUP BY TUMBLE(ts, INTERVAL '1' HOUR), kind
sinks:
  out: {type: file, from: mixed, dir: DIR/out, format: ndjson}
`)
	p.write("in.ndjson", `{"ts":"2026-01-01T00:00:01Z","v":1}
{"ts":"2026-01-01T00:00:02Z","v":2}
{"ts":"2026-01-01T00:01:03Z","v":3}
{"ts":"2026-01-01T00:01:04Z","v":4}
not a row
`)
	s := p.run()
	p.want("out",
		`{"window_start":"2026-01-01T00:00:00Z","kind":"every","v":10,"n":4}`,
		`{"window_start":"2026-01-01T00:00:00Z","kind":"large","v":7,"n":2}`,
		`{"window_start":"2026-01-01T00:00:00Z","kind":"minute","v":10,"n":2}`,
	)
	if s.DeadLetters.Records != 1 {
		t.Errorf("%d dead letters for one record that is no row", s.DeadLetters.Records)
	}
	if i := slices.IndexFunc(s.Tasks, func(t flow.Status) bool { return t.Name == "mixed" }); s.Tasks[i].From != "clicks, minutes" {
		t.Errorf("from %s", s.Tasks[i].From)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(pipelines.CollectorOf(s))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	lag := map[string]bool{}
	for _, f := range families {
		for _, m := range f.Metric {
			of := map[string]string{}
			for _, l := range m.Label {
				of[l.GetName()] = l.GetValue()
			}
			if f.GetName() == "millrace_task_lag_records" && of["task"] == "mixed" {
				lag[of["stream"]+" "+of["shard"]] = true
			}
		}
	}
	if got := slices.Sorted(maps.Keys(lag)); !slices.Equal(got, []string{"clicks shardId-000000000000", "clicks shardId-000000000001", "minutes shardId-000000000000"}) {
		t.Errorf("lag of %v", got)
	}
}

func TestLateRowsOfSeveralStreamsNeedOneSetOfColumns(t *testing.T) {
	file := func(other string) string {
		return strings.NewReplacer("OTHER", other).Replace(`
version: 1
streams:
  clicks: {schema: {ts: timestamp, v: bigint}, event_time: ts, watermark: 0s}
  others: {schema: OTHER, event_time: ts, watermark: 0s}
  latecomers: {schema: {ts: timestamp, v: bigint}}
sources:
  a: {type: file, paths: [DIR/a.ndjson], to: clicks}
  b: {type: file, paths: [DIR/b.ndjson], to: others}
queries:
  minutes:
    sql: |
      SELECT window_start, SUM(v) AS v FROM (SELECT ts, v FROM clicks UNION ALL SELECT ts, v FROM others) AS u
      GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE) LATE ROWS INTO latecomers
sinks:
  late: {type: file, from: latecomers, dir: DIR/late, format: ndjson}
  sums: {type: file, from: minutes, dir: DIR/sums, format: ndjson}
`)
	}
	p := placeOf(t, file("{v: bigint, ts: timestamp}"))
	p.write("a.ndjson", `{"ts":"2026-01-01T00:02:00Z","v":1}
{"ts":"2026-01-01T00:00:01Z","v":2}
`)
	p.write("b.ndjson", `{"ts":"2026-01-01T00:00:00Z","v":4}
{"ts":"2026-01-01T00:02:00Z","v":8}
{"ts":"2026-01-01T00:00:30Z","v":16}
`)
	p.run()
	p.want("late", `{"ts":"2026-01-01T00:00:01Z","v":2}`, `{"ts":"2026-01-01T00:00:30Z","v":16}`)
	p.want("sums",
		`{"window_start":"2026-01-01T00:00:00Z","v":4}`, `{"window_start":"2026-01-01T00:02:00Z","v":9}`,
	)
	p.file(file("{x: double, ts: timestamp, v: bigint}"))
	p.refused(`those of "clicks" and "others" have different columns`)
}

func TestWhatIsInsertedDoesNotComeBackThroughAnyInput(t *testing.T) {
	p := placeOf(t, unionFile)
	p.edit("SELECT window_start, kind, SUM(n) AS total FROM (", "INSERT INTO views (at, n) SELECT window_start, SUM(n) AS total FROM (")
	p.refused(`what is inserted into "views" comes back to this query`)
}

// Records decide on the schemas of both inputs, but not on the columns that the query reads of them.
func TestInputsOfAUnionHaveSchemasThatRecordsDecideOn(t *testing.T) {
	p := placeOf(t, `
version: 1
streams:
  a: {infer: {sample: 2}, unknown: add, event_time: at}
  b: {infer: {sample: 2}, unknown: add, event_time: ts}
sources:
  a: {type: file, paths: ["DIR/a-*.ndjson"], to: a}
  b: {type: file, paths: ["DIR/b-*.ndjson"], to: b}
queries:
  both: {sql: "SELECT ts, m FROM b UNION ALL SELECT at, n FROM a"}
sinks:
  out: {type: file, from: both, dir: DIR/out, format: ndjson}
`)
	for i := range 3 {
		text := ""
		for k := range 2 {
			text += fmt.Sprintf(`{"at":"2026-01-01T00:00:0%d.%dZ","ts":"2026-01-01T00:00:0%d.%dZ","n":%d,"m":%d,"new%d":true}`+"\n", i, k, i, k, 10*i+k, 100+10*i+k, i)
		}
		p.write(fmt.Sprintf("a-%d.ndjson", i), text)
		p.write(fmt.Sprintf("b-%d.ndjson", i), text)
		p.run()
	}
	// What the query reads of each stays what it is.
	p.write("a-9.ndjson", `{"at":"2026-01-01T00:00:09Z","n":9}`+"\n"+`{"at":"2026-01-01T00:00:09Z","n":0.5}`+"\n")
	p.write("b-9.ndjson", `{"ts":"2026-01-01T00:00:09Z","m":109}`+"\n"+`{"ts":"2026-01-01T00:00:09Z","m":0.5}`+"\n")
	s := p.run()
	if s.DeadLetters.Records != 2 {
		t.Errorf("%d dead letters, want one of each stream", s.DeadLetters.Records)
	}
	if got := p.lines("out"); len(got) != 14 || len(slices.Compact(got)) != 14 {
		t.Errorf("%d rows\n%s", len(got), strings.Join(got, "\n"))
	}
	for name, want := range map[string][]string{"a": {"n: bigint", "new1: boolean", "new2: boolean"}, "b": {"m: bigint", "new2: boolean"}} {
		lock := p.read(name + ".schema.yaml")
		for _, column := range want {
			if !strings.Contains(lock, "  "+column+"\n") {
				t.Errorf("no %s in the lock file of %s:\n%s", column, name, lock)
			}
		}
	}
}

// Each input has the watermark that its windows go by.
func TestWindowsGoByArrivalOverOneStreamAndByEventTimeOverAnother(t *testing.T) {
	p := placeOf(t, `
version: 1
streams:
  a: {schema: {v: bigint}}
  b: {schema: {ts: timestamp, v: bigint}, event_time: ts, watermark: 0s}
sources:
  a: {type: file, paths: [DIR/a.ndjson], to: a}
  b: {type: file, paths: [DIR/b.ndjson], to: b}
queries:
  sums:
    sql: |
      SELECT 'a' AS of, SUM(v) AS v FROM a GROUP BY TUMBLE(arrival_time, INTERVAL '1000' DAY)
      UNION ALL SELECT 'b', SUM(v) FROM b GROUP BY TUMBLE(ts, INTERVAL '1' HOUR)
sinks:
  out: {type: file, from: sums, dir: DIR/out, format: ndjson}
`)
	p.write("a.ndjson", `{"v":1}`+"\n"+`{"v":2}`+"\n")
	p.write("b.ndjson", `{"ts":"2026-01-01T00:00:00Z","v":4}
{"ts":"2026-01-01T01:00:00Z","v":8}
{"ts":"2026-01-01T00:00:00Z","v":16}
`)
	s := p.run()
	p.want("out", `{"of":"a","v":3}`, `{"of":"b","v":4}`, `{"of":"b","v":8}`)
	if s.DeadLetters.Records != 1 {
		t.Errorf("%d rows are late, want that of b", s.DeadLetters.Records)
	}
}
