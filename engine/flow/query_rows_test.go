package flow_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
)

// TestRowsOfAChunkHaveTheirPositionsHoweverShardsWereRead redoes a chunk with other batches in another order.
func TestRowsOfAChunkHaveTheirPositionsHoweverShardsWereRead(t *testing.T) {
	run := func(lanes int, rows ...*column.Batch) (out []string, object checkpoint.Object) {
		q := countQuery(t, t.TempDir(), "SELECT k, ts FROM s WHERE MOD(k, 3) > 0", new(int))
		q.Windowed = false
		end := int64(0)
		q.Write = func(_ context.Context, b *record.Batch) error {
			for i := range b.Len() {
				out = append(out, fmt.Sprintf("%d %s", b.Position(i), b.Record(i).Data))
			}
			if b.End <= end || b.End != b.Position(b.Len()-1) {
				t.Errorf("a batch ends at %d after %d", b.End, end)
			}
			end = b.End
			return nil
		}
		q.Lanes = lanes
		restart(t, q, nil)
		// Batches of an earlier chunk are used again.
		q.Published(plan(t, q, 1, 0, of(1, keysFrom(0, 9000))))
		addIn(t, q, rows)
		p := plan(t, q, 7, 0)
		if err := q.Put(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		return out, p.Objects[0]
	}
	want, planned := run(1, of(2, keysFrom(100_000, 30_000)), of(9, keysFrom(0, 40_000)), of(11, keysFrom(7, 3)))
	for lanes := range 4 {
		got, redone := run(lanes, of(9, keysFrom(0, 1)), of(11, keysFrom(7, 3)), of(9, keysFrom(1, 20_000)), of(2, keysFrom(100_000, 29_999)),
			of(9, keysFrom(20_001, 19_999)), of(2, keysFrom(129_999, 1)))
		if !slices.Equal(got, want) {
			t.Errorf("%d rows through %d lanes, want %d", len(got), lanes, len(want))
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Fatalf("row %d is %s, want %s", i, got[i], want[i])
				}
			}
		}
		if redone != planned || planned.Rows != int64(len(want)) {
			t.Errorf("planned %+v, then %+v through %d lanes", planned, redone, lanes)
		}
	}
	if want[0] != fmt.Sprintf(`%d {"k":100000,"ts":"1970-01-01T00:00:01Z"}`, 7<<32+1) {
		t.Errorf("the first row is %s", want[0])
	}
}

// addIn adds rows through the lanes of a query at the same time, those of a shard through one of them.
func addIn(t *testing.T, q *flow.Query, rows []*column.Batch) {
	t.Helper()
	n := max(q.Lanes, 1)
	var lanes sync.WaitGroup
	for lane := range n {
		lanes.Go(func() {
			for _, b := range rows {
				if int(b.Origin.Shard)%n != lane {
					continue
				}
				if _, err := q.AddIn(t.Context(), lane, b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	lanes.Wait()
	if err := q.Joined(); err != nil {
		t.Fatal(err)
	}
}

// of is b as rows of a shard.
func of(id record.ShardID, b *column.Batch) *column.Batch {
	b.Origin.Shard = id
	return b
}

func TestRowsThatTakeMuchMemoryCutTheChunk(t *testing.T) {
	q := countQuery(t, t.TempDir(), "SELECT k, ts FROM s", new(int))
	q.Windowed, q.Memory = false, 1<<20
	restart(t, q, nil)
	if _, err := q.Add(t.Context(), keysFrom(0, 8192)); err != nil || q.Open().Memory > 0 {
		t.Fatalf("%+v, %v", q.Open(), err)
	}
	if _, err := q.Add(t.Context(), keysFrom(0, 30_000)); err != nil || q.Open().Memory <= q.Memory {
		t.Fatalf("%+v, %v", q.Open(), err)
	}
	q.Published(plan(t, q, 1, 0))
	if q.Open().Memory > 0 || q.Ready(0) {
		t.Errorf("%+v after the chunk", q.Open())
	}
}

func TestFiguresTellOfWindowsAsSoonAsTheFirstOneOpens(t *testing.T) {
	q := countQuery(t, t.TempDir(), "SELECT k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k", new(int))
	restart(t, q, nil)
	if w := q.Figures().Windows; w == nil || w.Open > 0 || w.Closes != nil {
		t.Errorf("%+v without rows", w)
	}
	if _, err := q.Add(t.Context(), keysFrom(0, 10)); err != nil {
		t.Fatal(err)
	}
	if w := q.Figures().Windows; w.Open != 1 || w.Closes == nil {
		t.Errorf("%+v before the first commit", w)
	}
}
