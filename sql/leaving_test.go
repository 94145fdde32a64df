package sql_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// TestLargeRowsLeaveInSeveralBatches has fewer groups than rows may leave at once, each with a list of texts.
func TestLargeRowsLeaveInSeveralBatches(t *testing.T) {
	const groups, limit = 600, 1000
	q := compile(t, "ts timestamp, k bigint, s string", "ts", `SELECT k, MAX_BY(s, k, 3) AS l FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k`)
	op := q.New()
	sqltest.NewDrawer().Keep(op, 64<<20)
	op.(sql.Limited).Limit(limit)
	if _, err := op.Add(largeRows(groups, 1000)); err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	batches := 0
	for ; op.Ready(column.MaxWatermark); batches++ {
		out, err := op.Emit(column.MaxWatermark)
		if err != nil {
			t.Fatal(err)
		}
		if out.Rows > groups/2 {
			t.Errorf("%d rows of 2 kB leave at once", out.Rows)
		}
		for _, k := range out.Columns[0].Int64s {
			seen[k] = true
		}
	}
	if len(seen) != groups || batches < 3 {
		t.Errorf("%d groups in %d batches", len(seen), batches)
	}
}

// TestLargeRowsLeaveInTheSameBatchesAfterARestart: how much leaves at once is not a matter of what is in memory.
func TestLargeRowsLeaveInTheSameBatchesAfterARestart(t *testing.T) {
	for _, size := range []int{1, 100, 400, 1000} {
		q := compile(t, "ts timestamp, k bigint, s string", "ts", `SELECT k, MAX_BY(s, k, 3) AS l FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k`)
		d := sqltest.NewDrawer()
		open := func() sql.Operator {
			op := q.New()
			d.Keep(op, 64<<20)
			op.(sql.Limited).Limit(1000)
			return op
		}
		op := open()
		if _, err := op.Add(largeRows(600, size)); err != nil {
			t.Fatal(err)
		}
		state, err := d.Snapshot(op)
		if err != nil {
			t.Fatal(err)
		}
		again := open()
		if err := again.Restore(state); err != nil {
			t.Fatal(err)
		}
		for batch := 0; op.Ready(column.MaxWatermark) || again.Ready(column.MaxWatermark); batch++ {
			want, err := op.Emit(column.MaxWatermark)
			if err != nil {
				t.Fatal(err)
			}
			got, err := again.Emit(column.MaxWatermark)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := sqltest.Rows(got), sqltest.Rows(want); !slices.Equal(a, b) {
				t.Fatalf("texts of %d bytes: batch %d has %d rows after a restart, %d before", size, batch, len(a), len(b))
			}
		}
	}
}

// largeRows are two rows of each of some groups, with texts of a size.
func largeRows(groups, size int) *column.Batch {
	b := &column.Batch{Schema: &column.Schema{}, Rows: 2 * groups}
	for _, k := range []column.Kind{column.Timestamp, column.BigInt, column.String} {
		b.Columns = append(b.Columns, &column.Column{Type: column.Type{Kind: k}, Len: b.Rows})
	}
	b.Columns[2].Offsets = []int32{0}
	for i := range b.Rows {
		b.Columns[0].Int64s = append(b.Columns[0].Int64s, 1_000_000)
		b.Columns[1].Int64s = append(b.Columns[1].Int64s, int64(i%groups))
		b.Columns[2].Bytes = append(b.Columns[2].Bytes, strings.Repeat("x", size)...)
		b.Columns[2].Offsets = append(b.Columns[2].Offsets, int32(len(b.Columns[2].Bytes)))
	}
	return b
}
