package flow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
)

// kinEvery is how often a task whose shard waits for one of another task looks at the documents.
const kinEvery = 100 * time.Millisecond

// kin is what a task knows of the shards that the other tasks of its consumer read. These may run
// in other processes: their documents say how far they are.
type kin struct {
	documents string
	// redone are the shards of the plan that a RedoOnly task redoes, whoever they belong to now.
	redone map[record.ShardID]Range
	// count and newest tell when there are new shards; numbers rise, and shards also go. newest is the sum over
	// the feeds.
	count  int
	newest int64
	// shards are all of the stream.
	shards map[record.ShardID]Shard
	places map[record.ShardID]checkpoint.Place
	looked time.Time
	// waiting is set while a shard waits for one of another task.
	waiting bool
}

func (k *kin) init(t *Task) {
	k.documents = checkpoint.TaskGroup{Pipeline: t.Identity.Pipeline, Consumer: t.Identity.Name}.Documents()
	if t.RedoOnly {
		k.redone = t.store.Document().Pending.Plan.Cut.Ranges
	}
}

// owns reports whether the task reads a shard.
func (k *kin) owns(t *Task, id record.ShardID) bool {
	if t.RedoOnly {
		_, ok := k.redone[id]
		return ok
	}
	return checkpoint.Owner(id, t.Tasks) == t.Identity.Task
}

// learn takes note of the stream's shards and reports whether that is worth a closer look.
func (k *kin) learn(shards []feedShard) bool {
	newest, last := int64(0), map[*feed]record.ShardID{}
	for _, s := range shards {
		if n := max(last[s.feed], s.ID); n > last[s.feed] {
			newest += int64(n - last[s.feed])
			last[s.feed] = n
		}
	}
	if k.shards != nil && k.count == len(shards) && k.newest == newest {
		return false
	}
	k.count, k.newest = len(shards), newest
	k.shards = make(map[record.ShardID]Shard, len(shards))
	for _, s := range shards {
		k.shards[s.ID] = s.Shard
	}
	return true
}

// foreign reports whether a shard of another task is read to its end and committed, and its parents
// before it, and the shard's watermark.
func (t *Task) foreign(ctx context.Context, id record.ShardID) (mark int64, done bool, err error) {
	k := &t.kin
	shard, ok := k.shards[id]
	if !ok {
		// It was removed by retention, and had nothing left to read.
		return column.MaxWatermark, true, nil
	}
	if err := t.look(ctx); err != nil {
		return 0, false, err
	}
	place := k.places[id]
	b := shard.Log.Bounds()
	if !b.Closed || place.Next < b.Next {
		k.waiting = true
		return 0, false, nil
	}
	mark, done, err = t.ancestry(ctx, shard.Parents)
	if place.Marked {
		mark = place.Watermark
	}
	return mark, done, err
}

// look reads the documents of the consumer, but not all the time.
func (t *Task) look(ctx context.Context) error {
	k := &t.kin
	if now := time.Now(); now.Sub(k.looked) < kinEvery {
		return nil
	}
	docs, err := checkpoint.ReadTasks(ctx, t.Meta, k.documents)
	if err != nil {
		return fmt.Errorf("see how far the other tasks are: %w", err)
	}
	k.places, k.looked = checkpoint.Places(docs, t.feeds[0].Input.Stream), time.Now()
	return nil
}

// awaited reports whether another task waits for the open chunk: it has the end of a shard whose
// children belong to that task.
func (t *Task) awaited() bool {
	return t.Tasks > 1 && t.moved() && slices.ContainsFunc(t.readers, func(r *reader) bool {
		return r.heirs && r.next != t.chunk.from[r.id] && r.finished()
	})
}
