// Package control is what an operator does with the streams of a data directory: describe, put,
// read, split, merge. Local does it on an open backend; a process that holds the directory
// serves its Local to others on a unix socket, and Client speaks to it.
//
// The invariant to remember: a Local works on the very streams that the process writes to and
// reads from, so that a split made here is seen by its writers and consumers at once.
package control

import (
	"context"
	"errors"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// Errors that callers branch on, besides those of package stream.
var (
	// ErrInUse: the process reads from the stream or writes to it.
	ErrInUse = errors.New("in use by the running pipeline")
	// ErrUnreachable: the process that has the data directory does not answer. It is not known
	// whether it did what it was asked.
	ErrUnreachable = errors.New("the running process does not answer")
)

// Admin is all that an operator can do. Its methods may be called from any goroutine. Each
// returns stream.ErrNotFound when there is no such stream or shard, and stream.ErrInvalid when
// it was asked for what can never be.
type Admin interface {
	Streams
	Shards
	Records
	Encryption
}

// Streams are made, looked at and deleted.
type Streams interface {
	// List returns all streams, by name.
	List(ctx context.Context) ([]Stream, error)
	Describe(ctx context.Context, name string) (Stream, error)
	// Create makes a stream. Error: stream.ErrExists.
	Create(ctx context.Context, spec Spec) error
	// Delete removes a stream with all its records, and where its consumers stood. Error: ErrInUse.
	Delete(ctx context.Context, name string) error
	// Consumers returns who reads the stream and where they stand, by group.
	Consumers(ctx context.Context, name string) ([]Consumer, error)
}

// Shards of a stream change while it is written and read. Error: stream.ErrLimit.
type Shards interface {
	// Split closes a shard and opens two that share its hash keys: those below at and the rest.
	// nil cuts in the middle.
	Split(ctx context.Context, name string, shard record.ShardID, at *record.HashKey) error
	// Merge closes two neighbours and opens one that takes the hash keys of both.
	Merge(ctx context.Context, name string, a, b record.ShardID) error
	// Reshard splits and merges until n shards of about equal ranges are open.
	Reshard(ctx context.Context, name string, n int) error
	// SetRetention says how long records stay; zero means for ever.
	SetRetention(ctx context.Context, name string, d time.Duration) error
	// Configure changes the settings that are not zero.
	Configure(ctx context.Context, name string, s Settings) error
}

// Records are put into a stream and read from it.
type Records interface {
	// Put stores the records and returns, in their order, where each one is. At most MaxPut
	// records and MaxPutBytes bytes of data and keys. With a *capacity.ThrottledError or a *RecordError it
	// stored none.
	Put(ctx context.Context, name string, records []Record) ([]Placed, error)
	// Read returns the next page. Error: *capacity.ThrottledError.
	Read(ctx context.Context, r ReadRequest) (Page, error)
}

// Encryption at rest of a stream: docs/encryption.md.
type Encryption interface {
	// Encrypt encrypts what is written from now on. The process that has the directory must be able
	// to use the master key.
	Encrypt(ctx context.Context, name, key string) error
	// Decrypt writes in clear from now on.
	Decrypt(ctx context.Context, name string) error
	// Rewrap wraps the data keys of all segments with what the master key is now, and returns how
	// many.
	Rewrap(ctx context.Context, name string) (segments int, err error)
}

// Limits of one request.
const (
	MaxPut      = 10_000
	MaxPutBytes = 8 << 20
	MaxRead     = 10_000
	// maxPage is after how many bytes of data a page ends; one larger record is a page alone.
	maxPage = 4 << 20
	// MaxWait is how long a read may wait for records.
	MaxWait = 30 * time.Second
)

// Spec is the stream to create.
type Spec struct {
	Name string `json:"name"`
	// Shards that a new stream gets; 0 means 1.
	Shards int `json:"shards"`
	// RetentionSeconds is how long records stay; 0 means for ever.
	RetentionSeconds int64 `json:"retention_seconds"`
	// Settings that are zero have their defaults.
	Settings
	// Key is the master key of a stream that is encrypted at rest.
	Key string `json:"key,omitempty"`
}

// Settings are those of a stream's capacity and of how it is stored.
type Settings struct {
	// Mode is provisioned unless it is said, and Limits none.
	Mode   stream.Mode   `json:"mode,omitempty"`
	Limits stream.Limits `json:"limits,omitempty"`
	// MaxShards is for mode on_demand; a negative number, or none in a Stream, is 4 per core.
	MaxShards int `json:"max_shards,omitempty"`
	// Sync is the durability of an append.
	Sync stream.SyncMode `json:"sync,omitempty"`
	// SyncEveryMillis is the interval of sync interval.
	SyncEveryMillis int64              `json:"sync_every_millis,omitempty"`
	Compression     stream.Compression `json:"compression,omitempty"`
}

// settings are those of package stream.
func (s Settings) settings() stream.Settings {
	return stream.Settings{
		Mode: s.Mode, Limits: s.Limits, MaxShards: max(s.MaxShards, stream.AutoShards),
		Sync: s.Sync, SyncEvery: time.Duration(s.SyncEveryMillis) * time.Millisecond, Compression: s.Compression,
	}
}

// settingsOf are those of a stream.
func settingsOf(d stream.Description) Settings {
	return Settings{
		Mode: d.Settings.Mode, Limits: d.Settings.Limits, MaxShards: max(d.Settings.MaxShards, 0),
		Sync: d.Sync, SyncEveryMillis: d.SyncEvery.Milliseconds(), Compression: d.Settings.Compression,
	}
}

// Stream is a stream with all its shards, the closed ones too as long as they can be read.
type Stream struct {
	Name string `json:"name"`
	// Incarnation tells it from one of the same name that was deleted.
	Incarnation string        `json:"incarnation"`
	Status      stream.Status `json:"status"`
	Created     time.Time     `json:"created"`
	// RetentionSeconds is how long records stay; 0 means for ever.
	RetentionSeconds int64 `json:"retention_seconds"`
	Settings
	// Key is the master key that records are encrypted with; empty when they are not.
	Key    string            `json:"key,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
	Shards []Shard           `json:"shards"`
	// Schema is absent when records do not decide on it.
	Schema *Schema `json:"schema,omitempty"`
	// Error is why List could not open the stream: its key is missing, or its files are. There is only
	// its name then.
	Error string `json:"error,omitempty"`
}

// Records and Bytes that the stream holds.
func (s Stream) Records() (n int64) {
	for _, sh := range s.Shards {
		n += sh.Records
	}
	return n
}

// Bytes that the stream takes on disk.
func (s Stream) Bytes() (n int64) {
	for _, sh := range s.Shards {
		n += sh.Bytes
	}
	return n
}

// Open is how many shards take records.
func (s Stream) Open() (n int) {
	for _, sh := range s.Shards {
		if sh.State == stream.ShardOpen {
			n++
		}
	}
	return n
}

// Shard returns a shard of the stream.
func (s Stream) Shard(id record.ShardID) (Shard, bool) {
	for _, sh := range s.Shards {
		if sh.ID == id {
			return sh, true
		}
	}
	return Shard{}, false
}

// Shard is a shard as it is now.
type Shard struct {
	ID      record.ShardID    `json:"id"`
	State   stream.ShardState `json:"state"`
	Range   record.Range      `json:"range"`
	Parents []record.ShardID  `json:"parents,omitempty"`
	Created time.Time         `json:"created"`
	// Oldest is the ordinal of the oldest record that can be read; it rises as records go.
	Oldest record.Ordinal `json:"oldest"`
	// Records and Bytes that it holds.
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
	// Recent is how many of the records arrived within the last minute.
	Recent int64 `json:"recent"`
}

// Record is a record to put.
type Record struct {
	Key string `json:"key,omitempty"`
	// HashKey overrides the hash of Key.
	HashKey *record.HashKey `json:"hash_key,omitempty"`
	Data    []byte          `json:"data"`
}

// Placed says where a record is.
type Placed struct {
	Shard          record.ShardID `json:"shard"`
	SequenceNumber string         `json:"sequence_number"`
}

// From is where reading begins. Exactly one field is set; none means the oldest record.
type From struct {
	// Latest begins behind the newest record.
	Latest bool `json:"latest,omitempty"`
	// Time begins at the first record that arrived at or after it.
	Time time.Time `json:"time,omitzero"`
	// Sequence begins at the record of that number, and reads its shard alone.
	Sequence string `json:"sequence,omitempty"`
	// Last begins so many records before the end of each shard.
	Last int `json:"last,omitempty"`
}

// ReadRequest asks for a page.
type ReadRequest struct {
	Stream string `json:"stream"`
	// Cursor continues behind a page; empty begins at From.
	Cursor string `json:"cursor,omitempty"`
	From   From   `json:"from,omitzero"`
	// Shard is the only one to read; nil reads all, each after its parents. It counts without a
	// Cursor only.
	Shard *record.ShardID `json:"shard,omitempty"`
	// Limit is how many records a page has at most; 0 means MaxRead.
	Limit int `json:"limit,omitempty"`
	// WaitMillis is how long to wait for the first record, at most MaxWait.
	WaitMillis int64 `json:"wait_millis,omitempty"`
}

// Page is a part of a stream: the records of each shard in order.
type Page struct {
	Records []Stored `json:"records"`
	// Cursor is where the next page begins.
	Cursor string `json:"cursor"`
	// CaughtUp is set when there was nothing more to read.
	CaughtUp bool `json:"caught_up"`
	// Ended is set when there never will be: all shards that are read were closed.
	Ended bool `json:"ended"`
	// Expired is how many records retention took before they could be read.
	Expired int64 `json:"expired,omitempty"`
	// Damaged are the places that cannot be read; reading goes on behind them.
	Damaged []Damage `json:"damaged,omitempty"`
}

// Damage is a place in a shard whose records are lost.
type Damage struct {
	Shard record.ShardID `json:"shard"`
	// Records that are lost, and where and why.
	Records int64  `json:"records"`
	Text    string `json:"text"`
}

// Stored is a record as it was read.
type Stored struct {
	Shard          record.ShardID `json:"shard"`
	SequenceNumber string         `json:"sequence_number"`
	Arrival        time.Time      `json:"arrival"`
	Key            string         `json:"key"`
	Data           []byte         `json:"data"`
}
