package encode

import (
	"bytes"
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/millrace-io/millrace/engine/column"
)

// bloomed are the columns of everyKind that can have a bloom filter.
var bloomed = []string{"a", "big", "float", "double", "small decimal", "decimal", "large, decimal", "string", "binary",
	"date", "time", "timestamp", "uuid", "json", "strings", "matrix", "point", "deep.f0.f0"}

func TestBloomFiltersKnowEveryValueAndFewOthers(t *testing.T) {
	s := everyKind()
	o := parquetOptions(Zstd)
	o.Bloom = bloomed
	w := writer(t, s, o)
	rows := randomRows(21, s, 3000, 0.1)
	strangers := shredRows(s, randomRows(22, s, 3000, 0), len(w.layout.leaves))
	f, got := readLeaves(t, encodeBatches(t, w, batchOf(s, rows)))
	sameLeaves(t, w.layout, got, shredRows(s, rows, len(w.layout.leaves)))
	for i, chunk := range f.RowGroups()[0].ColumnChunks() {
		leaf := &w.layout.leaves[i]
		filter := chunk.BloomFilter()
		if (filter != nil) != leaf.bloom {
			t.Fatalf("column %s: filter %v", leaf.name, filter != nil)
		}
		if filter == nil {
			continue
		}
		known := map[string]bool{}
		for _, v := range got[i] {
			known[v.String()] = true
			if ok, err := filter.Check(v); !v.IsNull() && (!ok || err != nil) {
				t.Fatalf("column %s: the filter does not know %v: %v", leaf.name, v, err)
			}
		}
		wrong, unknown := 0, 0
		for _, v := range strangers[i] {
			if v.IsNull() || known[v.String()] {
				continue
			}
			unknown++
			if ok, _ := filter.Check(v); ok {
				wrong++
			}
		}
		if unknown > 100 && wrong*20 > unknown {
			t.Errorf("column %s: %d of %d strangers pass the filter", leaf.name, wrong, unknown)
		}
	}
}

func TestBloomFilterHoldsDictionaryAndPlainPages(t *testing.T) {
	text := func(i int) string {
		if i < pageRows+100 {
			return fmt.Sprint(i % 10)
		}
		return strings.Repeat("long ", 40) + fmt.Sprint(i)
	}
	s, rows := oneColumn(2*pageRows, text)
	o := parquetOptions(Snappy)
	o.Bloom = []string{"f0"}
	w := writer(t, s, o)
	f, _ := readLeaves(t, encodeBatches(t, w, batchOf(s, rows)))
	filter := f.RowGroups()[0].ColumnChunks()[0].BloomFilter()
	for i := range rows {
		if ok, err := filter.Check(parquet.ValueOf(text(i))); !ok || err != nil {
			t.Fatalf("row %d is not in the filter: %v", i, err)
		}
	}
}

func TestRowsOfARowGroupAreSorted(t *testing.T) {
	s := &column.Schema{Fields: fieldsOf(kind(column.String), kind(column.BigInt), list(kind(column.Int)))}
	o := parquetOptions(Zstd)
	o.Sort = []SortColumn{ParseSort("f0 DESC"), ParseSort("f1")}
	o.GroupRows = 4000
	w := writer(t, s, o)
	rows := randomRows(31, s, 10_000, 0.1)
	file := encodeBatches(t, w, batchOf(s, rows[:7000]), batchOf(s, rows[7000:]))
	for from := 0; from < len(rows); from += o.GroupRows {
		slices.SortStableFunc(rows[from:min(from+o.GroupRows, len(rows))], func(a, b structure) int {
			return cmp.Or(order[string](a[0], b[0], true), order[int64](a[1], b[1], false))
		})
	}
	f, got := readLeaves(t, file)
	sameLeaves(t, w.layout, got, shredRows(s, rows, len(w.layout.leaves)))
	for _, g := range f.RowGroups() {
		columns := g.SortingColumns()
		if len(columns) != 2 || columns[0].Path()[0] != "f0" || !columns[0].Descending() || columns[1].Descending() {
			t.Errorf("row group of %d rows is declared as sorted by %v", g.NumRows(), columns)
		}
	}
	if again := encodeBatches(t, w, batchOf(s, randomRows(31, s, 10_000, 0.1))); !bytes.Equal(file, again) {
		t.Error("the same rows gave another file")
	}
}

// order compares values, nulls last.
func order[T cmp.Ordered](a, b tree, descending bool) int {
	switch {
	case a == nil || b == nil:
		return cmp.Compare(absence(a), absence(b))
	case descending:
		a, b = b, a
	}
	return cmp.Compare(a.(T), b.(T))
}

func absence(v tree) int {
	if v == nil {
		return 1
	}
	return 0
}

func TestEveryScalarSorts(t *testing.T) {
	all := everyKind()
	for i, field := range all.Fields {
		if k := field.Type.Kind; k == column.List || k == column.Struct || k == column.JSON {
			continue
		}
		s := &column.Schema{Fields: []column.Field{field, {Name: "n", Type: kind(column.BigInt)}}}
		o := parquetOptions(None)
		o.Sort = []SortColumn{{Column: field.Name}}
		w := writer(t, s, o)
		rows := randomRows(uint64(i), s, 500, 0.2)
		f, got := readLeaves(t, encodeBatches(t, w, batchOf(s, rows)))
		typ := f.Schema().Fields()[0].Type()
		less := typ.Compare
		if field.Type.Kind == column.Decimal && field.Type.Wide() {
			less = func(a, b parquet.Value) int { return signed(a).Cmp(signed(b)) }
		}
		for j := 1; j < len(got[0]); j++ {
			a, b := got[0][j-1], got[0][j]
			if a.IsNull() && !b.IsNull() || !a.IsNull() && !b.IsNull() && less(a, b) > 0 {
				t.Fatalf("column %s: row %d is %v, and the next %v", field.Name, j-1, a, b)
			}
		}
	}
}

// signed is a big-endian two's complement number of 16 bytes.
func signed(v parquet.Value) *big.Int {
	n := new(big.Int).SetBytes(v.ByteArray())
	if v.ByteArray()[0] > 0x7f {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	return n
}

func TestFlushOfASortedFileLetsGoOfTheRows(t *testing.T) {
	s := everyKind()
	o := parquetOptions(Zstd)
	o.Sort = []SortColumn{{Column: "big"}}
	var file bytes.Buffer
	e := writer(t, s, o).Open(&file)
	if err := e.Add(batchOf(s, randomRows(9, s, 9000, 0.2))); err != nil {
		t.Fatal(err)
	}
	held := e.Memory()
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	if after := e.Memory(); after > held/4 || held < 9000*300 {
		t.Errorf("memory %d after a flush, %d before", after, held)
	}
	if err := e.Finish(); err != nil {
		t.Fatal(err)
	}
	if f, _ := readLeaves(t, file.Bytes()); f.NumRows() != 9000 || e.Rows() != 9000 || e.Size() != int64(file.Len()) {
		t.Errorf("%d rows of %d, %d bytes of %d", f.NumRows(), e.Rows(), e.Size(), file.Len())
	}
}

func TestRowGroupsAreBoundedByBothOptions(t *testing.T) {
	s, rows := oneColumn(10_000, func(i int) string { return fmt.Sprintf("%0100d", i*7919) })
	for _, sorted := range [][]SortColumn{nil, {{Column: "f0"}}} {
		o := parquetOptions(Zstd)
		o.GroupRows, o.Sort = 3000, sorted
		f, _ := readLeaves(t, encodeBatches(t, writer(t, s, o), batchOf(s, rows)))
		var got []int64
		for _, g := range f.RowGroups() {
			got = append(got, g.NumRows())
		}
		if d := gocmp.Diff([]int64{3000, 3000, 3000, 1000}, got); d != "" {
			t.Error(d)
		}
		o.GroupRows, o.GroupBytes = 0, 300<<10
		var file bytes.Buffer
		e := writer(t, s, o).Open(&file)
		for i := 0; i < len(rows); i += 500 {
			if err := e.Add(batchOf(s, rows[i:i+500])); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Finish(); err != nil {
			t.Fatal(err)
		}
		f, _ = readLeaves(t, file.Bytes())
		for _, g := range f.RowGroups() {
			if n := g.NumRows(); n > 4000 {
				t.Errorf("a row group of %d rows of 100 bytes; sorted: %v", n, sorted != nil)
			}
		}
	}
}

func TestParquetOptionsNameTheColumnThatIsWrong(t *testing.T) {
	for want, o := range map[string]ParquetOptions{
		`unknown column for a bloom filter "strnig"; did you mean "string"?`: {Bloom: []string{"strnig"}},
		`both values of a boolean`:                    {Bloom: []string{"z"}},
		`unknown column to sort by "bgi"`:             {Sort: []SortColumn{{Column: "bgi"}}},
		`cannot be sorted by column strings`:          {Sort: []SortColumn{{Column: "strings"}}},
		`sorted by big already`:                       {Sort: []SortColumn{{Column: "big"}, {Column: "big"}}},
		`a row group has at most 1 GiB`:               {GroupBytes: 1 << 40},
		`-1 rows; want at least 1`:                    {GroupRows: -1},
		`unknown column for a bloom filter "deep.f9"`: {Bloom: []string{"deep.f9"}},
	} {
		full := parquetOptions(Zstd)
		full.ParquetOptions = o
		if _, err := NewWriter(everyKind(), full); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
}
