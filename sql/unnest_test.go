package sql_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// listsOf is a batch of rows of cells.
func listsOf(t *testing.T, schema string, rows ...[]string) (*column.Batch, func(string) (sql.Input, bool)) {
	t.Helper()
	b := cellsOf(t, schema, rows)
	return b, func(string) (sql.Input, bool) { return sql.Input{Schema: b.Schema}, true }
}

// A column of structs may have values below those that are null.
func TestUnnestOfNullStructsHasNoFields(t *testing.T) {
	b, in := listsOf(t, "items [{sku string, price bigint}]", []string{"[a/1,b/2]"})
	b.Columns[0].Children[0].Valid, b.Columns[0].Children[0].Nulls = column.Bitmap{1}, 1
	q, err := sql.CompileQuery("SELECT sku, price FROM s CROSS JOIN UNNEST(items) AS i", in)
	if err != nil {
		t.Fatal(err)
	}
	op := q.New()
	if _, err := op.Add(b); err != nil {
		t.Fatal(err)
	}
	out, err := op.Emit(column.MaxWatermark)
	if got := sqltest.Rows(out); err != nil || !slices.Equal(got, []string{"a 1", "null null"}) {
		t.Fatal(got, err)
	}
}

func TestUnnestOfManyRowsComesInParts(t *testing.T) {
	cell := "[" + strings.TrimSuffix(strings.Repeat("1,", 30_000), ",") + "]"
	b, in := listsOf(t, "id bigint, v [bigint]", []string{"1", cell}, []string{"2", cell}, []string{"3", "[]"}, []string{"4", cell}, []string{"5", cell})
	q, err := sql.CompileQuery("SELECT id, x FROM s CROSS JOIN UNNEST(v) AS t(x) WHERE id <> 2", in)
	if err != nil {
		t.Fatal(err)
	}
	op := q.New()
	taken, err := op.Add(b)
	if err != nil || taken.Aggregated != 3 || taken.Filtered != 2 {
		t.Fatal(taken, err)
	}
	out, err := op.Emit(column.MaxWatermark)
	if err != nil || out.Rows != 90_000 {
		t.Fatal(out.Rows, err)
	}
	for i, id := range out.Columns[0].Int64s {
		if want := []int64{1, 4, 5}[i/30_000]; id != want {
			t.Fatalf("row %d is of %d, want %d", i, id, want)
		}
	}
}

func TestUnnestRepeatsNoMoreTextThanItMay(t *testing.T) {
	text := strings.Repeat("x", 1<<20)
	cell := "[" + strings.TrimSuffix(strings.Repeat("1,", 65), ",") + "]"
	for n, fits := range map[int]bool{60: true, 65: false} {
		short := "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]"
		b, in := listsOf(t, "id bigint, k string, v [bigint]", []string{"1", text, short}, []string{"2", text, short})
		q, err := sql.CompileQuery("SELECT k, x FROM s CROSS JOIN UNNEST(v) AS t(x)", in)
		if err != nil {
			t.Fatal(err)
		}
		_, err = q.New().Add(b)
		if fits != (err == nil) || err != nil && err.Error() != "UNNEST would repeat 65 MiB of the columns beside the list for one row, more than 64 MiB; select fewer columns" {
			t.Errorf("%d elements: %v", n, err)
		}
	}
	b, in := listsOf(t, "id bigint, k string, v [bigint]", []string{"1", text, cell})
	q, err := sql.CompileQuery("SELECT id, x FROM s CROSS JOIN UNNEST(v) AS t(x)", in)
	if err != nil {
		t.Fatal(err)
	}
	if taken, err := q.New().Add(b); err != nil || taken.Aggregated != 1 {
		t.Errorf("a text that nobody reads: %+v, %v", taken, err)
	}
}

// What windows hold comes in one batch, however much that is; the list is not repeated with its elements.
func TestUnnestOfWindowsRepeatsWhatIsRead(t *testing.T) {
	s, err := sqltest.Schema("ts timestamp, k string, id bigint")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 1<<20)
	var rows [][]string
	for i := range 40 {
		rows = append(rows, []string{"00:00:01", text + strconv.Itoa(i/10), strconv.Itoa(i)})
	}
	b, err := sqltest.Batch(s, rows, false)
	if err != nil {
		t.Fatal(err)
	}
	const lists = "(SELECT window_start, ARRAY_AGG(k) AS ks, ARRAY_AGG(id) AS ids FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), id % 4) AS w"
	for query, want := range map[string]int{
		"SELECT LENGTH(k) AS n FROM " + lists + " CROSS JOIN UNNEST(ks) AS t(k)":                                                   40,
		"SELECT LENGTH(k) AS n, id FROM " + lists + " CROSS JOIN UNNEST(ks) AS t(k) CROSS JOIN UNNEST(ids) AS u(id)":               400,
		"SELECT COUNT(*) AS n FROM " + lists + " CROSS JOIN UNNEST(ks) AS t(k) GROUP BY TUMBLE(window_start, INTERVAL '1' MINUTE)": 1,
	} {
		q, err := sql.CompileQuery(query, func(string) (sql.Input, bool) { return sql.Input{Schema: s, EventTime: "ts"}, true })
		if err != nil {
			t.Fatal(err)
		}
		op := q.New()
		if _, err := op.Add(b); err != nil {
			t.Fatal(err)
		}
		out, err := op.Emit(column.MaxWatermark)
		if err != nil || out.Rows != want {
			t.Errorf("%s: %v, want %d rows", query, err, want)
		}
	}
}

func BenchmarkUnnest(b *testing.B) {
	s, err := sqltest.Schema("id bigint, v [bigint]")
	if err != nil {
		b.Fatal(err)
	}
	var rows [][]string
	for i := range 4096 {
		rows = append(rows, []string{strconv.Itoa(i), "[1,2,3,4]"})
	}
	batch, err := sqltest.Batch(s, rows, false)
	if err != nil {
		b.Fatal(err)
	}
	q, err := sql.CompileQuery("SELECT id, x FROM s CROSS JOIN UNNEST(v) AS t(x) WHERE x > 9", func(string) (sql.Input, bool) { return sql.Input{Schema: s}, true })
	if err != nil {
		b.Fatal(err)
	}
	op := q.New()
	for b.Loop() {
		if _, err := op.Add(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4096/4, "ns/element")
}
