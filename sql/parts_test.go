package sql_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// taken is a snapshot.
func taken(t *testing.T, d *sqltest.Drawer, op sql.Operator) []byte {
	t.Helper()
	s, err := d.Snapshot(op)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// manyKeys are rows of n of 2,000 keys within a minute.
func manyKeys(t *testing.T, r *rand.Rand, n int) *column.Batch {
	t.Helper()
	var rows [][]string
	for range n {
		rows = append(rows, []string{fmt.Sprintf("00:00:%02d", r.IntN(60)), fmt.Sprint(r.IntN(2000)), fmt.Sprint(r.Float64())})
	}
	return cellsOf(t, "ts timestamp, k bigint, v double", rows)
}

const manyQuery = `SELECT window_start, window_end, k, COUNT(*) AS n, SUM(v) AS v FROM s GROUP BY HOP(ts, INTERVAL '20' SECOND, INTERVAL '1' MINUTE), k`

func TestStateInPartsIsTheSameState(t *testing.T) {
	q := compile(t, "ts timestamp, k bigint, v double", "ts", manyQuery)
	r := rand.New(rand.NewPCG(3, 4))
	plain, parted, d := q.New(), q.New(), sqltest.NewDrawer()
	parted.(sql.Parted).Keep(d, 64<<20)
	for range 60 {
		b := manyKeys(t, r, 1+r.IntN(600))
		for _, op := range []sql.Operator{plain, parted} {
			if _, err := op.Add(b); err != nil {
				t.Fatal(err)
			}
		}
		switch r.IntN(4) {
		case 0:
			// A crash: what was added since is added again.
			s := taken(t, d, parted)
			parted = q.New()
			parted.(sql.Parted).Keep(d, 64<<20)
			if err := parted.Restore(s); err != nil {
				t.Fatal(err)
			}
		case 1:
			taken(t, d, parted)
			before := parted.Memory()
			if err := parted.(sql.Parted).Shed(before / 2); err != nil {
				t.Fatal(err)
			}
			if after := parted.Memory(); after > before {
				t.Fatalf("memory grew from %d to %d", before, after)
			}
		}
	}
	want, err := plain.Emit(column.MaxWatermark)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parted.Emit(column.MaxWatermark)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := strings.Join(sqltest.Rows(got), "\n"), strings.Join(sqltest.Rows(want), "\n"); a != b {
		t.Errorf("%d and %d rows differ", len(a), len(b))
	}
	if taken(t, d, parted); len(d.Files) != 0 {
		t.Errorf("%d files are left", len(d.Files))
	}
}

func TestASnapshotWritesWhatChanged(t *testing.T) {
	q := compile(t, "ts timestamp, k bigint, v double", "ts", manyQuery)
	r := rand.New(rand.NewPCG(5, 6))
	op, d := q.New(), sqltest.NewDrawer()
	op.(sql.Parted).Keep(d, 64<<20)
	for range 20 {
		if _, err := op.Add(manyKeys(t, r, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	taken(t, d, op)
	first := d.Files[d.Now-1].Len()
	if _, err := op.Add(manyKeys(t, r, 10)); err != nil {
		t.Fatal(err)
	}
	taken(t, d, op)
	if second := d.Files[d.Now-1].Len(); second*20 > first {
		t.Errorf("10 rows make a snapshot of %d bytes, after one of %d", second, first)
	}
	if _, found := d.Files[d.Now-2]; !found {
		t.Error("the first snapshot is gone, though the second refers to it")
	}
	if err := op.(sql.Parted).Shed(0); err != nil {
		t.Fatal(err)
	}
	if m := op.Memory(); m > 4096 {
		t.Errorf("%d bytes are left in memory", m)
	}
	delete(d.Files, d.Now-2)
	if _, err := op.Emit(column.MaxWatermark); err == nil || !strings.Contains(err.Error(), "the file is gone") {
		t.Errorf("a lost file: %v", err)
	}
}

// BenchmarkCheckpoint is the pause that a snapshot of a million groups makes, of which one in a
// hundred changed.
func BenchmarkCheckpoint(b *testing.B) {
	q := compile(b, "ts timestamp, k bigint, v double", "ts",
		"SELECT k, COUNT(*) AS n, SUM(v) AS v FROM s GROUP BY TUMBLE(ts, INTERVAL '1' HOUR), k")
	op, d := q.New(), sqltest.NewDrawer()
	op.(sql.Parted).Keep(d, 64<<20)
	add := func(from, step, n int) {
		schema, _ := sqltest.Schema("ts timestamp, k bigint, v double")
		c := &column.Batch{Schema: schema, Rows: n, Columns: make([]*column.Column, 3)}
		for i := range c.Columns {
			c.Columns[i] = &column.Column{Type: schema.Fields[i].Type, Len: n}
		}
		for i := range n {
			c.Columns[0].Int64s = append(c.Columns[0].Int64s, 1)
			c.Columns[1].Int64s = append(c.Columns[1].Int64s, int64(from+i*step))
			c.Columns[2].Float64s = append(c.Columns[2].Float64s, 1)
		}
		if _, err := op.Add(c); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 100 {
		add(i*10_000, 1, 10_000)
	}
	take := func() time.Duration {
		d.Now++
		d.Files = map[int64]*bytes.Buffer{}
		start := time.Now()
		if _, err := op.Snapshot(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	b.ReportMetric(float64(take().Milliseconds()), "ms/first")
	var longest time.Duration
	for i := 0; b.Loop(); i++ {
		add(i%100, 100, 10_000)
		longest = max(longest, take())
	}
	b.ReportMetric(float64(longest.Milliseconds()), "ms/longest")
}
