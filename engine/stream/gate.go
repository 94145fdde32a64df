package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream/capacity"
)

// Part is what of a batch goes to one shard. It has records.
type Part struct {
	Shard record.ShardID
	Batch *record.Batch
}

// Gate decides how much the shards of a stream take and give, and sees what they took. All methods
// may be called from any goroutine, and keep neither slices nor batches.
type Gate interface {
	// Admit is asked before parts of a batch go to their shards: all of them pass or none does. With
	// an error nothing of them is stored; a *capacity.ThrottledError makes Write wait and try
	// again, and TryWrite return it.
	Admit(parts []Part) error
	// Stored is told of a batch that was stored.
	Stored(shard record.ShardID, b *record.Batch)
	// AdmitRead is asked before a client reads from a shard. Error: *capacity.ThrottledError.
	AdmitRead(shard record.ShardID) error
	// Delivered is told how many bytes a client's read brought.
	Delivered(shard record.ShardID, bytes int64)
}

// SetGate puts all writes and the reads of clients from now on through g; nil lets all pass, as at
// first.
func (s *Stream) SetGate(g Gate) {
	if g == nil {
		s.gate.Store(nil)
		return
	}
	s.gate.Store(&g)
}

// openGate lets everything pass.
type openGate struct{}

func (openGate) Admit([]Part) error                   { return nil }
func (openGate) Stored(record.ShardID, *record.Batch) {}
func (openGate) AdmitRead(record.ShardID) error       { return nil }
func (openGate) Delivered(record.ShardID, int64)      {}

// admitted is a gate that has let a batch pass already.
type admitted struct{ Gate }

func (admitted) Admit([]Part) error { return nil }

func (s *Stream) gateNow() Gate {
	if g := s.gate.Load(); g != nil {
		return *g
	}
	return openGate{}
}

// Read is Log.Read for a client, who gets no more than the gate lets pass; tasks of a pipeline read
// the logs. Errors: those of Log.Read, ErrNotFound, *capacity.ThrottledError.
func (s *Stream) Read(ctx context.Context, id record.ShardID, from record.Ordinal, buf *Buffer) ([]Frame, error) {
	log := s.Log(id)
	if log == nil {
		return nil, fmt.Errorf("read %s of stream %q: %w", id, s.name, ErrNotFound)
	}
	if err := s.AdmitRead(id); err != nil {
		return nil, err
	}
	frames, err := log.Read(ctx, from, buf)
	var bytes int64
	for _, f := range frames {
		bytes += int64(len(f.Body))
	}
	s.Delivered(id, bytes)
	return frames, err
}

// AdmitRead counts a client's call that reads from a shard, for those who read its log themselves. Error:
// *capacity.ThrottledError.
func (s *Stream) AdmitRead(id record.ShardID) error { return s.gateNow().AdmitRead(id) }

// Delivered counts the bytes that such a call brought.
func (s *Stream) Delivered(id record.ShardID, bytes int64) { s.gateNow().Delivered(id, bytes) }

// Settings are those of the stream now.
func (s *Stream) Settings() Settings { return s.shards.Load().doc.Settings }

// retryAfter is how long a write that may be repeated should wait before that; ok is false for
// other errors.
func retryAfter(err error) (wait time.Duration, ok bool) {
	var throttled *capacity.ThrottledError
	switch {
	case errors.As(err, &throttled):
		return max(throttled.RetryAfter, time.Millisecond), true
	case errors.Is(err, ErrFull):
		return fullRetry, true
	}
	return 0, false
}
