package pipelines_test

import (
	"slices"
	"strings"
	"testing"
)

// insertFile has two queries that insert into one stream, which a third one reads.
const insertFile = `
version: 1
streams:
  clicks: {schema: {ts: timestamp, v: bigint}, event_time: ts, watermark: 0s}
  views: {schema: {at: timestamp, n: int}, event_time: at, watermark: 0s}
  events: {schema: {at: timestamp, kind: string, n: bigint}, event_time: at, watermark: 1h}
sources:
  clicks: {type: file, paths: [DIR/clicks.ndjson], to: clicks}
  views: {type: file, paths: [DIR/views.ndjson], to: views}
queries:
  from_clicks: {sql: "INSERT INTO events SELECT ts, 'click' AS x, v FROM clicks"}
  from_views: {sql: "INSERT INTO events (n, at, kind) SELECT n, at, 'view' AS k FROM views WHERE n > 0"}
  sums: {sql: "SELECT window_start, kind, SUM(n) AS n FROM events GROUP BY TUMBLE(at, INTERVAL '1' MINUTE), kind"}
sinks:
  all: {type: file, from: events, dir: DIR/all, format: ndjson}
  totals: {type: file, from: sums, dir: DIR/sums, format: ndjson}
`

func TestQueriesInsertIntoADeclaredStream(t *testing.T) {
	p := &place{t: t, dir: t.TempDir()}
	p.write("p.yaml", strings.ReplaceAll(insertFile, "DIR", p.dir))
	p.write("clicks.ndjson", `{"ts":"2026-01-01T00:00:01Z","v":1}
{"ts":"2026-01-01T00:00:02Z","v":2}
`)
	p.write("views.ndjson", `{"at":"2026-01-01T00:00:01Z","n":4}
{"at":"2026-01-01T00:00:01Z","n":0}
`)
	p.run()
	if got, want := linesUnder(t, p.path("all")), []string{
		`{"at":"2026-01-01T00:00:01Z","kind":"click","n":1}`,
		`{"at":"2026-01-01T00:00:01Z","kind":"view","n":4}`,
		`{"at":"2026-01-01T00:00:02Z","kind":"click","n":2}`,
	}; !slices.Equal(got, want) {
		t.Errorf("all:\n%s", strings.Join(got, "\n"))
	}
	if got, want := linesUnder(t, p.path("sums")), []string{
		`{"window_start":"2026-01-01T00:00:00Z","kind":"click","n":3}`,
		`{"window_start":"2026-01-01T00:00:00Z","kind":"view","n":4}`,
	}; !slices.Equal(got, want) {
		t.Errorf("sums:\n%s", strings.Join(got, "\n"))
	}
}

func TestMistakesOfInsertAreAtTheirPlaces(t *testing.T) {
	for _, c := range [][3]string{
		{"INSERT INTO events SELECT ts,", "INSERT INTO event SELECT ts,", `11:35: queries.from_clicks.sql: unknown stream "event"; did you mean "events"?`},
		{"INSERT INTO events SELECT ts,", "INSERT INTO sums SELECT ts,", `"sums" is a query; INSERT INTO takes a stream`},
		{"INSERT INTO events SELECT ts,", "INSERT INTO clicks SELECT ts,", `what is inserted into "clicks" comes back to this query`},
		{"'click' AS x, v FROM", "v, 'click' AS x FROM", `column "v" of the SELECT is of type bigint, but "kind" of stream "events" is of type string; cast it`},
		{"'click' AS x, v FROM", "'click' AS x FROM", `the SELECT has 2 columns, but 3 are written to stream "events"; name the columns: INSERT INTO events (…)`},
		{"(n, at, kind)", "(n, at, sort)", `stream "events" has no column "sort"`},
		{"(n, at, kind)", "(n, at, n)", `column "n" is named twice`},
		{"totals: {type: file, from: sums", "totals: {type: file, from: from_views", `the rows of query "from_views" go to stream "events"; read that`},
		{"AS n FROM events", "AS n FROM from_views", `the rows of query "from_views" go to stream "events"; read that`},
	} {
		p := &place{t: t, dir: t.TempDir()}
		text := strings.ReplaceAll(insertFile, "DIR", p.dir)
		if !strings.Contains(text, c[0]) {
			t.Fatalf("%q is not in the file", c[0])
		}
		p.write("p.yaml", strings.Replace(text, c[0], c[1], 1))
		if _, _, err := p.resolve(); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s:\n%v\nwant %s", c[1], err, c[2])
		}
	}
}
