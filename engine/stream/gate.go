package stream

import (
	"errors"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream/capacity"
)

// Gate decides how much the shards of a stream take, and sees what they took. All methods may be
// called from any goroutine.
type Gate interface {
	// Admit is asked before a batch goes to a shard. With an error nothing of it is stored there; a
	// *capacity.ThrottledError makes Write wait and try again, and TryWrite return it.
	Admit(shard record.ShardID, b *record.Batch) error
	// Stored is told of a batch that was stored. It must not keep it.
	Stored(shard record.ShardID, b *record.Batch)
}

// SetGate puts all writes from now on through g; nil lets all pass, as at first.
func (s *Stream) SetGate(g Gate) {
	if g == nil {
		s.gate.Store(nil)
		return
	}
	s.gate.Store(&g)
}

// openGate lets everything pass.
type openGate struct{}

func (openGate) Admit(record.ShardID, *record.Batch) error { return nil }
func (openGate) Stored(record.ShardID, *record.Batch)      {}

func (s *Stream) gateNow() Gate {
	if g := s.gate.Load(); g != nil {
		return *g
	}
	return openGate{}
}

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
