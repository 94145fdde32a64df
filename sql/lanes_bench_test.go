package sql_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
)

// BenchmarkAdders is rows of four shards that one or two goroutines add, and what leaves of them. The clock
// tells how much sooner they are done, the processor time what that costs.
func BenchmarkAdders(b *testing.B) {
	const shards, rounds = 4, 8
	for _, c := range []struct{ name, text string }{
		{"tumble", revenue},
		{"many keys", "SELECT window_start, quantity, COUNT(*) AS n, SUM(price) AS sum FROM s GROUP BY TUMBLE(event_time, INTERVAL '10' MINUTE), quantity"},
		{"session", "SELECT window_start, quantity, COUNT(*) AS n, SUM(price) AS sum FROM s GROUP BY SESSION(event_time, INTERVAL '1' MINUTE), quantity"},
		{"over", "SELECT event_time, quantity, SUM(price) OVER (PARTITION BY quantity ORDER BY event_time ROWS 3 PRECEDING) AS sum FROM s"},
		{"project", "SELECT event_time, country, price * quantity AS total FROM s WHERE price > 10"},
	} {
		batches := keyed(clickBatches(shards*rounds), 100_000)
		for i, batch := range batches {
			batch.Origin.Shard = record.ShardID(i % shards)
		}
		for _, n := range []int{1, 2} {
			b.Run(fmt.Sprint(c.name, "/", n), func(b *testing.B) {
				q, err := sql.CompileQuery(c.text, func(string) (sql.Input, bool) {
					return sql.Input{Schema: clicks, EventTime: "event_time"}, true
				})
				if err != nil {
					b.Fatal(err)
				}
				rows, start := 0, cpu(b)
				for b.Loop() {
					op := q.New()
					adders := sql.Adders(op, n)
					for round := range rounds {
						addRound(b, adders, batches[round*shards:(round+1)*shards])
						mark := batches[(round+1)*shards-1].Watermarks[benchRows-1]
						if round == rounds-1 {
							mark = column.MaxWatermark
						}
						if _, err := op.Emit(mark); err != nil {
							b.Fatal(err)
						}
						rows += shards * benchRows
					}
				}
				perRow(b, start, rows)
			})
		}
	}
}

// addRound adds a batch of each shard.
func addRound(b *testing.B, adders []sql.Adder, batches []*column.Batch) {
	var wg sync.WaitGroup
	for i, a := range adders {
		wg.Go(func() {
			for k := i; k < len(batches); k += len(adders) {
				if _, err := a.Add(batches[k]); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
