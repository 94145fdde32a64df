package stream

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/record"
)

// Gaps keeps a log from storing a producer's batch behind one that it did not store: the position
// would move past records that the log does not have, and their repetition would be skipped. From a
// batch that was not stored the producer has to go on, or with a higher epoch.
//
// Every backend puts its appends through one per log. The zero value is ready; it is not safe for
// concurrent use.
type Gaps struct {
	from map[uint64]Position
}

// Missed notes a batch that was not stored, or of which that is not known. stored is the producer's
// position in the log, if it has one: what the batch repeats of that is not missed.
func (g *Gaps) Missed(b *record.Batch, stored Position, known bool) {
	i := 0
	for known && i < b.Len() && b.Position(i) <= stored.Value {
		i++
	}
	// A batch without new records only moves the position, which any later one does too.
	if b.Producer.ID == 0 || i == b.Len() {
		return
	}
	at := Position{Epoch: b.Producer.Epoch, Value: b.Position(i)}
	if old, ok := g.from[b.Producer.ID]; ok && (old.Epoch > at.Epoch || old.Epoch == at.Epoch && old.Value <= at.Value) {
		return
	}
	if g.from == nil {
		g.from = map[uint64]Position{}
	}
	g.from[b.Producer.ID] = at
}

// Check is asked before a batch is stored, in the order in which batches are. A batch that begins
// behind one that was missed is refused with ErrGap; one that repeats it closes the gap.
func (g *Gaps) Check(b *record.Batch) error {
	at, ok := g.from[b.Producer.ID]
	if !ok || b.Producer.ID == 0 {
		return nil
	}
	// A batch without records claims everything up to its end.
	first := b.End + 1
	if b.Len() > 0 {
		first = b.Position(0)
	}
	if b.Producer.Epoch <= at.Epoch && first > at.Value {
		return fmt.Errorf("producer %016x goes on at position %d, but %d was not stored: %w", b.Producer.ID, first, at.Value, ErrGap)
	}
	if b.Len() > 0 {
		delete(g.from, b.Producer.ID)
	}
	return nil
}
