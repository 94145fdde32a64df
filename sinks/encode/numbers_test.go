package encode

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

// numbersOf is one column of each floating-point type with the same rows.
func numbersOf(n int, number func(i int) float64) (*column.Schema, []structure) {
	s := &column.Schema{Fields: fieldsOf(kind(column.Double), kind(column.Float))}
	rows := make([]structure, n)
	for i := range rows {
		rows[i] = structure{number(i), number(i)}
	}
	return s, rows
}

func TestNumbersFromASmallSetAreWrittenAsIDs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s, rows := numbersOf(3*pageRows, func(int) float64 { return float64(r.IntN(20_000)) / 100 })
	w := writer(t, s, parquetOptions(None))
	file := encodeBatches(t, w, batchOf(s, rows))
	f, got := readLeaves(t, file)
	sameLeaves(t, w.layout, got, shredRows(s, rows, 2))
	if e := encodings(f); e != "RLE PLAIN RLE_DICTIONARY" {
		t.Errorf("encodings %s", e)
	}
	if perRow := float64(len(file)) / float64(len(rows)); perRow > 7 {
		t.Errorf("%.1f bytes for two numbers", perRow)
	}
}

func TestDistinctNumbersAreWrittenPlain(t *testing.T) {
	for _, n := range []int{100, 20_000} {
		s, rows := numbersOf(n, func(i int) float64 { return float64(i) + 0.5 })
		w := writer(t, s, parquetOptions(None))
		f, got := readLeaves(t, encodeBatches(t, w, batchOf(s, rows)))
		sameLeaves(t, w.layout, got, shredRows(s, rows, 2))
		if e := encodings(f); e != "RLE PLAIN" {
			t.Errorf("%d rows: encodings %s", n, e)
		}
	}
}

func TestDictionaryKeepsTheBitsOfZerosAndNaN(t *testing.T) {
	odd := []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1)}
	s, rows := numbersOf(500, func(i int) float64 { return odd[i%len(odd)] })
	w := writer(t, s, parquetOptions(Zstd))
	f, got := readLeaves(t, encodeBatches(t, w, batchOf(s, rows)))
	if e := encodings(f); e != "RLE PLAIN RLE_DICTIONARY" {
		t.Fatalf("encodings %s", e)
	}
	for i := range rows {
		want := odd[i%len(odd)]
		if v := got[0][i].Double(); math.Float64bits(v) != math.Float64bits(want) {
			t.Fatalf("row %d is %v (%x), want %v", i, v, math.Float64bits(v), want)
		}
		if v := got[1][i].Float(); math.Float32bits(v) != math.Float32bits(float32(want)) {
			t.Fatalf("row %d is %v as float, want %v", i, v, want)
		}
	}
}
