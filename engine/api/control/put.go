package control

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// checkPut refuses what one request may not put.
func checkPut(records []Record) error {
	bytes := 0
	for i, r := range records {
		bytes += len(r.Key) + len(r.Data)
		if !utf8.ValidString(r.Key) {
			return fmt.Errorf("%w: the key of record %d is not UTF-8", stream.ErrInvalid, i)
		}
	}
	if len(records) > MaxPut || bytes > MaxPutBytes {
		return fmt.Errorf("%w: %d records of %d bytes are more than the %d of %d that one request puts", stream.ErrInvalid, len(records), bytes, MaxPut, MaxPutBytes)
	}
	return nil
}

func batchOf(records []Record) *record.Batch {
	b := &record.Batch{}
	for _, r := range records {
		if r.HashKey != nil {
			b.AddExplicit([]byte(r.Key), *r.HashKey, r.Data, 0)
			continue
		}
		b.Add([]byte(r.Key), r.Data, 0)
	}
	return b
}

// Put implements Records.
func (l *Local) Put(ctx context.Context, name string, records []Record) ([]Placed, error) {
	if err := checkPut(records); err != nil {
		return nil, err
	}
	s, err := l.stream(ctx, name)
	if err != nil {
		return nil, err
	}
	numbers, err := s.Put(ctx, batchOf(records))
	var size *stream.RecordSizeError
	var key *stream.KeySizeError
	if errors.As(err, &size) || errors.As(err, &key) {
		err = fmt.Errorf("%w: %w", stream.ErrInvalid, err)
	}
	placed := make([]Placed, len(numbers))
	for i, n := range numbers {
		placed[i] = Placed{Shard: n.Shard, SequenceNumber: n.String()}
	}
	return placed, err
}
