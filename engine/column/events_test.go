package column

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// clickSchema has twelve leaf columns, two of them in a struct.
func clickSchema() *Schema {
	return &Schema{Fields: []Field{
		{"event_time", Type{Kind: Timestamp}}, {"user_id", Type{Kind: String}}, {"session_id", Type{Kind: String}},
		{"url", Type{Kind: String}}, {"action", Type{Kind: String}}, {"price", Type{Kind: Double}},
		{"quantity", Type{Kind: Int}}, {"country", Type{Kind: String}}, {"user_agent", Type{Kind: String}},
		{"geo", Type{Kind: Struct, Fields: []Field{{"lat", Type{Kind: Double}}, {"lon", Type{Kind: Double}}}}},
		{"seq", Type{Kind: BigInt}},
	}}
}

// clickEvents are n events of about 258 bytes, the same in every run.
func clickEvents(n int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	users := rand.NewZipf(r, 1.1, 10, 200_000)
	actions := []string{"view", "click", "add_to_cart", "purchase", "search", "logout"}
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	events := make([][]byte, n)
	for i := range events {
		at := start.Add(time.Duration(i) * 1234567 * time.Nanosecond)
		events[i] = fmt.Appendf(nil, `{"event_time":"%s","user_id":"u%06d","session_id":"%016x","url":"/product/%05d?q=%d","action":"%s",`+
			`"price":%.2f,"quantity":%d,"country":"C%d","user_agent":"Mozilla/5.0 (X%02d)","geo":{"lat":%.4f,"lon":%.4f},"seq":%d}`,
			at.Format("2006-01-02T15:04:05.000Z"), users.Uint64(), r.Uint64(), r.IntN(25_000), r.IntN(2), actions[r.IntN(6)],
			r.Float64()*500, 1+r.IntN(9), r.IntN(17), r.IntN(48), r.Float64()*180-90, r.Float64()*360-180, i)
	}
	return events
}

func decodeAll(tb testing.TB, d *Decoder, events [][]byte) *Batch {
	tb.Helper()
	for i, e := range events {
		if err := d.Add(e, record.Ordinal(i), int64(1000+i)); err != nil {
			tb.Fatalf("%s: %v", e, err)
		}
	}
	return d.Take(Origin{Stream: "clicks"})
}

// reportCPU reports processor time per row, which unlike ns/op does not grow when the machine
// is busy with something else.
func reportCPU(b *testing.B, rows func() int) func() {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := used()
	return func() { b.ReportMetric(float64(used()-start)/float64(rows()), "cpu-ns/row") }
}

func BenchmarkDecode(b *testing.B) {
	events := clickEvents(200_000)
	for _, c := range []struct {
		name string
		want []string
	}{{"all", nil}, {"five", []string{"event_time", "action", "price", "quantity", "country"}}} {
		b.Run(c.name, func(b *testing.B) {
			d := NewDecoder(clickSchema(), c.want, Options{})
			b.ReportAllocs()
			i, best, since := 0, time.Hour, time.Now()
			report := reportCPU(b, func() int { return i })
			for ; b.Loop(); i++ {
				if err := d.Add(events[i%len(events)], record.Ordinal(i), 0); err != nil {
					b.Fatal(err)
				}
				if d.Len() == 8192 {
					d.Release(d.Take(Origin{}))
					best, since = min(best, time.Since(since)), time.Now()
				}
			}
			report()
			// The fastest batch is what a machine with nothing else to do would need.
			b.ReportMetric(float64(best)/8192, "best-ns/row")
		})
	}
}

func BenchmarkHashRows(b *testing.B) {
	batch := decodeAll(b, NewDecoder(clickSchema(), nil, Options{}), clickEvents(8192))
	rows := 0
	report := reportCPU(b, func() int { return rows })
	b.ReportAllocs()
	for b.Loop() {
		HashRows(batch)
		rows += batch.Rows
	}
	report()
}

func BenchmarkAppendJSON(b *testing.B) {
	batch := decodeAll(b, NewDecoder(clickSchema(), nil, Options{}), clickEvents(8192))
	i := 0
	report := reportCPU(b, func() int { return i })
	b.ReportAllocs()
	var text []byte
	for ; b.Loop(); i++ {
		text = AppendJSON(text[:0], batch, i%batch.Rows)
	}
	report()
}
