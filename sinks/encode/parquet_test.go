package encode

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/millrace-io/millrace/engine/column"
)

func parquetOptions(c Compression) Options {
	return Options{Format: Parquet, Compression: c, CreatedBy: "millrace test"}
}

func writer(t testing.TB, s *column.Schema, o Options) *Writer {
	t.Helper()
	w, err := NewWriter(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// encodeBatches writes one file.
func encodeBatches(t testing.TB, w *Writer, batches ...*column.Batch) []byte {
	t.Helper()
	var file bytes.Buffer
	e := w.Open(&file)
	for _, b := range batches {
		if err := e.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Finish(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func randomRows(seed uint64, s *column.Schema, n int, nulls float64) []structure {
	r := rand.New(rand.NewPCG(seed, 2))
	rows := make([]structure, n)
	for i := range rows {
		for _, f := range s.Fields {
			rows[i] = append(rows[i], grow(r, f.Type, nulls))
		}
	}
	return rows
}

func TestParquetHoldsEveryValueOfEveryKind(t *testing.T) {
	s := everyKind()
	for _, nulls := range []float64{0, 0.2, 1} {
		for _, c := range []Compression{None, Zstd, Snappy, Gzip} {
			t.Run(fmt.Sprintf("%s/%.1f", c, nulls), func(t *testing.T) {
				w := writer(t, s, parquetOptions(c))
				rows := randomRows(1, s, 500, nulls)
				want := shredRows(s, rows, len(w.layout.leaves))
				file := encodeBatches(t, w, batchOf(s, rows[:300]), batchOf(s, rows[300:300]), batchOf(s, rows[300:]))
				f, got := readLeaves(t, file)
				sameLeaves(t, w.layout, got, want)
				if f.NumRows() != 500 {
					t.Errorf("%d rows", f.NumRows())
				}
			})
		}
	}
}

func TestParquetEqualsWhatTheLibraryWrites(t *testing.T) {
	s := everyKind()
	w := writer(t, s, parquetOptions(Zstd))
	rows := randomRows(3, s, 400, 0.3)
	ours, got := readLeaves(t, encodeBatches(t, w, batchOf(s, rows)))
	theirs, want := readLeaves(t, writeReference(t, w.layout, shredRows(s, rows, len(w.layout.leaves))))
	sameLeaves(t, w.layout, got, want)
	if a, b := ours.Schema().String(), theirs.Schema().String(); a != b {
		t.Errorf("schema:\n%s\nwant:\n%s", a, b)
	}
	for i, c := range theirs.Metadata().RowGroups[0].Columns {
		our := ours.Metadata().RowGroups[0].Columns[i].MetaData
		if our.Statistics.NullCount != c.MetaData.Statistics.NullCount || our.NumValues != c.MetaData.NumValues {
			t.Errorf("%v: %d nulls of %d, want %d of %d", our.PathInSchema, our.Statistics.NullCount, our.NumValues,
				c.MetaData.Statistics.NullCount, c.MetaData.NumValues)
		}
	}
}

func TestColumnsKeepTheOrderOfTheSchema(t *testing.T) {
	s := everyKind()
	file := encodeBatches(t, writer(t, s, parquetOptions(Zstd)), batchOf(s, randomRows(1, s, 3, 0)))
	f, _ := readLeaves(t, file)
	var got, want []string
	for _, c := range f.Root().Columns() {
		got = append(got, c.Name())
	}
	for _, field := range s.Fields {
		want = append(want, field.Name)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSelectedRowsAloneAreWritten(t *testing.T) {
	s := everyKind()
	w := writer(t, s, parquetOptions(Zstd))
	rows := randomRows(5, s, 300, 0.1)
	var picked []structure
	selection := []int32{}
	for i := 1; i < len(rows); i += 3 {
		selection = append(selection, int32(i))
		picked = append(picked, rows[i])
	}
	b := batchOf(s, rows)
	_, got := readLeaves(t, encodeBatches(t, w, b.With(selection), b.With([]int32{})))
	sameLeaves(t, w.layout, got, shredRows(s, picked, len(w.layout.leaves)))
}

// oneColumn is n rows of one string column.
func oneColumn(n int, text func(i int) string) (*column.Schema, []structure) {
	s := &column.Schema{Fields: fieldsOf(kind(column.String))}
	rows := make([]structure, n)
	for i := range rows {
		rows[i] = structure{text(i)}
	}
	return s, rows
}

func TestDictionariesOfSeveralDecodersBecomeOne(t *testing.T) {
	s, rows := oneColumn(40_000, func(i int) string { return fmt.Sprint("value ", i%100) })
	w := writer(t, s, parquetOptions(Zstd))
	var batches []*column.Batch
	dicts := [2]column.Dict{}
	seen := [2]map[string]int32{{}, {}}
	for i := 0; i < len(rows); i += 1000 {
		b := batchOf(s, rows[i:i+1000])
		if shard := i / 1000 % 3; shard < 2 {
			b.Columns[0] = withDict(b.Columns[0], &dicts[shard], seen[shard])
		}
		batches = append(batches, b)
	}
	file := encodeBatches(t, w, batches...)
	f, got := readLeaves(t, file)
	sameLeaves(t, w.layout, got, shredRows(s, rows, 1))
	if e := encodings(f); e != "RLE PLAIN RLE_DICTIONARY" {
		t.Errorf("encodings %s", e)
	}
	if len(file) > 60_000 {
		t.Errorf("file of %d bytes", len(file))
	}
}

func encodings(f *parquet.File) string {
	return strings.Trim(fmt.Sprint(f.Metadata().RowGroups[0].Columns[0].MetaData.Encoding), "[]")
}

func TestDistinctTextsAreWrittenPlain(t *testing.T) {
	s, rows := oneColumn(20_000, func(i int) string { return fmt.Sprintf("%032x", i*7919) })
	w := writer(t, s, parquetOptions(Zstd))
	b := batchOf(s, rows)
	b.Columns[0] = withDict(b.Columns[0], &column.Dict{}, map[string]int32{})
	f, got := readLeaves(t, encodeBatches(t, w, b))
	sameLeaves(t, w.layout, got, shredRows(s, rows, 1))
	if e := encodings(f); e != "RLE PLAIN" {
		t.Errorf("encodings %s", e)
	}
}

func TestFullDictionaryGivesWayToPlainPages(t *testing.T) {
	// The first pages repeat, then new long texts fill the dictionary.
	text := func(i int) string {
		if i < pageRows+100 {
			return fmt.Sprint(i % 10)
		}
		return strings.Repeat("long ", 40) + fmt.Sprint(i)
	}
	s, rows := oneColumn(3*pageRows, text)
	w := writer(t, s, parquetOptions(Snappy))
	f, got := readLeaves(t, encodeBatches(t, w, batchOf(s, rows)))
	sameLeaves(t, w.layout, got, shredRows(s, rows, 1))
	if e := encodings(f); e != "RLE PLAIN RLE_DICTIONARY" {
		t.Errorf("encodings %s", e)
	}
	if n := len(f.OffsetIndexes()[0].PageLocations); n < 4 {
		t.Errorf("%d pages", n)
	}
}

func TestFlushEndsTheRowGroupAndKeepsTheRows(t *testing.T) {
	s := everyKind()
	w := writer(t, s, parquetOptions(Zstd))
	rows := randomRows(9, s, 9000, 0.2)
	var file bytes.Buffer
	e := w.Open(&file)
	for i := 0; i < 9000; i += 3000 {
		if err := e.Add(batchOf(s, rows[i:i+3000])); err != nil {
			t.Fatal(err)
		}
		before := e.Memory()
		if err := e.Flush(); err != nil {
			t.Fatal(err)
		}
		if after := e.Memory(); after > before/4 {
			t.Errorf("memory %d after a flush, %d before", after, before)
		}
	}
	if err := e.Finish(); err != nil {
		t.Fatal(err)
	}
	f, got := readLeaves(t, file.Bytes())
	sameLeaves(t, w.layout, got, shredRows(s, rows, len(w.layout.leaves)))
	if n := len(f.RowGroups()); n != 3 {
		t.Errorf("%d row groups", n)
	}
	if e.Rows() != 9000 || e.Size() != int64(file.Len()) {
		t.Errorf("%d rows and %d bytes, file of %d", e.Rows(), e.Size(), file.Len())
	}
}

func TestRowGroupsAreBoundedByRows(t *testing.T) {
	s := &column.Schema{Fields: fieldsOf(kind(column.Int))}
	c := &column.Column{Type: kind(column.Int), Len: 50_000, Int32s: make([]int32, 50_000)}
	b := &column.Batch{Schema: s, Columns: []*column.Column{c}, Rows: c.Len}
	var batches []*column.Batch
	for range 21 {
		batches = append(batches, b)
	}
	f, _ := readLeaves(t, encodeBatches(t, writer(t, s, parquetOptions(Zstd)), batches...))
	var got []int64
	for _, g := range f.RowGroups() {
		got = append(got, g.NumRows())
	}
	if d := cmp.Diff([]int64{500_000, 500_000, 50_000}, got); d != "" {
		t.Error(d)
	}
}

func TestSameRowsGiveTheSameBytes(t *testing.T) {
	s := everyKind()
	rows := randomRows(11, s, 5000, 0.1)
	one := encodeBatches(t, writer(t, s, parquetOptions(Zstd)), batchOf(s, rows))
	two := encodeBatches(t, writer(t, s, parquetOptions(Zstd)), batchOf(s, rows))
	if !bytes.Equal(one, two) {
		t.Error("files differ")
	}
}

func TestRaggedColumnsAreRefused(t *testing.T) {
	s := everyKind()
	for i := range s.Fields {
		b := batchOf(s, randomRows(1, s, 20, 0.5))
		short := batchOf(s, randomRows(1, s, 3, 0.5))
		b.Columns[i] = short.Columns[i]
		var file bytes.Buffer
		e := writer(t, s, parquetOptions(Zstd)).Open(&file)
		if err := e.Add(b); err == nil || !strings.Contains(err.Error(), s.Fields[i].Name) {
			t.Errorf("column %s of 3 rows in a batch of 20: %v", s.Fields[i].Name, err)
		}
	}
}

func TestEmptyFileHasItsSchema(t *testing.T) {
	f, _ := readLeaves(t, encodeBatches(t, writer(t, everyKind(), parquetOptions(Zstd))))
	if f.NumRows() != 0 || len(f.Root().Columns()) != len(everyKind().Fields) {
		t.Errorf("%d rows, %d columns", f.NumRows(), len(f.Root().Columns()))
	}
}
