package sql_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
)

// BenchmarkWindows are windows of a second of the same rows, as pieces of one piece or of sixty, and
// windows of keys.
func BenchmarkWindows(b *testing.B) {
	for _, c := range []struct{ name, window string }{
		{"tumble", "TUMBLE(event_time, INTERVAL '1' MINUTE)"},
		{"hop of 60", "HOP(event_time, INTERVAL '1' MINUTE, INTERVAL '1' HOUR)"},
		{"cumulate of 60", "CUMULATE(event_time, INTERVAL '1' MINUTE, INTERVAL '1' HOUR)"},
		{"session", "SESSION(event_time, INTERVAL '1' SECOND)"},
	} {
		b.Run(c.name, func(b *testing.B) {
			q, err := sql.CompileQuery(`SELECT window_start, country, action, quantity, COUNT(*) AS n, SUM(price) AS revenue, AVG(price) AS a, MAX(price) AS top
				FROM purchases GROUP BY `+c.window+`, country, action, quantity`,
				func(string) (sql.Input, bool) { return sql.Input{Schema: clicks, EventTime: "event_time"}, true })
			if err != nil {
				b.Fatal(err)
			}
			fold(b, q.New(), clickBatches(64))
		})
	}
}

// BenchmarkEvents is decoding and aggregating events of 84 bytes, 100 in each millisecond of event
// time, of 1,000 keys: the work of a core for windows of a second.
func BenchmarkEvents(b *testing.B) {
	schema := &column.Schema{Fields: []column.Field{
		{Name: "ts", Type: column.Type{Kind: column.Timestamp}}, {Name: "k", Type: column.Type{Kind: column.String}},
		{Name: "v", Type: column.Type{Kind: column.Double}}, {Name: "n", Type: column.Type{Kind: column.BigInt}},
		{Name: "city", Type: column.Type{Kind: column.String}}, {Name: "ok", Type: column.Type{Kind: column.Boolean}},
	}}
	const n = 400_000
	events := make([][]byte, n)
	r := rand.New(rand.NewPCG(42, 0))
	for i := range events {
		at := time.UnixMilli(1_700_000_000_000 + int64(i/100)).UTC().Format("2006-01-02T15:04:05.000Z")
		events[i] = fmt.Appendf(nil, `{"ts":"%s","k":"k%03d","v":%.4f,"n":%d,"city":"Berlin","ok":true}`, at, r.IntN(1000), r.Float64(), r.IntN(100))
	}
	for _, window := range []string{"TUMBLE(ts, INTERVAL '1' SECOND)", "HOP(ts, INTERVAL '1' SECOND, INTERVAL '1' MINUTE)"} {
		b.Run(window[:3], func(b *testing.B) {
			q, err := sql.CompileQuery("SELECT window_start, k, COUNT(*) AS c, SUM(v) AS s, AVG(v) AS a, MAX(v) AS m FROM e GROUP BY "+window+", k",
				func(string) (sql.Input, bool) { return sql.Input{Schema: schema, EventTime: "ts"}, true })
			if err != nil {
				b.Fatal(err)
			}
			d := column.NewDecoder(schema, q.Needs(0), column.Options{})
			rows, start := 0, cpu(b)
			for b.Loop() {
				op, emitted := q.New(), 0
				for i, e := range events {
					if err := d.Add(e, record.Ordinal(i), 0); err != nil {
						b.Fatal(err)
					}
					if d.Len() < benchRows && i < n-1 {
						continue
					}
					batch := d.Take(column.Origin{})
					if _, err := op.Add(batch); err != nil {
						b.Fatal(err)
					}
					mark := batch.Columns[0].Int64s[batch.Rows-1]
					d.Release(batch)
					if op.Ready(mark) {
						out, err := op.Emit(mark)
						if err != nil {
							b.Fatal(err)
						}
						emitted += out.Rows
					}
				}
				if rows += n; emitted == 0 {
					b.Fatal("no window closed")
				}
			}
			perRow(b, start, rows)
		})
	}
}
