package sql_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
)

var clicks = &column.Schema{Fields: []column.Field{
	{Name: "event_time", Type: column.Type{Kind: column.Timestamp}},
	{Name: "user_id", Type: column.Type{Kind: column.String}},
	{Name: "action", Type: column.Type{Kind: column.String}},
	{Name: "price", Type: column.Type{Kind: column.Double}},
	{Name: "quantity", Type: column.Type{Kind: column.BigInt}},
	{Name: "country", Type: column.Type{Kind: column.String}},
}}

func dictOf(words ...string) *column.Dict {
	d := &column.Dict{Offsets: []int32{0}}
	for _, w := range words {
		d.Bytes = append(d.Bytes, w...)
		d.Offsets = append(d.Offsets, int32(len(d.Bytes)))
	}
	return d
}

// cpu is the processor time of this process so far: on a busy machine the clock says little.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func perRow(b *testing.B, start time.Duration, rows int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
	b.ReportMetric(float64(cpu(b)-start)/float64(rows), "cpu-ns/row")
}

const benchRows = 8192

// clickBatches are batches of 8,192 rows, 100 a second of event time, whose Watermarks follow.
func clickBatches(n int) []*column.Batch {
	countries := dictOf("DE", "FR", "US", "GB", "IN", "JP", "BR", "CN", "ES", "IT", "PL", "NL")
	actions := dictOf("view", "click", "cart", "purchase")
	r := rand.New(rand.NewPCG(1, 2))
	var out []*column.Batch
	now := int64(1_700_000_000_000_000)
	for range n {
		b := &column.Batch{Schema: clicks, Rows: benchRows, Columns: make([]*column.Column, 6)}
		ts := &column.Column{Type: clicks.Fields[0].Type, Len: benchRows}
		action := &column.Column{Type: clicks.Fields[2].Type, Len: benchRows, Dict: actions, DictLen: 4}
		price := &column.Column{Type: clicks.Fields[3].Type, Len: benchRows}
		quantity := &column.Column{Type: clicks.Fields[4].Type, Len: benchRows}
		country := &column.Column{Type: clicks.Fields[5].Type, Len: benchRows, Dict: countries, DictLen: 12}
		for range benchRows {
			now += 10_000
			ts.Int64s = append(ts.Int64s, now-r.Int64N(5_000_000))
			b.Watermarks = append(b.Watermarks, now-10_000_000)
			action.IDs = append(action.IDs, int32(r.IntN(4)))
			price.Float64s = append(price.Float64s, r.Float64()*100)
			quantity.Int64s = append(quantity.Int64s, r.Int64N(10))
			country.IDs = append(country.IDs, int32(r.IntN(12)))
		}
		b.Columns[0], b.Columns[2], b.Columns[3], b.Columns[4], b.Columns[5] = ts, action, price, quantity, country
		out = append(out, b)
	}
	return out
}

const revenue = `SELECT window_start, country, COUNT(*) AS n, SUM(price * quantity) AS revenue, MAX(price) AS top
FROM purchases
GROUP BY TUMBLE(event_time, INTERVAL '1' MINUTE), country`

func BenchmarkTumble(b *testing.B) {
	q, err := sql.CompileQuery(revenue, func(string) (sql.Input, bool) {
		return sql.Input{Schema: clicks, EventTime: "event_time"}, true
	})
	if err != nil {
		b.Fatal(err)
	}
	fold(b, q.New(), clickBatches(64))
}

// fold measures op over batches, again and again from the beginning of their time.
func fold(b *testing.B, op sql.Operator, batches []*column.Batch) {
	rows, start := 0, cpu(b)
	for i := 0; b.Loop(); i++ {
		batch := batches[i%len(batches)]
		if i%len(batches) == 0 {
			if err := op.Restore(nil); err != nil {
				b.Fatal(err)
			}
		}
		taken, err := op.Add(batch)
		if err != nil || taken.Aggregated != benchRows {
			b.Fatal(taken, err)
		}
		if mark := batch.Watermarks[benchRows-1]; op.Ready(mark) {
			if _, err := op.Emit(mark); err != nil {
				b.Fatal(err)
			}
		}
		rows += batch.Rows
	}
	perRow(b, start, rows)
}

// BenchmarkProject is a query without windows: filter, compute, copy.
func BenchmarkProject(b *testing.B) {
	q, err := sql.CompileQuery("SELECT event_time, country, price * quantity AS total FROM clicks WHERE action = 'purchase'",
		func(string) (sql.Input, bool) { return sql.Input{Schema: clicks, EventTime: "event_time"}, true })
	if err != nil {
		b.Fatal(err)
	}
	batches, op := clickBatches(16), q.New()
	rows, start := 0, cpu(b)
	for i := 0; b.Loop(); i++ {
		if _, err := op.Add(batches[i%len(batches)]); err != nil {
			b.Fatal(err)
		}
		if i%8 == 7 {
			if _, err := op.Emit(0); err != nil {
				b.Fatal(err)
			}
		}
		rows += benchRows
	}
	perRow(b, start, rows)
}

// BenchmarkTumbleManyKeys groups by 4,096 users, which no direct index covers.
func BenchmarkTumbleManyKeys(b *testing.B) {
	q, err := sql.CompileQuery("SELECT user_id, COUNT(*) AS n, SUM(price) AS sum FROM clicks GROUP BY TUMBLE(event_time, INTERVAL '10' MINUTE), user_id",
		func(string) (sql.Input, bool) { return sql.Input{Schema: clicks, EventTime: "event_time"}, true })
	if err != nil {
		b.Fatal(err)
	}
	names := make([]string, 4096)
	for i := range names {
		names[i] = fmt.Sprintf("user-%d", i)
	}
	users, batches := dictOf(names...), clickBatches(16)
	r := rand.New(rand.NewPCG(3, 4))
	for _, batch := range batches {
		c := &column.Column{Type: column.Type{Kind: column.String}, Len: benchRows, Dict: users, DictLen: len(names)}
		for range benchRows {
			c.IDs = append(c.IDs, r.Int32N(4096))
		}
		batch.Columns[1] = c
	}
	op := q.New()
	rows, start := 0, cpu(b)
	for i := 0; b.Loop(); i++ {
		if i%len(batches) == 0 {
			op = q.New()
		}
		if _, err := op.Add(batches[i%len(batches)]); err != nil {
			b.Fatal(err)
		}
		rows += benchRows
	}
	perRow(b, start, rows)
}

func BenchmarkPredicateOnDictionary(b *testing.B) {
	p, err := sql.CompilePredicate("action = 'purchase'", clicks)
	if err != nil {
		b.Fatal(err)
	}
	batch := clickBatches(1)[0]
	var dst []int32
	rows, start := 0, cpu(b)
	for b.Loop() {
		if dst, err = p.Select(batch, dst[:0]); err != nil {
			b.Fatal(err)
		}
		rows += batch.Rows
	}
	perRow(b, start, rows)
}
