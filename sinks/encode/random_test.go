package encode

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

// randomType is any type, nested up to depth levels.
func randomType(r *rand.Rand, depth int) column.Type {
	switch n := r.IntN(10); {
	case n < 2 && depth > 0:
		return list(randomType(r, depth-1))
	case n < 4 && depth > 0:
		var fields []column.Type
		for range 1 + r.IntN(3) {
			fields = append(fields, randomType(r, depth-1))
		}
		return record(fields...)
	}
	k := column.Boolean + column.Kind(r.IntN(int(column.List-column.Boolean)))
	if k == column.Decimal {
		return decimal([]int{7, 18, 38}[r.IntN(3)], r.IntN(5))
	}
	return kind(k)
}

// TestRandomSchemasEqualWhatTheLibraryWrites compares our pages with parquet-go's ColumnWriter: the
// same values, nulls and levels in each column, read by its reader, which also verifies checksums.
func TestRandomSchemasEqualWhatTheLibraryWrites(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 9))
		var types []column.Type
		for range 1 + r.IntN(6) {
			types = append(types, randomType(r, 4))
		}
		s := &column.Schema{Fields: fieldsOf(types...)}
		o := parquetOptions([]Compression{None, Zstd, Snappy, Gzip}[r.IntN(4)])
		o.GroupRows = []int{0, 300}[r.IntN(2)]
		w := writer(t, s, o)
		rows := randomRows(seed, s, 1000, []float64{0, 0.1, 0.7}[r.IntN(3)])
		at := r.IntN(len(rows))
		ours, got := readLeaves(t, encodeBatches(t, w, batchOf(s, rows[:at]), batchOf(s, rows[at:])))
		theirs, want := readLeaves(t, writeReference(t, w.layout, shredRows(s, rows, len(w.layout.leaves))))
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			sameLeaves(t, w.layout, got, want)
			if a, b := ours.Schema().String(), theirs.Schema().String(); a != b {
				t.Errorf("schema:\n%s\nwant:\n%s", a, b)
			}
		})
	}
}
