package flow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

const noLimit = record.Ordinal(1<<63 - 1)

// reader is a task's place in one shard.
type reader struct {
	feed *feed
	// id is the shard's number in the task.
	id      record.ShardID
	parents []record.ShardID
	keys    record.Range
	log     stream.Log
	next    record.Ordinal
	// limit ends reading while a recorded range is redone.
	limit record.Ordinal
	// reading is set once all parents, and theirs, are read to their ends: a key's records stay in
	// order across a split or merge.
	reading bool
	// watermark is in microseconds since the epoch.
	watermark int64
	// active is when the shard last had something to read.
	active time.Time
	// oldest is when the first record of the open chunk arrived, in milliseconds since the epoch;
	// 0 while there is none.
	oldest int64
	// heirs is set when a shard of another task came from this one: it waits for this one's end to be
	// committed.
	heirs bool
}

// finished reports whether the shard was closed and is read to its end.
func (r *reader) finished() bool {
	b := r.log.Bounds()
	return b.Closed && r.next >= b.Next
}

// join makes readers for shards of the task that it does not read yet.
func (t *Task) join() {
	shards := t.shards()
	if !t.kin.learn(shards) {
		return
	}
	doc := t.store.Document()
	for _, s := range shards {
		if !t.kin.owns(t, s.ID) {
			for _, p := range s.Parents {
				if r := t.reader(p); r != nil {
					r.heirs = true
				}
			}
			continue
		}
		if t.reader(s.ID) != nil {
			continue
		}
		r := &reader{feed: s.feed, id: s.ID, parents: s.Parents, keys: s.Keys, log: s.Log, next: doc.Positions[s.ID], watermark: column.MinWatermark, active: t.Now()}
		if w, ok := doc.Watermarks[s.ID]; ok {
			r.watermark = w
		}
		r.limit = t.limit(r)
		t.readers = append(t.readers, r)
		if t.chunk.from != nil {
			t.chunk.from[r.id] = r.next
		}
		t.need(r)
	}
}

func (t *Task) reader(id record.ShardID) *reader {
	i := slices.IndexFunc(t.readers, func(r *reader) bool { return r.id == id })
	if i < 0 {
		return nil
	}
	return t.readers[i]
}

// need tells that a shard's records must stay from where its reader is.
func (t *Task) need(r *reader) {
	if hold := r.feed.Input.Hold; hold != nil {
		hold(r.feed.shard(r.id), r.next)
	}
}

// admit lets a shard be read once its parents are. Its watermark goes on where the slowest of
// theirs stopped.
func (t *Task) admit(ctx context.Context, r *reader) error {
	if r.reading {
		return nil
	}
	low, ok, err := t.ancestry(ctx, r.parents)
	if !ok || err != nil {
		return err
	}
	r.reading, r.active = true, t.Now()
	if r.watermark == column.MinWatermark && low != column.MaxWatermark {
		r.watermark = low
	}
	return nil
}

// ancestry reports whether all parents, and theirs, are read to their ends, and the smallest of
// their watermarks; column.MaxWatermark when there are none.
func (t *Task) ancestry(ctx context.Context, parents []record.ShardID) (low int64, done bool, err error) {
	low = column.MaxWatermark
	for _, id := range parents {
		mark := int64(column.MaxWatermark)
		switch p := t.reader(id); {
		case p != nil:
			// One without records is finished before it may be read.
			mark, done = p.watermark, p.reading && p.finished()
		default:
			mark, done, err = t.foreign(ctx, id)
		}
		if !done || err != nil {
			return low, false, err
		}
		low = min(low, mark)
	}
	return low, true, nil
}

// readAll reads once from each shard and reports whether there was anything. Once the open chunk has what memory there
// is for it, the rest of the shards are read after it was cut: of many shards, one round may be very much.
func (t *Task) readAll(ctx context.Context) (bool, error) {
	t.join()
	t.kin.waiting = false
	any := false
	// All of them, before any is read: one that was not let in does not hold the watermark back.
	for _, r := range t.readers {
		if err := t.admit(ctx, r); err != nil {
			return false, err
		}
	}
	begun := min(t.rest, len(t.readers))
	rest := t.readers[begun:]
	t.rest = 0
	for readers := range slices.Chunk(rest, len(t.lanes)) {
		if any && t.limits == nil && t.crowded() {
			t.rest = len(t.readers) - len(rest)
			return any, nil
		}
		rest = rest[len(readers):]
		read, err := t.readTogether(ctx, readers)
		any = any || read
		if err != nil {
			return any, err
		}
	}
	if begun > 0 && !any {
		return t.readAll(ctx) // the others may have more
	}
	return any, nil
}

// crowded reports whether the open chunk takes more memory than it may.
func (t *Task) crowded() bool {
	return t.Memory > 0 && t.Processor.Open().Memory+t.chunk.dead.memory+t.chunk.late.memory > t.Memory
}

// String names the shard and its stream.
func (r *reader) String() string {
	return fmt.Sprintf("%s of stream %q", r.feed.shard(r.id), r.feed.Input.Name)
}

// pending reports whether some shard has not been let in yet.
func (t *Task) pending() bool {
	return slices.ContainsFunc(t.readers, func(r *reader) bool { return !r.reading })
}
