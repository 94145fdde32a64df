//go:build unix

package objects

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sinks/encode"
)

// BenchmarkPartitions is the cost of a row on its way into finished objects, a chunk being a
// million rows.
func BenchmarkPartitions(b *testing.B) {
	w := newWide(10, 1000)
	batches := make([]*column.Batch, 8)
	for i := range batches {
		batches[i] = w.batch(8192)
	}
	for _, by := range [][]string{nil, {"p % 3 AS p"}, {"p"}} {
		b.Run(fmt.Sprint(by), func(b *testing.B) {
			writer, err := encode.NewWriter(w.schema, encode.Options{Format: encode.Parquet, Compression: encode.Zstd})
			if err != nil {
				b.Fatal(err)
			}
			c, err := New(Settings{Layout: Layout{PartitionBy: by}, Writer: writer, Schema: w.schema, Dir: b.TempDir(), Memory: 64 << 20})
			if err != nil {
				b.Fatal(err)
			}
			rows, before := 0, cpu()
			for b.Loop() {
				for i := range 128 {
					if _, err := c.Add(batches[i%len(batches)]); err != nil {
						b.Fatal(err)
					}
					rows += 8192
				}
				if _, err := c.freeze(); err != nil {
					b.Fatal(err)
				}
				if err := c.Drop(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(rows), "cpu-ns/row")
		})
	}
}

// cpu is the processor time of the process, which others on the machine do not change.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
