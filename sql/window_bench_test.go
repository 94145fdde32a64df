package sql_test

import (
	"testing"

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
			batches := clickBatches(64)
			op := q.New()
			rows, start := 0, cpu(b)
			for i := 0; b.Loop(); i++ {
				batch := batches[i%len(batches)]
				if i%len(batches) == 0 {
					op = q.New()
				}
				if _, err := op.Add(batch); err != nil {
					b.Fatal(err)
				}
				if mark := batch.Watermarks[benchRows-1]; op.Ready(mark) {
					if _, err := op.Emit(mark); err != nil {
						b.Fatal(err)
					}
				}
				rows += batch.Rows
			}
			perRow(b, start, rows)
		})
	}
}
