package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// fullRetry is how long a write waits before it tries a full stream again.
const fullRetry = 200 * time.Millisecond

// Write stores the batch, each record in the shard whose range holds its hash key, and returns
// nil once all are durable. While the stream is full it waits, until ctx is done. After another
// error some shards may have their part: a producer that repeats the batch stores the rest.
//
// The batches of one producer must be written one after the other.
func (s *Stream) Write(ctx context.Context, b *record.Batch) error {
	return s.write(ctx, b, true)
}

// TryWrite is Write, but returns ErrFull instead of waiting.
func (s *Stream) TryWrite(ctx context.Context, b *record.Batch) error {
	return s.write(ctx, b, false)
}

func (s *Stream) write(ctx context.Context, b *record.Batch, patient bool) error {
	if err := check(b); err != nil {
		return fmt.Errorf("write to stream %q: %w", s.name, err)
	}
	p := s.plan(b)
	defer s.release(p)
	for {
		err := p.append(ctx, s.open)
		if err == nil {
			return nil
		}
		if !patient || !errors.Is(err, ErrFull) {
			return fmt.Errorf("write to stream %q: %w", s.name, err)
		}
		if err := pause(ctx, fullRetry); err != nil {
			return fmt.Errorf("write to stream %q: %w: %w", s.name, ErrFull, err)
		}
	}
}

// check refuses positions that would make a shard skip records it does not have.
func check(b *record.Batch) error {
	if b.Producer.ID == 0 || b.Len() == 0 {
		return nil
	}
	last := b.Position(0)
	for i := 1; i < b.Len(); i++ {
		if b.Position(i) <= last {
			return fmt.Errorf("record %d has position %d after %d: positions must rise", i, b.Position(i), last)
		}
		last = b.Position(i)
	}
	if b.End < last {
		return fmt.Errorf("the batch ends at position %d, before its last record's %d", b.End, last)
	}
	return nil
}

// plan is what one write sends to each open shard. A part is nil when the shard gets nothing,
// or has it.
type plan struct {
	parts []*record.Batch
	waits []func() (Appended, error)
	// own are the batches that parts point to; their memory is used again.
	own []record.Batch
}

func (s *Stream) plan(b *record.Batch) *plan {
	p, ok := s.plans.Get().(*plan)
	if !ok {
		n := len(s.open)
		p = &plan{parts: make([]*record.Batch, n), waits: make([]func() (Appended, error), n), own: make([]record.Batch, n)}
	}
	if len(s.open) == 1 {
		p.parts[0] = b
		return p
	}
	s.split(b, p.own)
	due := b.Producer.ID != 0 && (b.Len() == 0 || s.lag.due(b.Producer.ID))
	for i := range p.own {
		part := &p.own[i]
		part.Producer, part.End = b.Producer, b.End
		if part.Len() > 0 || due && behind(s.open[i].log, b) {
			p.parts[i] = part
		}
	}
	return p
}

// split sends each record to the batch of its shard.
func (s *Stream) split(b *record.Batch, parts []record.Batch) {
	for i := range b.Len() {
		parts[s.find(b.Hash(i))].AddFrom(b, i)
	}
}

// find returns the index of the open shard whose range holds h.
func (s *Stream) find(h record.HashKey) int {
	if len(s.open) <= 8 {
		i := len(s.open) - 1
		for h.Less(s.open[i].start) {
			i--
		}
		return i
	}
	i, found := slices.BinarySearchFunc(s.open, h, func(sh shard, h record.HashKey) int { return sh.start.Compare(h) })
	if !found {
		i--
	}
	return i
}

func behind(log Log, b *record.Batch) bool {
	p, ok := log.Position(b.Producer.ID)
	return !ok || p.Value < b.End || p.Epoch < b.Producer.Epoch
}

func (s *Stream) release(p *plan) {
	clear(p.parts)
	clear(p.waits)
	for i := range p.own {
		p.own[i].Reset()
	}
	s.plans.Put(p)
}

// append sends every part and waits for all, because the batches are lent to the logs until
// then. Parts that are stored are taken off the plan. ErrFull is returned only if nothing worse
// happened.
func (p *plan) append(ctx context.Context, open []shard) error {
	var failed, full error
	note := func(i int, err error) {
		switch {
		case errors.Is(err, ErrFull):
			full = err
		case failed == nil:
			failed = fmt.Errorf("%s: %w", open[i].id, err)
		}
	}
	for i, part := range p.parts {
		if part == nil || failed != nil {
			continue
		}
		wait, err := open[i].log.Enqueue(ctx, part)
		if err != nil {
			note(i, err)
			continue
		}
		p.waits[i] = wait
	}
	for i, wait := range p.waits {
		if wait == nil {
			continue
		}
		p.waits[i] = nil
		if _, err := wait(); err != nil {
			note(i, err)
			continue
		}
		p.parts[i] = nil
	}
	if failed != nil {
		return failed
	}
	return full
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// markEvery is after how many batches of a producer the shards that got none of its records
// learn its position. After a crash the source repeats at most so many batches.
const markEvery = 16

// markers counts the batches of each producer since the last time all shards got its position.
type markers struct {
	mu    sync.Mutex
	count map[uint64]int
}

func (m *markers) due(producer uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count == nil {
		m.count = map[uint64]int{}
	}
	m.count[producer]++
	if m.count[producer] < markEvery {
		return false
	}
	delete(m.count, producer)
	return true
}
