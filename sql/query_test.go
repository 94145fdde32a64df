package sql_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

const clickSchema = "ts timestamp, k string, geo{lat double, lon double}, v bigint, other bigint"

func TestAQuerySaysWhatItReadsAndGives(t *testing.T) {
	for _, c := range []struct {
		query, needs, eventTime string
		windowed                bool
	}{
		{"SELECT * FROM s", "ts k geo v other", "ts", false},
		{"SELECT k, ts AS at FROM s WHERE v > 1", "ts k v", "at", false},
		{"SELECT k FROM s WHERE geo.lat > 1", "k geo", "", false},
		{"SELECT ts + INTERVAL '1' DAY AS ts FROM s", "ts", "", false},
		{"SELECT COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY)", "ts", "", true},
		{"SELECT k, window_start AS w, SUM(v) AS v FROM s WHERE geo.lon = 1 GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k", "k geo v ts", "w", true},
		{"SELECT window_end, k FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k", "k ts", "", true},
	} {
		q := compile(t, clickSchema, "ts", c.query)
		needs := strings.Fields(c.needs)
		got := column.Tops(q.Needs(0))
		slices.Sort(got)
		slices.Sort(needs)
		if !slices.Equal(got, needs) {
			t.Errorf("%s: needs %v, want %v", c.query, got, needs)
		}
		if q.OutputEventTime() != c.eventTime || q.Windowed() != c.windowed || q.Inputs()[0] != "s" {
			t.Errorf("%s: event time %q, windowed %v, from %q", c.query, q.OutputEventTime(), q.Windowed(), q.Inputs()[0])
		}
	}
}

func TestNamesNeedNoSchema(t *testing.T) {
	names, err := sql.Names("SELECT a, COUNT(*) FROM \"my stream\" AS x GROUP BY whatever(a)")
	if err != nil || !slices.Equal(names, []string{"my stream"}) {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := sql.Names("SELECT"); err == nil {
		t.Error("half a statement has names")
	}
}

func TestMistakesHaveAPlace(t *testing.T) {
	schema, _ := sqltest.Schema(clickSchema)
	_, err := sql.CompilePredicate("v > 1\n  AND kk = 'x'", schema)
	var mistake *sql.Error
	if !errors.As(err, &mistake) || mistake.Line != 2 || mistake.Column != 7 {
		t.Errorf("%v", err)
	}
	if _, err := sql.CompilePredicate("v + 1", schema); err == nil {
		t.Error("a number is a filter")
	}
}

// batch is rows of clickSchema.
func batch(t testing.TB, rows ...string) *column.Batch {
	t.Helper()
	return batchOf(t, clickSchema, rows...)
}

// batchOf is rows of a schema as scripts write them.
func batchOf(t testing.TB, schema string, rows ...string) *column.Batch {
	t.Helper()
	cells := make([][]string, len(rows))
	for i, r := range rows {
		cells[i] = sqltest.Cells(r)
	}
	return cellsOf(t, schema, cells)
}

// cellsOf is rows of cells.
func cellsOf(t testing.TB, schema string, rows [][]string) *column.Batch {
	t.Helper()
	s, err := sqltest.Schema(schema)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sqltest.Batch(s, rows, false)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestColumnsThatAreNotNeededMayBeMissing(t *testing.T) {
	p, err := sql.CompilePredicate("geo.lat > 1", batch(t).Schema)
	if err != nil {
		t.Fatal(err)
	}
	b := batch(t, "00:00:01 a 2 2 3 4", "00:00:01 a 1 2 3 4")
	for i, f := range b.Schema.Fields {
		if !slices.Contains(column.Tops(p.Needs()), f.Name) {
			b.Columns[i] = nil
		}
	}
	if rows, err := p.Select(b, nil); err != nil || !slices.Equal(rows, []int32{0}) {
		t.Errorf("%v, %v", rows, err)
	}
	b.Columns[2] = nil
	if _, err := p.Select(b, nil); err == nil || !strings.Contains(err.Error(), `"geo"`) {
		t.Errorf("a missing column that is needed: %v", err)
	}
}

func TestAFieldOfANullStructIsNull(t *testing.T) {
	e, err := sql.CompileExpr("geo.lat IS NULL", batch(t).Schema)
	if err != nil {
		t.Fatal(err)
	}
	b := batch(t, "00:00:01 a 1 2 3 4", "00:00:01 a 1 2 3 4", "00:00:01 a null 2 3 4")
	b.Columns[2].Valid, b.Columns[2].Nulls = column.Bitmap{0b101}, 1
	c, err := e.Eval(b)
	if err != nil {
		t.Fatal(err)
	}
	if c.Bools.Get(0) || !c.Bools.Get(1) || !c.Bools.Get(2) {
		t.Errorf("%08b", c.Bools[0])
	}
}

func TestNoRowsSelectedIsNotAllRows(t *testing.T) {
	b := batch(t, "00:00:01 a 1 2 3 4")
	p, err := sql.CompilePredicate("NOT (v = 3 OR k = 'x')", b.Schema)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := p.Select(b, nil)
	if err != nil || rows == nil || len(rows) > 0 {
		t.Errorf("%#v, %v", rows, err)
	}
	if got := b.With(rows).Selected(); got != 0 {
		t.Errorf("%d rows", got)
	}
}

// TestAGrowingDictionaryIsReadAgain adds values to a Dict, as a decoder does between batches.
func TestAGrowingDictionaryIsReadAgain(t *testing.T) {
	p, err := sql.CompilePredicate("action IN ('c', 'a')", clicks)
	if err != nil {
		t.Fatal(err)
	}
	q, err := sql.CompileQuery("SELECT action, COUNT(*) AS n FROM s GROUP BY TUMBLE(event_time, INTERVAL '1' DAY), action",
		func(string) (sql.Input, bool) { return sql.Input{Schema: clicks, EventTime: "event_time"}, true })
	if err != nil {
		t.Fatal(err)
	}
	op := q.New()
	d := dictOf("a")
	for i, word := range []string{"b", "c", "d", "a2"} {
		n := i + 2
		d.Bytes = append(d.Bytes, word...)
		d.Offsets = append(d.Offsets, int32(len(d.Bytes)))
		b := &column.Batch{Schema: clicks, Rows: n, Columns: make([]*column.Column, len(clicks.Fields))}
		action := &column.Column{Type: column.Type{Kind: column.String}, Len: n, Dict: d, DictLen: n}
		for id := range int32(n) {
			action.IDs = append(action.IDs, id)
		}
		b.Columns[0] = &column.Column{Type: column.Type{Kind: column.Timestamp}, Len: n, Int64s: make([]int64, n)}
		b.Columns[2] = action
		want := []int32{0}
		if n > 2 {
			want = append(want, 2)
		}
		if got, err := p.Select(b, nil); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d values: %v, %v", n, got, err)
		}
		if _, err := op.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	out, err := op.Emit(column.MaxWatermark)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(sqltest.Rows(out), ","); got != "a 4,a2 1,b 4,c 3,d 2" {
		t.Error(got)
	}
}

func TestKeysBeyondTheDirectIndexGroupTheSame(t *testing.T) {
	schema, _ := sqltest.Schema(clickSchema)
	q := compile(t, clickSchema, "ts", "SELECT k, COUNT(*) AS n, MIN(v) AS v FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k")
	for _, dict := range []bool{false, true} {
		op := q.New()
		for part := range 3 {
			var rows [][]string
			for i := range 6000 {
				rows = append(rows, sqltest.Cells(fmt.Sprintf("00:00:01 k%05d 1 1 %d 1", (i*7+part)%5000, i)))
			}
			b, err := sqltest.Batch(schema, rows, dict)
			if err != nil {
				t.Fatal(err)
			}
			b.Origin.Shard = record.ShardID(part % 2)
			if _, err := op.Add(b); err != nil {
				t.Fatal(err)
			}
		}
		out := emitted(t, op, column.MaxWatermark)
		total := 0
		for i, line := range out {
			var n, v int
			if _, err := fmt.Sscanf(line, fmt.Sprintf("k%05d %%d %%d", i), &n, &v); err != nil {
				t.Fatalf("row %d is %q: %v", i, line, err)
			}
			total += n
		}
		if len(out) != 5000 || total != 18000 {
			t.Errorf("dict %v: %d groups of %d rows", dict, len(out), total)
		}
	}
}

func TestOperatorsOfAQueryAreIndependent(t *testing.T) {
	q := compile(t, clickSchema, "ts", "SELECT k, COUNT(*) AS n FROM s WHERE k LIKE 'a%' GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			op := q.New()
			for range 20 {
				if _, err := op.Add(batch(t, "00:00:01 a 1 2 3 4", "00:00:01 b 1 2 3 4", "00:00:01 ab 1 2 3 4")); err != nil {
					t.Error(err)
				}
			}
			if got := strings.Join(emitted(t, op, column.MaxWatermark), ","); got != "a 20,ab 20" {
				t.Error(got)
			}
		})
	}
	wg.Wait()
}

func TestHostileAmountsOfTextAreAnError(t *testing.T) {
	b := batch(t, "00:00:01 "+strings.Repeat("x", 1<<20)+" 1 2 3 4")
	for n, want := range map[int]string{60: "", 70: "64 MiB"} {
		e, err := sql.CompileExpr("k"+strings.Repeat(" || k", n-1), b.Schema)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Eval(b); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d MiB: %v", n, err)
		}
	}
}
