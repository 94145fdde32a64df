package control_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// consumed lets the sink lake of pipeline p stand at positions of the stream, with two tasks.
func (r *rig) consumed(positions map[record.ShardID]record.Ordinal) checkpoint.TaskGroup {
	r.t.Helper()
	g := checkpoint.TaskGroup{Stream: "clicks", Incarnation: r.describe().Incarnation, Pipeline: "p", Consumer: "lake", Tasks: 2}
	_, err := g.Prepare(r.context(), r.backend.Meta(), checkpoint.Setup{
		Start: func() (map[record.ShardID]record.Ordinal, error) { return positions, nil },
		Redo:  func(context.Context, int) error { return errors.New("there is nothing to redo") },
	})
	r.must(err, "prepare a consumer")
	return g
}

func TestConsumersShowWhereTheyStand(t *testing.T) {
	r := newRig(t)
	r.must(r.Create(r.context(), control.Spec{Name: "clicks", Shards: 2, RetentionSeconds: 3600}), "create")
	for _, key := range []string{"ann", "bob", "cyd", "dan", "eve", "fay"} {
		r.put(key, "x")
	}
	held := r.describe().Shards
	r.consumed(map[record.ShardID]record.Ordinal{0: 1, 1: 0})
	r.advance(time.Minute)
	got, err := r.Consumers(r.context(), "clicks")
	r.must(err, "consumers")
	if len(got) != 1 || got[0].Pipeline != "p" || got[0].Name != "lake" || got[0].Tasks != 2 || len(got[0].Shards) != 2 {
		t.Fatalf("consumers: %+v", got)
	}
	for i, want := range []int64{held[0].Records - 1, held[1].Records} {
		s := got[0].Shards[i]
		if s.Task != i || s.Lag != want || s.Owner != "" || s.Fence != 1 || s.LagSeconds < 60 || s.LagSeconds > 61 {
			t.Errorf("shard %d: %+v, want a lag of %d records and a minute", i, s, want)
		}
	}
}

func TestDeletedStreamTakesItsConsumersAlong(t *testing.T) {
	r := newRig(t)
	r.must(r.Create(r.context(), control.Spec{Name: "clicks", RetentionSeconds: 3600}), "create")
	r.put("ann", "x")
	g := r.consumed(map[record.ShardID]record.Ordinal{0: 1})
	r.must(r.Delete(r.context(), "clicks"), "delete")
	keys, err := r.backend.Meta().List(t.Context(), "")
	r.must(err, "list documents")
	if len(keys) != 0 {
		t.Errorf("documents that stayed: %v", keys)
	}
	if _, err := checkpoint.Read(t.Context(), r.backend.Meta(), g.Key(0)); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("the document of the task: %v", err)
	}
}

func TestTidyKeepsWhatAConsumerHasNotRead(t *testing.T) {
	r := newRig(t)
	r.reopen()
	r.expired()
	r.consumed(map[record.ShardID]record.Ordinal{0: 18})
	r.reopen()
	r.must(r.local.Tidy(t.Context()), "tidy")
	if n := r.describe().Records(); n < 3 || n == 21 {
		t.Errorf("%d records are left of 21, where a consumer needs the last 3", n)
	}
}
