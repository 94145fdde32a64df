package stream

import (
	"context"
	"fmt"

	"github.com/millrace-io/millrace/engine/record"
)

// Put is TryWrite for a batch without a producer, and returns the sequence number of each record
// (Kinesis API, PutRecords). After an error records that are stored all the same have their numbers, and the others
// the zero Sequence.
func (s *Stream) Put(ctx context.Context, b *record.Batch) ([]Sequence, error) {
	if b.Producer.ID != 0 {
		return nil, fmt.Errorf("put to stream %q: %w: the batch has a producer", s.name, ErrInvalid)
	}
	r := &receipt{batch: b, numbers: make([]Sequence, b.Len())}
	err := s.write(ctx, b, r, false)
	return r.numbers, err
}

// receipt collects where the records of a batch are stored.
type receipt struct {
	batch   *record.Batch
	numbers []Sequence
}

// note fills in the records of a plan's part, in their order. A nil receipt notes nothing.
func (r *receipt) note(p *plan, part int, a Appended) {
	if r == nil {
		return
	}
	sh := p.shards.doc.shard(p.shards.open[part].id)
	next := a.First
	for i := range r.batch.Len() {
		if p.stored != nil && p.stored[i] || len(p.parts) > 1 && p.shards.find(r.batch.Hash(i)) != part {
			continue
		}
		r.numbers[i] = sh.Sequence(next, a.Arrival)
		next++
	}
}
