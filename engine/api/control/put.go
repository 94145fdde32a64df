package control

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// RecordError refuses a Put because of one of its records; nothing of it was stored. It is a
// stream.ErrInvalid.
type RecordError struct {
	// Index of the record in the request.
	Index int `json:"index"`
	// Reason says what is wrong with it and what to do.
	Reason string `json:"reason"`
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("%v: record %d %s", stream.ErrInvalid, e.Index, e.Reason)
}

// Unwrap makes errors.Is(e, stream.ErrInvalid) true.
func (e *RecordError) Unwrap() error { return stream.ErrInvalid }

// checkPut refuses what one request may not put.
func checkPut(records []Record) error {
	bytes := 0
	for i, r := range records {
		bytes += len(r.Key) + len(r.Data)
		if !utf8.ValidString(r.Key) {
			return &RecordError{i, "has a key that is not UTF-8; keys are text, data can be any bytes"}
		}
	}
	if len(records) > MaxPut || bytes > MaxPutBytes {
		return fmt.Errorf("%w: %d records of %d bytes are more than the %d of %d that one request puts", stream.ErrInvalid, len(records), bytes, MaxPut, MaxPutBytes)
	}
	return nil
}

// refused names the record of a batch that its stream does not take.
func refused(err error) error {
	var size *stream.RecordSizeError
	if errors.As(err, &size) {
		return &RecordError{size.Index, fmt.Sprintf("has %d bytes of data and key, the stream takes %d: shorten it, split it in several, or leave it out", size.Size, size.Limit)}
	}
	var key *stream.KeySizeError
	if errors.As(err, &key) {
		return &RecordError{key.Index, fmt.Sprintf("has a partition key of %d characters: use one of %d at most", key.Characters, stream.MaxKey)}
	}
	return err
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
	if err != nil {
		return nil, refused(err)
	}
	placed := make([]Placed, len(numbers))
	for i, n := range numbers {
		placed[i] = Placed{Shard: n.Shard, SequenceNumber: n.String()}
	}
	return placed, nil
}
