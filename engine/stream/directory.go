package stream

import "context"

// Directory is all the streams of a data directory, for APIs whose clients name the one they mean. All methods may be
// called from any goroutine.
type Directory interface {
	// Names of all streams, sorted.
	Names(ctx context.Context) ([]string, error)
	// Open returns an open stream, which the caller does not close. Error: ErrNotFound.
	Open(ctx context.Context, name string) (*Stream, error)
	// Owner is the pipeline that alone writes to a stream, empty for one that others write to.
	Owner(name string) string
	// New makes a stream. Errors: ErrExists, ErrInvalid, ErrLimit.
	New(ctx context.Context, spec Spec) error
	// Delete removes a stream with its records.
	Delete(ctx context.Context, name string) error
	// Change runs a change of a stream's shards or settings.
	Change(ctx context.Context, name string, change func(*Stream) error) error
	// Meta holds what an API knows of streams beyond their own documents.
	Meta() Meta
}
