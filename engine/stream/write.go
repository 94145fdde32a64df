package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/record"
)

// fullRetry is how long a write waits before it tries a full stream again.
const fullRetry = 200 * time.Millisecond

// Write stores the batch, each record in the shard whose range holds its hash key, and returns
// nil once all are durable. While the stream is full or throttled it waits, until ctx is done. After
// another error some shards may have their part: a producer that repeats the batch stores the rest.
//
// The batches of one producer must be written one after the other.
func (s *Stream) Write(ctx context.Context, b *record.Batch) error {
	return s.write(ctx, b, nil, true)
}

// TryWrite is Write, but returns ErrFull or a *capacity.ThrottledError instead of waiting. When it is
// throttled nothing of the batch was stored.
func (s *Stream) TryWrite(ctx context.Context, b *record.Batch) error {
	return s.write(ctx, b, nil, false)
}

func (s *Stream) write(ctx context.Context, b *record.Batch, r *receipt, patient bool) error {
	m := s.shards.Load()
	if err := check(b, m.doc.Settings.MaxRecord); err != nil {
		return fmt.Errorf("write to stream %q: %w", s.name, err)
	}
	p := s.plan(m, b)
	defer func() { s.release(p) }()
	gate := s.gateNow()
	if !patient {
		// All or nothing: who cannot tell what was stored of a batch would store that again.
		if err := gate.Admit(p.asked()); err != nil {
			return fmt.Errorf("write to stream %q: %w", s.name, err)
		}
		gate = admitted{gate}
	}
	for {
		err := p.append(ctx, gate, r)
		if elsewhere(err) {
			next, moved := s.moved(ctx, p.shards)
			if moved == nil {
				p = s.replan(p, next, b)
				continue
			}
			if errors.Is(err, ErrSealed) {
				err = moved
			}
		}
		if err == nil {
			return nil
		}
		wait, again := retryAfter(err)
		if !patient || !again {
			return fmt.Errorf("write to stream %q: %w", s.name, err)
		}
		if done := pause(ctx, wait); done != nil {
			return fmt.Errorf("write to stream %q: %w: %w", s.name, err, done)
		}
	}
}

// check refuses records that are too large, and positions that would make a shard skip records it
// does not have.
func check(b *record.Batch, maxRecord int) error {
	size := maxRecord
	if maxRecord == AnyRecord {
		size = math.MaxInt
	}
	if !b.Within(size, MaxKey) {
		if err := checkRecords(b, maxRecord); err != nil {
			return err
		}
	}
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

func checkRecords(b *record.Batch, maxRecord int) error {
	for i := range b.Len() {
		r := b.Record(i)
		if size := len(r.Key) + len(r.Data); size > maxRecord && maxRecord != AnyRecord {
			return &RecordSizeError{Index: i, Size: size, Limit: maxRecord}
		}
		if n := utf8.RuneCount(r.Key); n > MaxKey {
			return &KeySizeError{Index: i, Characters: n}
		}
	}
	return nil
}

// CheckPut refuses a batch that is more than one PutRecords may store, with a *BatchSizeError. Bytes
// are those of data and keys (Kinesis API, PutRecords).
func CheckPut(b *record.Batch) error {
	bytes := 0
	for i := range b.Len() {
		r := b.Record(i)
		bytes += len(r.Key) + len(r.Data)
	}
	if b.Len() <= MaxPutRecords && bytes <= MaxPutBytes {
		return nil
	}
	return &BatchSizeError{Records: b.Len(), Bytes: bytes, MaxRecords: MaxPutRecords, MaxBytes: MaxPutBytes}
}

// plan is what one write sends to each open shard. A part is nil when the shard gets nothing,
// or has it.
type plan struct {
	shards *shardMap
	parts  []*record.Batch
	waits  []func() (Appended, error)
	// ask is memory for what the gate is asked.
	ask []Part
	// known are hashes of keys that came lately.
	known record.Hashes
	// own are the parts that are not the whole batch, and spare is what they are made of. There are as many as
	// shards get something, for each may be as large as the largest record.
	own   []*record.Batch
	spare record.Spare
	// stored marks the records of the batch that earlier plans of the same write have stored. It is
	// nil for the first plan.
	stored []bool
}

func (s *Stream) newPlan(m *shardMap) *plan {
	p, ok := s.plans.Get().(*plan)
	n := len(m.open)
	if !ok || len(p.parts) != n {
		p = &plan{parts: make([]*record.Batch, n), waits: make([]func() (Appended, error), n), own: make([]*record.Batch, n)}
	}
	p.shards = m
	return p
}

func (s *Stream) plan(m *shardMap, b *record.Batch) *plan {
	p := s.newPlan(m)
	if len(m.open) == 1 {
		p.parts[0] = b
		return p
	}
	mark := b.Producer.ID != 0 && (b.Len() == 0 || s.lag.due(b.Producer.ID))
	if b.Len() == 1 {
		// The record may be very large, so it is not copied.
		p.fill(b, mark)
		p.parts[m.find(b.Hash(0))] = b
		return p
	}
	for i := range b.Len() {
		p.of(m.find(b.HashBy(&p.known, i))).AddFrom(b, i)
	}
	p.fill(b, mark)
	return p
}

// fill sends on the parts that have records. With mark, shards that got none learn the
// producer's position.
func (p *plan) fill(b *record.Batch, mark bool) {
	for i, part := range p.own {
		if part == nil {
			if !mark || !behind(p.shards.open[i].log, b) {
				continue
			}
			part = p.of(i)
		}
		part.Producer, part.End = b.Producer, b.End
		p.parts[i] = part
	}
}

// of is the part of a shard.
func (p *plan) of(shard int) *record.Batch {
	if p.own[shard] == nil {
		p.own[shard] = p.spare.Get()
	}
	return p.own[shard]
}

// replan sends what of the batch is not stored to other shards, because some of the plan's are
// sealed. Each shard's records stay in the order of the batch.
func (s *Stream) replan(p *plan, m *shardMap, b *record.Batch) *plan {
	q := s.newPlan(m)
	q.stored = p.stored
	if q.stored == nil {
		q.stored = make([]bool, b.Len())
	}
	for i := range b.Len() {
		h := b.Hash(i)
		if p.parts[p.shards.find(h)] == nil {
			q.stored[i] = true
		}
		if !q.stored[i] {
			q.of(m.find(h)).AddFrom(b, i)
		}
	}
	q.fill(b, b.Producer.ID != 0)
	s.release(p)
	return q
}

// find returns the index of the open shard whose range holds h.
func (m *shardMap) find(h record.HashKey) int {
	if len(m.open) <= 8 {
		i := len(m.open) - 1
		for h.Less(m.open[i].start) {
			i--
		}
		return i
	}
	i, found := slices.BinarySearchFunc(m.open, h, func(sh shard, h record.HashKey) int { return sh.start.Compare(h) })
	if !found {
		i--
	}
	return i
}

// asked are the parts that have records.
func (p *plan) asked() []Part {
	p.ask = p.ask[:0]
	for i, part := range p.parts {
		if part != nil && part.Len() > 0 {
			p.ask = append(p.ask, Part{Shard: p.shards.open[i].id, Batch: part})
		}
	}
	return p.ask
}

// part is one of the parts that are asked, none if it has no records.
func (p *plan) part(i int) []Part {
	p.ask = p.ask[:0]
	if p.parts[i].Len() > 0 {
		p.ask = append(p.ask, Part{Shard: p.shards.open[i].id, Batch: p.parts[i]})
	}
	return p.ask
}

func behind(log Log, b *record.Batch) bool {
	p, ok := log.Position(b.Producer.ID)
	return !ok || p.Value < b.End || p.Epoch < b.Producer.Epoch
}

// leastSpare is how many bytes of memory a plan may always keep.
const leastSpare = 64 << 10

func (s *Stream) release(p *plan) {
	clear(p.parts)
	clear(p.ask)
	clear(p.waits)
	size := 0
	for _, part := range p.own {
		if part != nil {
			size += part.Size()
		}
	}
	// Writes are much alike, so what is more than the next one will take goes.
	p.spare.Room(max(2*size, leastSpare))
	for i, part := range p.own {
		if part != nil {
			p.spare.Put(part)
			p.own[i] = nil
		}
	}
	p.shards, p.stored = nil, nil
	s.plans.Put(p)
}

// append sends every part that the gate admits and waits for all, because the batches are lent to the
// logs until then. Parts that are stored are taken off the plan. ErrSealed is returned only if nothing
// worse happened, and an error that time heals only if no shard is sealed. r notes where the records
// are.
func (p *plan) append(ctx context.Context, gate Gate, r *receipt) error {
	var failed, sealed, later error
	open := p.shards.open
	note := func(i int, err error) {
		_, again := retryAfter(err)
		switch {
		case again:
			later = err
		case elsewhere(err):
			sealed = err
		case failed == nil:
			failed = fmt.Errorf("%s: %w", open[i].id, err)
		}
	}
	for i, part := range p.parts {
		if part == nil || failed != nil {
			continue
		}
		err := gate.Admit(p.part(i))
		var wait func() (Appended, error)
		if err == nil {
			wait, err = open[i].log.Enqueue(ctx, part)
		}
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
		done, err := wait()
		if err != nil {
			note(i, err)
			continue
		}
		r.note(p, i, done)
		gate.Stored(open[i].id, p.parts[i])
		p.parts[i] = nil
	}
	return cmp.Or(failed, sealed, later)
}

// elsewhere reports whether nothing was stored because the shard was split or merged: it is sealed,
// or has expired since.
func elsewhere(err error) bool { return errors.Is(err, ErrSealed) || errors.Is(err, ErrClosed) }

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
