package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// Reset makes a task start over: with the given feeds, nil for one input, at the given positions, without state and with empty ledgers. Chunks
// are counted on, so what it creates does not meet what it created before. A task that has no document
// is left alone. Error: ErrPending, while a plan is half delivered.
func Reset(ctx context.Context, meta stream.Meta, key string, feeds map[string]Feed, start func() (map[record.ShardID]record.Ordinal, error)) error {
	doc, _, err := read(ctx, meta, key)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return nil
	case err != nil:
		return err
	case doc.Pending != nil:
		return fmt.Errorf("checkpoint %s: chunk %d: %w", key, doc.Pending.Plan.Cut.Chunk, ErrPending)
	}
	s, err := Open(ctx, meta, key, start)
	if err != nil {
		return err
	}
	positions, err := start()
	if err != nil {
		return err
	}
	doc = s.Document()
	if doc.Pending != nil {
		return fmt.Errorf("checkpoint %s: %w", key, ErrPending)
	}
	doc.Feeds, doc.Positions, doc.State, doc.Watermarks, doc.Ledger, doc.Delivered = feeds, positions, nil, nil, nil, Delivered{}
	return s.save(ctx, doc)
}
