package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/stream"
)

// Reset makes a task start over as start says, without state. Chunks are counted on, so what it creates does not meet
// what it created before. A task that has no document is left alone. Error: ErrPending, while a plan is half delivered,
// unless the streams that the task would read lack what the plan was made of, so that it cannot be redone.
func Reset(ctx context.Context, meta stream.Meta, key string, streams []StreamID, start func() (Beginning, error)) error {
	doc, _, err := read(ctx, meta, key)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	s, err := Open(ctx, meta, key, start)
	if err != nil {
		return err
	}
	b, err := start()
	if err != nil {
		return err
	}
	doc = s.Document()
	if doc.Pending != nil {
		if doc.Lost(streams) == "" {
			return fmt.Errorf("checkpoint %s: chunk %d: %w", key, doc.Pending.Plan.Cut.Chunk, ErrPending)
		}
		doc.Chunk, doc.Pending = doc.Pending.Plan.Cut.Chunk, nil
	}
	doc.Feeds, doc.Positions, doc.State, doc.Watermarks, doc.Ledger, doc.Delivered = b.Feeds, b.Positions, nil, nil, b.Ledger, Delivered{}
	return s.save(ctx, doc)
}

// Lost is the name of a stream whose records the pending plan was made of and that is another one by now; "" if there
// is none among the given ones.
func (d Document) Lost(streams []StreamID) string {
	for _, f := range d.Feeds {
		anew := slices.ContainsFunc(streams, func(s StreamID) bool { return s.Stream == f.Stream && s.Incarnation != f.Incarnation })
		if !anew {
			continue
		}
		for shard := range d.ranges() {
			if number, _ := SplitShard(shard); number == f.Number {
				return f.Stream
			}
		}
	}
	return ""
}
