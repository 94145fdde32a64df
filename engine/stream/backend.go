// Package stream holds the semantics of a sharded, durable stream without doing I/O: how
// records find their shard, what a reader may see, how long records stay. The I/O is behind
// Backend, Log and Meta, which engine/stream/disk implements.
//
// The invariant to remember: when Append returns nil the records are durable, and nothing a
// reader can see is ever taken back.
package stream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// Errors that callers branch on.
var (
	// ErrConflict: the document changed since its revision was read.
	ErrConflict = errors.New("document was changed by someone else")
	// ErrNotFound: no document, stream or shard of that name.
	ErrNotFound = errors.New("not found")
	// ErrFenced: the producer's epoch is older than one the shard has seen.
	ErrFenced = errors.New("producer was replaced by a newer epoch")
	// ErrGap: an earlier batch of the producer was not stored; it must be repeated first.
	ErrGap = errors.New("an earlier batch of the producer must be repeated first")
	// ErrTrimmed: the position asked for is older than what the shard still holds.
	ErrTrimmed = errors.New("position is older than the oldest record kept")
	// ErrClosed: the log or backend was closed.
	ErrClosed = errors.New("closed")
	// ErrSealed: the shard takes no more records, because it was split or merged.
	ErrSealed = errors.New("shard takes no more records")
	// ErrFull: the stream holds max_disk bytes that consumers still need, or the disk is nearly
	// full. The caller may retry later.
	ErrFull = errors.New("stream accepts no more records for now")
)

// CorruptError reports damage before a log's tail. The records before From are readable, and
// those from Next on; between them nothing is.
type CorruptError struct {
	Path   string
	Offset int64
	From   record.Ordinal
	Next   record.Ordinal
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d (records %d up to %d are lost): %s", e.Path, e.Offset, e.From, e.Next, e.Reason)
}

// Frame is what one append stored in one shard.
type Frame struct {
	// First is the ordinal of the first record; the rest follow densely.
	First record.Ordinal
	Count int
	// Arrival is when the frame was stored, in milliseconds since the epoch. It never falls
	// within a shard.
	Arrival int64
	// Producer and Position are the idempotence triple; Producer.ID is zero without one.
	Producer record.Producer
	Position int64
	// Body is Count records in the layout of record.Next. It aliases the Buffer it was read into.
	Body []byte
}

// Next is the ordinal after the frame's last record.
func (f Frame) Next() record.Ordinal { return f.First + record.Ordinal(f.Count) }

// Buffer is the memory of one reader. Frames returned by Read alias it until its next use.
type Buffer struct {
	// Max is how many bytes of frames one Read returns at most; a single larger frame is
	// returned alone. Zero means 1 MiB.
	Max int
	// Heads asks for one frame, whose body may be left out: a reader that wants to know when a record
	// arrived should not have to hold a very large one.
	Heads bool

	Bytes  []byte
	Frames []Frame
	// Plain holds the bodies of compressed frames.
	Plain []byte
}

// Appended says what an append did.
type Appended struct {
	First record.Ordinal
	// Count records were stored and Skipped were not, because the shard already had them.
	Count, Skipped int
	// Arrival is when, in milliseconds since the epoch, as the frames have it.
	Arrival int64
}

// Bounds are the ordinals a shard holds: Oldest up to but not including Next.
type Bounds struct {
	Oldest, Next record.Ordinal
	// Closed is set once the shard was sealed: Next is its end for good.
	Closed bool
	// Arrival is when the last record was stored, in milliseconds since the epoch. Before the first
	// record it is ShardOptions.MinArrival.
	Arrival int64
	// Bytes is the size on disk.
	Bytes int64
}

// Position is how far a producer's records are stored in a shard.
type Position struct {
	Epoch uint32
	Value int64
}

// NoHold is the hold of a log whose records nobody needs beyond their retention.
const NoHold record.Ordinal = math.MaxInt64

// Log is one shard. All methods may be called from any goroutine.
type Log interface {
	// Append stores the batch and returns nil once it is durable. Records whose position the
	// shard already has from the same producer are skipped. Appends are stored in the order of
	// the calls to Enqueue. Errors: ErrFenced, ErrGap, ErrFull, ErrSealed, ErrClosed; after any other
	// error it is not known whether the records are stored, and a producer repeats the batch.
	Append(ctx context.Context, b *record.Batch) (Appended, error)
	// Enqueue is Append in two steps: when it returns the batch has its place in the log, and
	// the batch must not be changed until wait returned. wait must be called once. A producer
	// may have several batches under way. When one of them, or the call itself, fails with ErrFull or
	// an error that is not named above, those behind it fail with ErrGap until the producer repeats
	// from it, or goes on with a higher epoch: a later batch that was stored would hide an earlier one.
	Enqueue(ctx context.Context, b *record.Batch) (wait func() (Appended, error), err error)
	// Read returns the durable frames from ordinal from on, without waiting: none when from is
	// the end of the log. The first frame may begin before from. Frames without records are
	// not returned. Errors: ErrTrimmed, *CorruptError.
	Read(ctx context.Context, from record.Ordinal, buf *Buffer) ([]Frame, error)
	// Seek returns the ordinal of the first record that arrived at or after t.
	Seek(ctx context.Context, t time.Time) (record.Ordinal, error)
	// Trim lets go of records before an ordinal, but not of those held; what shares a segment
	// with younger ones may stay on disk, and may be seen again after a restart.
	Trim(ctx context.Context, before record.Ordinal) error
	// SetHold keeps the records from an ordinal on, past their retention: some consumer still
	// needs them. They count towards ShardOptions.MaxDisk. NoHold, as after opening, keeps none.
	SetHold(from record.Ordinal)
	Bounds() Bounds
	// Position reports how far the producer's records are stored; ok is false when none are, or
	// when that differs from one part of the shard's hash keys to another and is unknown for one.
	Position(producer uint64) (p Position, ok bool)
	// Producers lists what Position reports of every producer, and what of it holds for a part of
	// the hash keys only, for the shards that follow this one.
	Producers() []Inherited
	// Seal makes the shard take no more records, durably: appends behind it get ErrSealed. All
	// appends that were acknowledged are before it. Sealing again does nothing.
	Seal(ctx context.Context) error
	// Configure changes the settings that an open log can change: Retention, Hidden, MaxDisk,
	// Compression, Sync, SyncEvery, Key and Encrypt. The rest of the options is ignored. With a key
	// that cannot be used, appends fail.
	Configure(o ShardOptions)
	// Updated returns a channel that is closed when more can be read than at the call, or the
	// log is sealed or closed.
	Updated() <-chan struct{}
}

// Meta holds small documents that change by compare-and-swap. Keys are paths of a-z, A-Z, 0-9,
// '_', '-', '.' and '/'.
type Meta interface {
	// Get returns a document and its revision. Error: ErrNotFound.
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// CAS stores a document if its revision is still the given one; 0 means it must not exist.
	// It is durable when CAS returns nil. Error: ErrConflict.
	CAS(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// List returns the keys that begin with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
	// Delete removes a document if its revision is still the given one. Error: ErrConflict.
	Delete(ctx context.Context, key string, revision uint64) error
}

// Backend stores the shards and documents of all streams.
type Backend interface {
	// Shard opens a shard's log and creates it if need be. The same log is returned each time.
	Shard(ctx context.Context, stream string, id record.ShardID, o ShardOptions) (Log, error)
	// DeleteStream removes all shards of a stream.
	DeleteStream(ctx context.Context, stream string) error
	// DeleteShard removes one. It is no error if it is gone.
	DeleteShard(ctx context.Context, stream string, id record.ShardID) error
	Meta() Meta
	// Tidy removes what retention lets go of and no hold keeps. The runtime calls it every now
	// and then, after it has set the holds of its consumers.
	Tidy(ctx context.Context, now time.Time) error
	// Sync names the durability of an append to streams that do not choose one: "always", "interval"
	// or "never", as in SyncMode.
	Sync() string
	// Close waits for running appends and closes every log.
	Close() error
}

// ShardOptions are the settings of a shard's log.
type ShardOptions struct {
	// Retention is how long records stay; zero means for ever.
	Retention time.Duration
	// Hidden is an arrival time in milliseconds: older records stay out of sight, because they were
	// past an earlier, shorter retention.
	Hidden int64
	// MinArrival is an arrival time in milliseconds that the shard's first record must not
	// precede: its parents' last. It counts when the log is created.
	MinArrival int64
	// Inherited is what the shard's parents have of each producer. It counts when the log is
	// created.
	Inherited []Inherited
	// MustExist makes a log that is not there an error instead of a new log.
	MustExist bool
	// Incarnation is the random identity of the stream. Records of another incarnation are
	// never returned: opening them is an error.
	Incarnation uint64
	// MaxDisk is how many bytes the stream may hold for consumers, over all its shards; zero
	// means no limit. Beyond it, appends get ErrFull.
	MaxDisk int64
	// Compression of the frames that are written from now on.
	Compression Compression
	// Sync says when appends are acknowledged and shown; empty means as the backend does.
	Sync SyncMode
	// SyncEvery is how long SyncInterval waits; zero means 100 ms.
	SyncEvery time.Duration
	// Key names the master key that records are encrypted with at rest, or were; empty means that
	// none are. The backend knows what the name stands for.
	Key string
	// Encrypt says that what is written from now on is encrypted.
	Encrypt bool
}
