package encode

import (
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

// clicks is batches of click events as the decoder hands them on: 12 leaf columns, about 258
// bytes a row as JSON, texts that repeat as ids of a dictionary.
func clicks(n, batch int) (*column.Schema, []*column.Batch) {
	s := &column.Schema{Fields: []column.Field{
		{Name: "event_time", Type: kind(column.Timestamp)},
		{Name: "user_id", Type: kind(column.String)},
		{Name: "session_id", Type: kind(column.String)},
		{Name: "url", Type: kind(column.String)},
		{Name: "action", Type: kind(column.String)},
		{Name: "price", Type: kind(column.Double)},
		{Name: "quantity", Type: kind(column.BigInt)},
		{Name: "country", Type: kind(column.String)},
		{Name: "user_agent", Type: kind(column.String)},
		{Name: "geo", Type: column.Type{Kind: column.Struct, Fields: []column.Field{
			{Name: "lat", Type: kind(column.Double)}, {Name: "lon", Type: kind(column.Double)}}}},
		{Name: "seq", Type: kind(column.BigInt)},
	}}
	r := rand.New(rand.NewPCG(7, 7))
	zipf := rand.NewZipf(r, 1.1, 10, 200_000)
	dict := func(n int, format string) *column.Dict {
		d := &column.Dict{Offsets: []int32{0}}
		for i := range n {
			d.Bytes = fmt.Appendf(d.Bytes, format, i)
			d.Offsets = append(d.Offsets, int32(len(d.Bytes)))
		}
		return d
	}
	urls := dict(25_000, "https://shop.example.com/catalogue/%05d/details")
	actions := dict(6, "action-%d")
	countries := dict(17, "C%d")
	agents := dict(48, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0 Safari/537.36")
	var out []*column.Batch
	for at := 0; at < n; at += batch {
		b := &column.Batch{Schema: s, Rows: batch}
		ids := func(d *column.Dict) *column.Column {
			c := &column.Column{Type: kind(column.String), Len: batch, Dict: d, DictLen: len(d.Offsets) - 1}
			for range batch {
				c.IDs = append(c.IDs, int32(r.IntN(c.DictLen)))
			}
			return c
		}
		text := func(f func() string) *column.Column {
			c := &column.Column{Type: kind(column.String), Len: batch, Offsets: []int32{0}}
			for range batch {
				c.Bytes = append(c.Bytes, f()...)
				c.Offsets = append(c.Offsets, int32(len(c.Bytes)))
			}
			return c
		}
		longs := func(k column.Kind, f func(i int) int64) *column.Column {
			c := &column.Column{Type: kind(k), Len: batch}
			for i := range batch {
				c.Int64s = append(c.Int64s, f(at+i))
			}
			return c
		}
		doubles := func(f func() float64) *column.Column {
			c := &column.Column{Type: kind(column.Double), Len: batch}
			for range batch {
				c.Float64s = append(c.Float64s, f())
			}
			return c
		}
		cents := func(scale float64) func() float64 {
			return func() float64 { return math.Round(r.Float64()*scale*100) / 100 }
		}
		b.Columns = []*column.Column{
			longs(column.Timestamp, func(i int) int64 { return 1_760_000_000_000_000 + int64(i)*1000 + int64(r.IntN(900)) }),
			text(func() string { return fmt.Sprintf("user-%06d", zipf.Uint64()) }),
			text(func() string { var x [16]byte; fill64(r, x[:]); return hex.EncodeToString(x[:]) }),
			ids(urls), ids(actions), doubles(cents(500)),
			longs(column.BigInt, func(int) int64 { return int64(1 + r.IntN(9)) }),
			ids(countries), ids(agents),
			{Type: s.Fields[9].Type, Len: batch, Children: []*column.Column{doubles(cents(90)), doubles(cents(180))}},
			longs(column.BigInt, func(i int) int64 { return int64(i) }),
		}
		out = append(out, b)
	}
	return s, out
}

func fill64(r *rand.Rand, b []byte) {
	for i := 0; i < len(b); i += 8 {
		v := r.Uint64()
		for j := range 8 {
			b[i+j] = byte(v >> (8 * j))
		}
	}
}

// BenchmarkEncode writes one file of 500,000 click events. The figures to look at are ns/row,
// B/row and the memory held.
func BenchmarkEncode(b *testing.B) {
	s, batches := clicks(500_000, 8192)
	for _, o := range []Options{
		{Format: Parquet, Compression: None}, {Format: Parquet, Compression: Snappy},
		{Format: Parquet, Compression: Zstd, Level: 1}, {Format: Parquet, Compression: Zstd, Level: 3},
		{Format: NDJSON, Compression: None}, {Format: NDJSON, Compression: Zstd, Level: 1},
		{Format: CSV, Compression: None}, {Format: Avro, Compression: None}, {Format: Avro, Compression: Zstd, Level: 1},
	} {
		b.Run(fmt.Sprintf("%s/%s/%d", o.Format, o.Compression, o.Level), func(b *testing.B) {
			w := writer(b, s, o)
			var rows, size, memory int64
			b.ReportAllocs()
			for b.Loop() {
				e := w.Open(io.Discard)
				for _, batch := range batches {
					if err := e.Add(batch); err != nil {
						b.Fatal(err)
					}
					memory = max(memory, e.Memory())
				}
				if err := e.Finish(); err != nil {
					b.Fatal(err)
				}
				rows += e.Rows()
				size = e.Size() / (e.Rows() / 100)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
			b.ReportMetric(float64(size)/100, "B/row")
			b.ReportMetric(float64(memory)/(1<<20), "MiB")
		})
	}
}
