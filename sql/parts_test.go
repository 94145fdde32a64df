package sql_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// drawer is parts in memory: a file per snapshot.
type drawer struct {
	files map[int64]*bytes.Buffer
	now   int64
}

func newDrawer() *drawer { return &drawer{files: map[int64]*bytes.Buffer{}} }

func (d *drawer) Write(piece []byte) (sql.Part, error) {
	f := d.files[d.now]
	if f == nil {
		f = new(bytes.Buffer)
		d.files[d.now] = f
	}
	at := sql.Part{File: d.now, Offset: int64(f.Len()), Size: int64(len(piece))}
	f.Write(piece)
	return at, nil
}

func (d *drawer) Read(p sql.Part) ([]byte, error) {
	f := d.files[p.File]
	if f == nil {
		return nil, errors.New("the file is gone")
	}
	return slices.Clone(f.Bytes()[p.Offset : p.Offset+p.Size]), nil
}

// snapshot takes one and removes the files that nothing refers to.
func (d *drawer) snapshot(t *testing.T, op sql.Operator) []byte {
	t.Helper()
	d.now++
	s, err := op.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	needed := op.(sql.Parted).Files()
	for n := range d.files {
		if !slices.Contains(needed, n) {
			delete(d.files, n)
		}
	}
	return s
}

// manyKeys are rows of n of 2,000 keys within a minute.
func manyKeys(t *testing.T, r *rand.Rand, n int) *column.Batch {
	t.Helper()
	schema, err := sqltest.Schema("ts timestamp, k bigint, v double")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for range n {
		rows = append(rows, []string{fmt.Sprintf("00:00:%02d", r.IntN(60)), fmt.Sprint(r.IntN(2000)), fmt.Sprint(r.Float64())})
	}
	b, err := sqltest.Batch(schema, rows, false)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const manyQuery = `SELECT window_start, window_end, k, COUNT(*) AS n, SUM(v) AS v FROM s GROUP BY HOP(ts, INTERVAL '20' SECOND, INTERVAL '1' MINUTE), k`

func TestStateInPartsIsTheSameState(t *testing.T) {
	q := compile(t, "ts timestamp, k bigint, v double", "ts", manyQuery)
	r := rand.New(rand.NewPCG(3, 4))
	plain, parted, d := q.New(), q.New(), newDrawer()
	parted.(sql.Parted).Keep(d)
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
			s := d.snapshot(t, parted)
			parted = q.New()
			parted.(sql.Parted).Keep(d)
			if err := parted.Restore(s); err != nil {
				t.Fatal(err)
			}
		case 1:
			d.snapshot(t, parted)
			before := parted.Memory()
			parted.(sql.Parted).Shed(before / 2)
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
	if d.snapshot(t, parted); len(d.files) != 0 {
		t.Errorf("%d files are left", len(d.files))
	}
}

func TestASnapshotWritesWhatChanged(t *testing.T) {
	q := compile(t, "ts timestamp, k bigint, v double", "ts", manyQuery)
	r := rand.New(rand.NewPCG(5, 6))
	op, d := q.New(), newDrawer()
	op.(sql.Parted).Keep(d)
	for range 20 {
		if _, err := op.Add(manyKeys(t, r, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	d.snapshot(t, op)
	first := d.files[d.now].Len()
	if _, err := op.Add(manyKeys(t, r, 10)); err != nil {
		t.Fatal(err)
	}
	d.snapshot(t, op)
	if second := d.files[d.now].Len(); second*20 > first {
		t.Errorf("10 rows make a snapshot of %d bytes, after one of %d", second, first)
	}
	if _, found := d.files[d.now-1]; !found {
		t.Error("the first snapshot is gone, though the second refers to it")
	}
	op.(sql.Parted).Shed(0)
	if m := op.Memory(); m > 4096 {
		t.Errorf("%d bytes are left in memory", m)
	}
	delete(d.files, d.now-1)
	if _, err := op.Emit(column.MaxWatermark); err == nil || !strings.Contains(err.Error(), "the file is gone") {
		t.Errorf("a lost file: %v", err)
	}
}

// BenchmarkCheckpoint is the pause that a snapshot of a million groups makes, of which one in a
// hundred changed.
func BenchmarkCheckpoint(b *testing.B) {
	q := compile(b, "ts timestamp, k bigint, v double", "ts",
		"SELECT k, COUNT(*) AS n, SUM(v) AS v FROM s GROUP BY TUMBLE(ts, INTERVAL '1' HOUR), k")
	op, d := q.New(), newDrawer()
	op.(sql.Parted).Keep(d)
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
		d.now++
		d.files = map[int64]*bytes.Buffer{}
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
