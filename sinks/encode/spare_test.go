package encode

import (
	"bytes"
	"io"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

// Files of other contents, with and without dictionaries, leave memory behind in between.
func TestFilesFollowFromTheirRowsWhateverWasWrittenBefore(t *testing.T) {
	s, batches := clicks(24_000, 4000)
	for _, o := range []Options{parquetOptions(Zstd), {Format: Parquet, Compression: Zstd, ParquetOptions: ParquetOptions{Bloom: []string{"user_id", "price"}}}} {
		var files [][]*column.Batch
		for _, rows := range []int{4000, 3, 700, 4000, 1} {
			selection := make([]int32, rows)
			for i := range selection {
				selection[i] = int32(i)
			}
			files = append(files, []*column.Batch{batches[len(files)].With(selection)})
		}
		files = append(files, batches, files[2])
		shared := writer(t, s, o)
		for turn := range 2 {
			for i, rows := range files {
				got := encodeBatches(t, shared, rows...)
				if want := encodeBatches(t, writer(t, s, o), rows...); !bytes.Equal(got, want) {
					t.Errorf("turn %d: file %d differs: %d bytes, %d by a writer of its own", turn, i, len(got), len(want))
				}
			}
		}
	}
}

func TestOnlySmallFilesLeaveMemoryForTheNext(t *testing.T) {
	s, batches := clicks(120_000, 8000)
	w := writer(t, s, parquetOptions(Zstd))
	for _, b := range batches {
		encodeBatches(t, w, b)
	}
	encodeBatches(t, w, batches...)
	for range 8 {
		if held := w.Open(io.Discard).Memory(); held > spareBytes+(64<<10) {
			t.Errorf("%d bytes held by a file without rows", held)
		}
	}
}

// BenchmarkSmallFiles writes files of 1,000 click events, as many partitions make them.
func BenchmarkSmallFiles(b *testing.B) {
	s, batches := clicks(64_000, 1000)
	for _, c := range []Compression{None, Zstd} {
		b.Run(string(c), func(b *testing.B) {
			w := writer(b, s, Options{Format: Parquet, Compression: c})
			b.ReportAllocs()
			var rows, size int64
			for i := 0; b.Loop(); i++ {
				e := w.Open(io.Discard)
				if err := e.Add(batches[i%len(batches)]); err != nil {
					b.Fatal(err)
				}
				if err := e.Finish(); err != nil {
					b.Fatal(err)
				}
				rows, size = rows+e.Rows(), size+e.Size()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
			b.ReportMetric(float64(size)/float64(rows), "B/row")
		})
	}
}
