package sql_test

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
)

// TestRowsThatLeaveAtOnceAreThoseThatWouldBeEmitted runs queries both ways over the same batches of several
// shards, some of them with a selection and some with dictionaries.
func TestRowsThatLeaveAtOnceAreThoseThatWouldBeEmitted(t *testing.T) {
	for _, text := range []string{
		"SELECT ts, k, n FROM s",
		"SELECT k, n * 2 AS n, d / 3 AS d, 'x' AS c, NULL AS nothing FROM s WHERE n <> 3",
		"SELECT m, CAST(m AS DECIMAL(18, 0)) * 0.908 AS e FROM (SELECT n + 1 AS m FROM s WHERE k IS NOT NULL) AS t WHERE m > 2",
		"SELECT UPPER(k) AS k, n IS NULL AS gone FROM s",
	} {
		r := rand.New(rand.NewPCG(1, uint64(len(text))))
		q := compile(t, streamSchema, "ts", text)
		kept, direct := q.New(), q.New()
		got := map[record.ShardID][]string{}
		var hash column.RowHash
		if !sql.Direct(direct, func(b *column.Batch) {
			hash.Add(column.HashRows(b))
			w := column.NewRowWriter(b.Schema)
			for i := range int32(b.Rows) {
				if b.Selection == nil || slices.Contains(b.Selection, i) {
					got[b.Origin.Shard] = append(got[b.Origin.Shard], string(w.Append(nil, b, int(i))))
				}
			}
		}) {
			t.Fatalf("%s: rows do not leave at once", text)
		}
		for id, rows := range randomStream(r) {
			for part := range slices.Chunk(rows, 7) {
				dict := r.IntN(2) == 0
				a, b := addEvents(t, kept, id, part, dict), addEvents(t, direct, id, part, dict)
				if a.Aggregated != b.Aggregated || a.Filtered != b.Filtered {
					t.Errorf("%s: taken %+v and %+v", text, a, b)
				}
			}
		}
		if direct.Ready(0) || direct.Memory() > 0 {
			t.Errorf("%s: rows that left are kept", text)
		}
		out, err := kept.Emit(0)
		if err != nil {
			t.Fatal(err)
		}
		var want, all []string
		for i := range out.Rows {
			want = append(want, string(column.AppendJSON(nil, out, i)))
		}
		for _, id := range slices.SortedFunc(maps.Keys(got), cmp.Compare) {
			all = append(all, got[id]...)
		}
		if !slices.Equal(all, want) || hash != column.HashRows(out) {
			t.Errorf("%s: rows differ:\n%q\nwant\n%q", text, all, want)
		}
	}
}

func TestRowsOfWindowsDoNotLeaveAtOnce(t *testing.T) {
	if sql.Direct(compile(t, streamSchema, "ts", streamQuery).New(), func(*column.Batch) {}) {
		t.Error("a query with windows gives rows at once")
	}
}
