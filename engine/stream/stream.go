package stream

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// Spec is what a stream should be. Fields that are zero take an existing stream as it is.
type Spec struct {
	// Name is 1 to 128 of a-z, A-Z, 0-9, '_', '-' and '.'.
	Name string
	// Shards a new stream gets, 1 if zero. An existing stream may have been resharded since: it is
	// an error if it has another number now and had another one when it was created, unless it is
	// OnDemand.
	Shards int
	// Ranges that the shards of a new stream get, instead of even ones: they rise and cover all hash
	// keys.
	Ranges []record.Range
	// Retention is how long records stay; Forever means until the stream is deleted, as by default.
	Retention time.Duration
	// MaxDisk is how many bytes may be held for consumers; -1 means no limit, as by default.
	MaxDisk int64
	// Settings are the rest; Retention and MaxDisk above win over those in it.
	Settings Settings
	// Tags that a new stream gets.
	Tags map[string]string
	// Now is the clock for creation times; nil means time.Now.
	Now func() time.Time
}

func (s Spec) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// settings are those that the spec asks for.
func (s Spec) settings() Settings {
	return s.Settings.merge(Settings{Retention: s.Retention, MaxDisk: s.MaxDisk})
}

// ranges are the hash keys of a new stream's shards.
func (s Spec) ranges() []record.Range {
	if len(s.Ranges) > 0 {
		return s.Ranges
	}
	return record.EvenRanges(max(s.Shards, 1))
}

func (s Spec) check() error {
	if err := checkName(s.Name); err != nil {
		return err
	}
	if n := max(s.Shards, len(s.Ranges)); s.Shards < 0 || n > maxShards {
		return fmt.Errorf("%w: %d shards: want 1 to %d", ErrInvalid, n, maxShards)
	}
	if len(s.Ranges) > 0 {
		if err := checkCover(s.Ranges); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if s.Shards != 0 && s.Shards != len(s.Ranges) {
			return fmt.Errorf("%w: %d shards with %d ranges", ErrInvalid, s.Shards, len(s.Ranges))
		}
	}
	_, err := ChangeTags(nil, s.Tags, nil)
	return errors.Join(err, s.settings().check())
}

// Stream is an open stream: its shards and the rule that sends records to them. All methods may
// be called from any goroutine.
//
// Several may be open on one backend, also in other processes: the document in the backend is
// the truth, and a Stream that finds a shard sealed looks there for the shards that follow.
type Stream struct {
	name        string
	incarnation string
	number      uint64
	// key is the master key that a Spec asks for, until the document has it: the one there may be
	// where it cannot be found any more.
	key     string
	backend Backend
	now     func() time.Time
	// shards is replaced as a whole when the shards or settings change.
	shards atomic.Pointer[shardMap]
	// reshaping is set while shards are being split or merged.
	reshaping atomic.Bool
	// changing holds a token while someone changes the document or replaces shards.
	changing chan struct{}
	gate     atomic.Pointer[Gate]
	plans    sync.Pool
	lag      markers
	watch    watch
}

// shardMap is the stream at one revision of its document. It is never changed.
type shardMap struct {
	revision uint64
	doc      document
	listed   []Shard
	// open are the open shards by the start of their ranges.
	open []shard
	logs map[record.ShardID]Log
}

type shard struct {
	id    record.ShardID
	start record.HashKey
	log   Log
}

// Open opens the stream and creates it if it does not exist. Changes of shards that a crash
// interrupted are finished. Close ends what Updated started; the logs belong to the backend. Error:
// *ShardCountError.
func Open(ctx context.Context, b Backend, spec Spec) (*Stream, error) {
	return open(ctx, b, spec, true, true)
}

// Create is Open for a stream that must not exist. Error: ErrExists.
func Create(ctx context.Context, b Backend, spec Spec) (*Stream, error) {
	return open(ctx, b, spec, true, false)
}

// Attach is Open for a stream that must exist, and takes it as it is. Error: ErrNotFound.
func Attach(ctx context.Context, b Backend, name string) (*Stream, error) {
	return open(ctx, b, Spec{Name: name}, false, true)
}

// Names are the streams of a backend, sorted, also those that are being created or deleted.
func Names(ctx context.Context, b Backend) ([]string, error) {
	keys, err := b.Meta().List(ctx, key(""))
	for i, k := range keys {
		keys[i] = k[len(key("")):]
	}
	return keys, err
}

func open(ctx context.Context, b Backend, spec Spec, create, existing bool) (*Stream, error) {
	s := &Stream{name: spec.Name, backend: b, now: spec.now, changing: make(chan struct{}, 1)}
	err := spec.check()
	if err == nil {
		err = s.load(ctx, spec, create, existing)
	}
	if err != nil {
		return nil, fmt.Errorf("open stream %q: %w", spec.Name, err)
	}
	return s, nil
}

// load finds or creates the document, and brings the logs in line with it and with the spec.
func (s *Stream) load(ctx context.Context, spec Spec, create, existing bool) error {
	if err := s.checkKey(ctx, spec.Settings.KeyID); err != nil {
		return err
	}
	s.key = spec.Settings.KeyID
	defer func() { s.key = "" }()
	d, err := find(ctx, s.backend, spec, create, existing)
	if err != nil {
		return err
	}
	s.incarnation = d.Incarnation
	if s.number, err = strconv.ParseUint(d.Incarnation, 16, 64); err != nil {
		return err
	}
	m, err := s.settle(ctx)
	if err != nil {
		return err
	}
	settings := m.doc.Settings.merge(spec.settings())
	// On demand, how many there are follows from the load.
	if have := len(m.open); settings.Mode != OnDemand && spec.Shards != 0 && spec.Shards != have && spec.Shards != m.doc.Initial {
		return &ShardCountError{Stream: spec.Name, Have: have, Ask: spec.Shards}
	}
	if settings == m.doc.Settings {
		return nil
	}
	return s.change(ctx, func(d *document) error { return d.configure(spec.settings(), s.now()) })
}

// Name of the stream.
func (s *Stream) Name() string { return s.name }

// Incarnation is the random identity of the stream, 16 hexadecimal digits. A stream that was
// deleted and created again has another.
func (s *Stream) Incarnation() string { return s.incarnation }

// Shards are all shards of the stream by id, at one moment: the open ones cover all hash keys, and
// of a shard that was split or merged the children are listed as soon as it is closed, not
// before. The caller must not change the slice.
func (s *Stream) Shards() []Shard { return s.shards.Load().listed }

// Shard is one of Shards.
func (s *Stream) Shard(id record.ShardID) (sh Shard, ok bool) {
	listed := s.Shards()
	i, ok := slices.BinarySearchFunc(listed, id, func(s Shard, id record.ShardID) int { return cmp.Compare(s.ID, id) })
	if !ok {
		return Shard{}, false
	}
	return listed[i], true
}

// Log is the log of a shard, nil when the stream has no such shard.
func (s *Stream) Log(id record.ShardID) Log { return s.shards.Load().logs[id] }

// Bounds sums the records and bytes that the shards hold.
func (s *Stream) Bounds() (records, bytes int64) {
	for _, log := range s.shards.Load().logs {
		b := log.Bounds()
		records += int64(b.Next - b.Oldest)
		bytes += b.Bytes
	}
	return records, bytes
}

// Position is the smallest position that the open shards hold of a producer: all its records up
// to there are stored. ok is false when some shard has none. It knows what shards inherited from
// those that were split or merged.
func (s *Stream) Position(producer uint64) (position int64, ok bool) {
	for i, sh := range s.shards.Load().open {
		p, ok := sh.log.Position(producer)
		if !ok {
			return 0, false
		}
		if i == 0 || p.Value < position {
			position = p.Value
		}
	}
	return position, true
}

// Flush makes every open shard hold the producer's position, also those that got none of its
// records, and returns nil once that is durable.
func (s *Stream) Flush(ctx context.Context, p record.Producer, position int64) error {
	if p.ID == 0 {
		return errors.New("flush a position: the producer has no id")
	}
	return s.Write(ctx, &record.Batch{Producer: p, End: position})
}

// flusher is a Log that may acknowledge an append before it is durable.
type flusher interface {
	// Flush syncs what was acknowledged before the call.
	Flush(ctx context.Context) error
}

// Sync returns nil once all that was acknowledged before the call is durable and can be read, also
// with SyncInterval and SyncNever.
func (s *Stream) Sync(ctx context.Context) error {
	for id, log := range s.shards.Load().logs {
		f, ok := log.(flusher)
		if !ok || log.Bounds().Closed {
			continue
		}
		// A shard that is sealed meanwhile is synced.
		if err := f.Flush(ctx); err != nil && !elsewhere(err) {
			return fmt.Errorf("sync %s of stream %q: %w", id, s.name, err)
		}
	}
	return nil
}

// Close ends the goroutines that Updated started.
func (s *Stream) Close() error {
	s.watch.close()
	return nil
}

// ProducerID is a stable id made of what names a producer: pipeline, source, path. It is never 0.
func ProducerID(parts ...string) uint64 {
	h := sha256.New()
	var size [8]byte
	for _, p := range parts {
		// The length keeps ("a", "bc") apart from ("ab", "c").
		binary.LittleEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		h.Write([]byte(p))
	}
	return max(binary.LittleEndian.Uint64(h.Sum(nil)), 1)
}
