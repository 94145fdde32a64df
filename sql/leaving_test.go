package sql_test

import (
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
	b := &column.Batch{Schema: &column.Schema{}, Rows: 2 * groups}
	kinds := []column.Kind{column.Timestamp, column.BigInt, column.String}
	for _, k := range kinds {
		b.Columns = append(b.Columns, &column.Column{Type: column.Type{Kind: k}, Len: b.Rows})
	}
	b.Columns[2].Offsets = []int32{0}
	for i := range b.Rows {
		b.Columns[0].Int64s = append(b.Columns[0].Int64s, 1_000_000)
		b.Columns[1].Int64s = append(b.Columns[1].Int64s, int64(i%groups))
		b.Columns[2].Bytes = append(b.Columns[2].Bytes, strings.Repeat("x", 1000)...)
		b.Columns[2].Offsets = append(b.Columns[2].Offsets, int32(len(b.Columns[2].Bytes)))
	}
	if _, err := op.Add(b); err != nil {
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
