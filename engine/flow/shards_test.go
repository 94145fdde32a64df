package flow_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
)

// recorder keeps the order in which rows come.
type recorder struct {
	sink
	numbers []int64
}

func (r *recorder) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	for i := range b.Rows {
		var n int64
		if _, err := fmt.Sscanf(string(column.AppendJSON(nil, b, i)), `{"at":"2026-01-01T00:00:00Z","n":%d`, &n); err != nil {
			return flow.Outcome{}, err
		}
		r.numbers = append(r.numbers, n)
	}
	return flow.Outcome{Counts: flow.Counts{Passed: int64(b.Rows)}}, nil
}

// keyed stores rows of the numbers from up to to under one key.
func (w *world) keyed(from, to, size int) {
	w.t.Helper()
	for n := from; n < to; n++ {
		var b record.Batch
		b.Add([]byte("key"), fmt.Appendf(nil, `{"at":"2026-01-01T00:00:00Z","n":%d,"x":%q}`, n, strings.Repeat("x", size)), 0)
		if err := w.in.Write(w.t.Context(), &b); err != nil {
			w.t.Fatal(err)
		}
	}
}

// splitAll splits every open shard.
func (w *world) splitAll() {
	w.t.Helper()
	for _, sh := range w.in.Shards() {
		if !w.in.Log(sh.ID).Bounds().Closed {
			if err := w.in.Split(w.t.Context(), sh.ID, sh.Range.Middle()); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// The first shards hold more than one read returns, and those between them and the last nothing.
func TestKeyStaysInOrderAcrossEmptyShards(t *testing.T) {
	w := newWorld(t)
	w.keyed(0, 30, 100<<10)
	w.splitAll()
	w.splitAll()
	w.keyed(30, 40, 10)
	close(w.ended)
	r := &recorder{sink: sink{w: w}}
	if err := flow.NewTask(w.config(r)).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.numbers) != 40 || !slices.IsSorted(r.numbers) {
		t.Errorf("the rows came as %v", r.numbers)
	}
}
