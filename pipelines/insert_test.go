package pipelines_test

import (
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
	p := placeOf(t, insertFile)
	p.write("clicks.ndjson", `{"ts":"2026-01-01T00:00:01Z","v":1}
{"ts":"2026-01-01T00:00:02Z","v":2}
`)
	p.write("views.ndjson", `{"at":"2026-01-01T00:00:01Z","n":4}
{"at":"2026-01-01T00:00:01Z","n":0}
`)
	p.run()
	p.want("all",
		`{"at":"2026-01-01T00:00:01Z","kind":"click","n":1}`,
		`{"at":"2026-01-01T00:00:01Z","kind":"view","n":4}`,
		`{"at":"2026-01-01T00:00:02Z","kind":"click","n":2}`,
	)
	p.want("sums",
		`{"window_start":"2026-01-01T00:00:00Z","kind":"click","n":3}`,
		`{"window_start":"2026-01-01T00:00:00Z","kind":"view","n":4}`,
	)
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
		p := placeOf(t, insertFile)
		p.edit(c[0], c[1])
		p.refused(c[2])
	}
}
