// Package memory is a backend that keeps everything in memory: for tests, and as the plainest
// implementation of the contracts in engine/stream.
//
// The invariant to remember: the records live in a Store, which outlives the backends that are
// opened on it one after the other, as a disk outlives processes.
package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// Store holds the records and documents.
type Store struct {
	mu        sync.Mutex
	open      bool
	documents map[string]document
	// floor is the highest revision of a deleted document.
	floor   uint64
	streams map[string]map[record.ShardID]*shard
}

// NewStore is empty.
func NewStore() *Store {
	return &Store{documents: map[string]document{}, streams: map[string]map[record.ShardID]*shard{}}
}

// shard is what of a log outlives the backend.
type shard struct {
	incarnation uint64
	frames      []stream.Frame
	next        record.Ordinal
	arrival     int64
	bytes       int64
	trimmed     record.Ordinal
	sealed      bool
	producers   *stream.Producers
}

// Backend is an open store.
type Backend struct {
	store *Store
	now   func() time.Time

	mu     sync.Mutex // guards what follows, and the logs' held
	closed bool
	logs   map[string]map[record.ShardID]*Log
}

var _ stream.Backend = (*Backend)(nil)

// Open opens a store; nobody else can until Close. A nil clock means time.Now.
func Open(s *Store, now func() time.Time) (*Backend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		return nil, errors.New("open store: it is open already")
	}
	s.open = true
	if now == nil {
		now = time.Now
	}
	return &Backend{store: s, now: now, logs: map[string]map[record.ShardID]*Log{}}, nil
}

// Shard implements stream.Backend.
func (b *Backend) Shard(_ context.Context, name string, id record.ShardID, o stream.ShardOptions) (stream.Log, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, stream.ErrClosed
	}
	if l := b.logs[name][id]; l != nil {
		return l, nil
	}
	s, err := b.store.shard(name, id, o)
	if err != nil {
		return nil, fmt.Errorf("open %s of stream %q: %w", id, name, err)
	}
	l := &Log{backend: b, stream: name, name: name + "/" + id.String(), data: s, hold: stream.NoHold}
	l.Configure(o)
	if b.logs[name] == nil {
		b.logs[name] = map[record.ShardID]*Log{}
	}
	b.logs[name][id] = l
	return l, nil
}

func (s *Store) shard(name string, id record.ShardID, o stream.ShardOptions) (*shard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.streams[name][id]; d != nil {
		if d.incarnation != o.Incarnation {
			return nil, fmt.Errorf("it holds records of incarnation %016x, the stream is %016x", d.incarnation, o.Incarnation)
		}
		return d, nil
	}
	if o.MustExist {
		return nil, errors.New("it is gone")
	}
	if s.streams[name] == nil {
		s.streams[name] = map[record.ShardID]*shard{}
	}
	d := &shard{incarnation: o.Incarnation, arrival: o.MinArrival, producers: stream.NewProducers(o.Inherited)}
	s.streams[name][id] = d
	return d, nil
}

// DeleteStream implements stream.Backend.
func (b *Backend) DeleteStream(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return stream.ErrClosed
	}
	for _, l := range b.logs[name] {
		l.close()
	}
	delete(b.logs, name)
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	delete(b.store.streams, name)
	return nil
}

// DeleteShard implements stream.Backend.
func (b *Backend) DeleteShard(_ context.Context, name string, id record.ShardID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return stream.ErrClosed
	}
	if l := b.logs[name][id]; l != nil {
		l.close()
		delete(b.logs[name], id)
	}
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	delete(b.store.streams[name], id)
	return nil
}

// Meta implements stream.Backend.
func (b *Backend) Meta() stream.Meta { return meta{b.store} }

// Tidy implements stream.Backend.
func (b *Backend) Tidy(ctx context.Context, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, logs := range b.logs {
		for _, l := range logs {
			l.tidy(now)
		}
	}
	return ctx.Err()
}

// Sync implements stream.Backend. A store never loses what it has.
func (b *Backend) Sync() string { return string(stream.SyncAlways) }

// Close implements stream.Backend.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	for _, logs := range b.logs {
		for _, l := range logs {
			l.close()
		}
	}
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.store.open = false
	return nil
}

// held sums what the shards of a stream hold for consumers.
func (b *Backend) held(name string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var sum int64
	for _, l := range b.logs[name] {
		sum += l.held()
	}
	return sum
}
