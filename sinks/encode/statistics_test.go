package encode

import (
	"bytes"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace-io/millrace/engine/column"
)

func TestDictionaryStartsAnewInEachRowGroup(t *testing.T) {
	const n = groupRows + 3*batchRows
	// The second row group meets the texts in another order than the first.
	s, rows := oneColumn(n, func(i int) string { return []string{"a", "b", "c"}[(i+i/groupRows*2)%3] })
	w := writer(t, s, parquetOptions(Zstd))
	d, seen := &column.Dict{}, map[string]int32{}
	var batches []*column.Batch
	for i := 0; i < n; i += 50_000 {
		b := batchOf(s, rows[i:min(n, i+50_000)])
		b.Columns[0] = withDict(b.Columns[0], d, seen)
		batches = append(batches, b)
	}
	f, got := readLeaves(t, encodeBatches(t, w, batches...))
	sameLeaves(t, w.layout, got, shredRows(s, rows, 1))
	if len(f.RowGroups()) != 2 {
		t.Errorf("%d row groups", len(f.RowGroups()))
	}
}

// ofPages calls f with the values of each page.
func ofPages(t *testing.T, chunk parquet.ColumnChunk, f func(page int, values []parquet.Value)) {
	t.Helper()
	pages := chunk.Pages()
	defer pages.Close()
	for i := 0; ; i++ {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		f(i, pageValues(t, page))
		parquet.Release(page)
	}
}

// compareWide compares large decimals as numbers; the library compares their bytes.
func compareWide(a, b parquet.Value) int {
	number := func(v parquet.Value) *big.Int {
		n := new(big.Int).SetBytes(v.ByteArray())
		if v.ByteArray()[0] >= 0x80 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), 128))
		}
		return n
	}
	return number(a).Cmp(number(b))
}

func TestPageIndexBoundsTheValuesOfEachPage(t *testing.T) {
	s := everyKind()
	w := writer(t, s, parquetOptions(Snappy))
	rows := randomRows(21, s, pageRows+2000, 0.3)
	f, _ := readLeaves(t, encodeBatches(t, w, batchOf(s, rows)))
	checked := 0
	for c, chunk := range f.RowGroups()[0].ColumnChunks() {
		name := fmt.Sprint(w.layout.leaves[c].path)
		compare := chunk.Type().Compare
		if w.layout.leaves[c].typ.Wide() {
			compare = compareWide
		}
		index, err := chunk.ColumnIndex()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ofPages(t, chunk, func(page int, values []parquet.Value) {
			nulls := 0
			for _, v := range values {
				if v.IsNull() {
					nulls++
					continue
				}
				if compare(v, index.MinValue(page)) < 0 || compare(v, index.MaxValue(page)) > 0 {
					t.Fatalf("%s page %d: %v is outside %v to %v", name, page, v, index.MinValue(page), index.MaxValue(page))
				}
				checked++
			}
			if int64(nulls) != index.NullCount(page) {
				t.Errorf("%s page %d: %d nulls, the index says %d", name, page, nulls, index.NullCount(page))
			}
		})
	}
	if checked < 100_000 {
		t.Errorf("only %d values were checked", checked)
	}
}

func TestStatisticsAreThoseTheLibraryComputes(t *testing.T) {
	s := everyKind()
	w := writer(t, s, parquetOptions(None))
	rows := randomRows(22, s, 300, 0.2)
	ours, _ := readLeaves(t, encodeBatches(t, w, batchOf(s, rows)))
	theirs, _ := readLeaves(t, writeReference(t, w.layout, shredRows(s, rows, len(w.layout.leaves))))
	for i, c := range theirs.Metadata().RowGroups[0].Columns {
		got, want := ours.Metadata().RowGroups[0].Columns[i].MetaData.Statistics, c.MetaData.Statistics
		if t := w.layout.leaves[i].typ; t.Kind == column.Double || t.Wide() {
			// The library neither widens a bound of zero to both signs nor knows of signs in large
			// decimals, both of which the format asks for.
			continue
		}
		if !bytes.Equal(got.MinValue, want.MinValue) || !bytes.Equal(got.MaxValue, want.MaxValue) {
			t.Errorf("%v: %x to %x, want %x to %x", w.layout.leaves[i].path, got.MinValue, got.MaxValue, want.MinValue, want.MaxValue)
		}
	}
}

func TestLongTextsAreCutInBounds(t *testing.T) {
	long := func(end string) string { return strings.Repeat("é", 40) + end }
	for _, c := range []struct {
		name       string
		kind       column.Kind
		lo, hi     string
		min, max   string
		valid, all bool
	}{
		{"short", column.String, "a", "b", "a", "b", true, true},
		{"long", column.String, long("a"), long("b"), strings.Repeat("é", 32), strings.Repeat("é", 31) + "ê", true, false},
		{"no character above", column.String, "a", strings.Repeat("\U0010ffff", 40), "", "", false, false},
		{"bytes", column.Binary, "a", strings.Repeat("\xff", 3) + strings.Repeat("x", 80), "a", "\xff\xff\xff" + strings.Repeat("x", 60) + "y", true, false},
		{"no byte above", column.Binary, "a", strings.Repeat("\xff", 80), "", "", false, false},
		{"before the surrogates", column.String, "a", strings.Repeat("a", 61) + "\ud7ff" + "zzz", "a", strings.Repeat("a", 61) + "\ue000", true, false},
	} {
		b := textBounds([]byte(c.lo), []byte(c.hi), c.kind)
		if b.valid != c.valid || b.exact != c.all || string(b.min) != c.min || string(b.max) != c.max {
			t.Errorf("%s: %q to %q (valid %v, exact %v)", c.name, b.min, b.max, b.valid, b.exact)
		}
	}
}

func TestRisingPagesAreSaidToRise(t *testing.T) {
	const n = 3 * pageRows
	numbers := func(step int64) *column.Batch {
		c := &column.Column{Type: kind(column.BigInt), Len: n}
		for i := range int64(n) {
			c.Int64s = append(c.Int64s, i*step)
		}
		return &column.Batch{Columns: []*column.Column{c}, Rows: n}
	}
	s := &column.Schema{Fields: fieldsOf(kind(column.BigInt))}
	for step, want := range map[int64]format.BoundaryOrder{1: format.Ascending, -1: format.Descending, 0x3779b97f4a7c15f1: format.Unordered} {
		f, _ := readLeaves(t, encodeBatches(t, writer(t, s, parquetOptions(None)), numbers(step)))
		index := f.ColumnIndexes()[0]
		if index.BoundaryOrder != want || len(index.MinValues) != 3 {
			t.Errorf("step %d: %v in %d pages, want %v", step, index.BoundaryOrder, len(index.MinValues), want)
		}
	}
}
