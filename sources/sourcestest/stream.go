// Package sourcestest is a stream in memory for the tests of sources. It keeps the promises of
// sources.Writer that sources build on, the idempotent append first of all, and can fail as a
// crash does: in the middle of a batch, with some shards written and others not.
package sourcestest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/sources"
)

// ErrCrash is what a Write returns that was to crash.
var ErrCrash = errors.New("crash")

// Stream is a sources.Writer.
type Stream struct {
	mu     sync.Mutex
	shards []shard
	writes int
	// left is how many records may be stored before the crash, negative for all.
	left int
	// refuse is what TryWrite and Write return instead of storing.
	refuse error
	grown  chan struct{}
}

type shard struct {
	keys    record.Range
	records []Record
	last    map[uint64]stream.Position
}

// Record is one stored record.
type Record struct {
	Key, Data string
	Producer  uint64
	Position  int64
}

// New makes a stream.
func New(shards int) *Stream {
	s := &Stream{left: -1, grown: make(chan struct{})}
	for _, r := range record.EvenRanges(shards) {
		s.shards = append(s.shards, shard{keys: r, last: map[uint64]stream.Position{}})
	}
	return s
}

// CrashAfter lets n more records be stored, shard by shard, and then fails. -1 is never.
func (s *Stream) CrashAfter(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = n
}

// Refuse makes every write fail with err; nil ends that.
func (s *Stream) Refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

// Write is sources.Writer.
func (s *Stream) Write(ctx context.Context, b *record.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	s.writes++
	close(s.grown)
	s.grown = make(chan struct{})
	for i := range s.shards {
		if err := s.append(&s.shards[i], b); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stream) append(sh *shard, b *record.Batch) error {
	last := sh.last[b.Producer.ID]
	if b.Producer.Epoch < last.Epoch {
		return stream.ErrFenced
	}
	for i := range b.Len() {
		if !sh.keys.Contains(b.Hash(i)) {
			continue
		}
		if b.Producer.ID != 0 {
			if b.Position(i) > b.End {
				return fmt.Errorf("record at %d is behind the batch's end %d", b.Position(i), b.End)
			}
			if b.Position(i) <= last.Value {
				continue
			}
			last = stream.Position{Epoch: b.Producer.Epoch, Value: b.Position(i)}
		}
		if s.left == 0 {
			return ErrCrash
		}
		s.left--
		r := b.Record(i)
		sh.records = append(sh.records, Record{
			Key: string(r.Key), Data: string(r.Data), Producer: b.Producer.ID, Position: b.Position(i),
		})
		if b.Producer.ID != 0 {
			sh.last[b.Producer.ID] = last
		}
	}
	return nil
}

// TryWrite is sources.Writer.
func (s *Stream) TryWrite(ctx context.Context, b *record.Batch) error { return s.Write(ctx, b) }

// Position is sources.Writer.
func (s *Stream) Position(producer uint64) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lowest := int64(-1)
	for _, sh := range s.shards {
		last, ok := sh.last[producer]
		if !ok {
			return 0, false
		}
		if lowest < 0 || last.Value < lowest {
			lowest = last.Value
		}
	}
	return lowest, true
}

// Flush is sources.Writer.
func (s *Stream) Flush(_ context.Context, p record.Producer, position int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return ErrCrash
	}
	s.writes++
	for _, sh := range s.shards {
		last := sh.last[p.ID]
		sh.last[p.ID] = stream.Position{Epoch: p.Epoch, Value: max(last.Value, position)}
	}
	return nil
}

// Writes is how many batches and positions were stored.
func (s *Stream) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Records are all records, those of a producer in the order of their positions.
func (s *Stream) Records() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Record
	for _, sh := range s.shards {
		all = append(all, sh.records...)
	}
	slices.SortStableFunc(all, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Producer, b.Producer), cmp.Compare(a.Position, b.Position))
	})
	return all
}

// Data is the data of all records, sorted.
func (s *Stream) Data() []string {
	var all []string
	for _, r := range s.Records() {
		all = append(all, r.Data)
	}
	slices.Sort(all)
	return all
}

// Shard is what one shard holds, in the order of its ordinals.
func (s *Stream) Shard(i int) []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.shards[i].records)
}

// WaitFor blocks until at least n records are stored.
func (s *Stream) WaitFor(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		have, grown := 0, s.grown
		for _, sh := range s.shards {
			have += len(sh.records)
		}
		s.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d records: %w", have, n, ctx.Err())
		}
	}
}

// Env collects what a source reports.
type Env struct {
	sources.Env
	mu       sync.Mutex
	log      strings.Builder
	rejected []sources.Rejected
	status   error
	done     int64
	total    int64
}

// NewEnv makes an environment for a source of this name.
func NewEnv(name string) *Env {
	e := &Env{}
	e.Env = sources.Env{
		Pipeline: "test", Name: name, Now: time.Now,
		Log:    slog.New(slog.NewTextHandler(writer{e}, nil)),
		Status: func(err error) { e.set(func() { e.status = err }) },
		Progress: func(done, total int64) {
			e.set(func() { e.done, e.total = done, total })
		},
		Reject: func(_ context.Context, r sources.Rejected) error {
			r.Data = slices.Clone(r.Data)
			e.set(func() { e.rejected = append(e.rejected, r) })
			return nil
		},
	}
	return e
}

type writer struct{ e *Env }

func (w writer) Write(p []byte) (n int, err error) {
	w.e.set(func() { n, err = w.e.log.Write(p) })
	return n, err
}

func (e *Env) set(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

// Rejected is what could not become records.
func (e *Env) Rejected() []sources.Rejected {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.rejected)
}

// LastStatus is the health last reported.
func (e *Env) LastStatus() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// LastProgress is the progress last reported.
func (e *Env) LastProgress() (done, total int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.done, e.total
}

// Logged is everything logged.
func (e *Env) Logged() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.String()
}
