package stream

import (
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine/record"
)

// Errors about a stream as a whole. Those of a log are beside Log.
var (
	// ErrInvalid: an argument breaks a rule; the message says which.
	ErrInvalid = errors.New("invalid argument")
	// ErrLimit: the change would exceed a limit on shards or tags.
	ErrLimit = errors.New("limit exceeded")
	// ErrExists: a stream of that name exists.
	ErrExists = errors.New("exists already")
)

// ShardCountError reports that a stream exists with another number of shards than asked for.
type ShardCountError struct {
	Stream    string
	Have, Ask int
}

func (e *ShardCountError) Error() string {
	return fmt.Sprintf("stream %q has %d shards and its specification asks for %d: write `shards: %d`, reshard it with `millrace stream reshard %s %d`, or give the stream another name",
		e.Stream, e.Have, e.Ask, e.Have, e.Stream, e.Ask)
}

// RecordSizeError reports a record that is larger than its stream takes.
type RecordSizeError struct {
	// Index of the record in its batch. Size is that of data and key together.
	Index, Size, Limit int
}

func (e *RecordSizeError) Error() string {
	return fmt.Sprintf("record %d has %d bytes of data and key, the stream takes %d", e.Index, e.Size, e.Limit)
}

// KeySizeError reports a partition key of more than MaxKey characters.
type KeySizeError struct{ Index, Characters int }

func (e *KeySizeError) Error() string {
	return fmt.Sprintf("record %d has a partition key of %d characters, more than %d", e.Index, e.Characters, MaxKey)
}

// BatchSizeError reports a batch that one call may not store.
type BatchSizeError struct{ Records, Bytes, MaxRecords, MaxBytes int }

func (e *BatchSizeError) Error() string {
	return fmt.Sprintf("a batch of %d records and %d bytes: at most %d records and %d bytes are taken at once", e.Records, e.Bytes, e.MaxRecords, e.MaxBytes)
}

// TrimmedError reports a position before the oldest record that the shard keeps. It is an
// ErrTrimmed.
type TrimmedError struct {
	Shard      record.ShardID
	At, Oldest record.Ordinal
}

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("%s from record %d: %s is %d", e.Shard, e.At, ErrTrimmed, e.Oldest)
}

// Is makes errors.Is(e, ErrTrimmed) true.
func (e *TrimmedError) Is(target error) bool { return target == ErrTrimmed }
