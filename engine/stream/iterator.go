package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// IteratorType says where to begin to read a shard (Kinesis API, GetShardIterator).
type IteratorType string

// The iterator types.
const (
	AtSequence    IteratorType = "AT_SEQUENCE_NUMBER"
	AfterSequence IteratorType = "AFTER_SEQUENCE_NUMBER"
	TrimHorizon   IteratorType = "TRIM_HORIZON"
	Latest        IteratorType = "LATEST"
	AtTimestamp   IteratorType = "AT_TIMESTAMP"
)

// From is a place to begin to read.
type From struct {
	Type IteratorType
	// Sequence is the number for AtSequence and AfterSequence.
	Sequence string
	// Time is for AtTimestamp: the first record that arrived then or later. It is not after now.
	Time time.Time
}

// Iterator returns the ordinal that reading begins with. AtSequence and AfterSequence want a number of
// this shard: of a record, or that where the shard begins or ends. Errors: ErrNotFound, ErrInvalid,
// *TrimmedError when records behind the place asked for are gone.
func (s *Stream) Iterator(ctx context.Context, id record.ShardID, from From) (record.Ordinal, error) {
	at, err := s.iterator(ctx, id, from)
	if err != nil {
		return 0, fmt.Errorf("iterator %s of stream %q, %s: %w", from.Type, s.name, id, err)
	}
	return at, nil
}

func (s *Stream) iterator(ctx context.Context, id record.ShardID, from From) (record.Ordinal, error) {
	m := s.shards.Load()
	log := m.logs[id]
	if log == nil {
		return 0, ErrNotFound
	}
	b := log.Bounds()
	switch from.Type {
	case TrimHorizon:
		return b.Oldest, nil
	case Latest:
		return b.Next, nil
	case AtTimestamp:
		if now := s.now(); from.Time.After(now) {
			return 0, fmt.Errorf("%w: %s is in the future, it is %s", ErrInvalid, from.Time.UTC().Format(time.RFC3339Nano), now.UTC().Format(time.RFC3339Nano))
		}
		return log.Seek(ctx, from.Time)
	case AtSequence, AfterSequence:
		return atSequence(*m.doc.shard(id), b, from)
	}
	return 0, fmt.Errorf("%w: unknown type", ErrInvalid)
}

func atSequence(sh Shard, b Bounds, from From) (record.Ordinal, error) {
	q, err := ParseSequence(from.Sequence)
	if err != nil {
		return 0, err
	}
	if q.Shard != sh.ID || q.Created != sh.Created.Unix() {
		return 0, fmt.Errorf("%w: sequence number %s is not of this shard", ErrInvalid, from.Sequence)
	}
	if q.Index == endIndex && b.Closed {
		return b.Next, nil
	}
	at, ok := q.Ordinal()
	if !ok {
		at = 0
	} else if at >= b.Next {
		return 0, fmt.Errorf("%w: sequence number %s was not given yet", ErrInvalid, from.Sequence)
	} else if from.Type == AfterSequence {
		at++
	}
	if at < b.Oldest {
		return 0, &TrimmedError{Shard: sh.ID, At: at, Oldest: b.Oldest}
	}
	return at, nil
}
