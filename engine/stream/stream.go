package stream

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// Spec is what a stream should be.
type Spec struct {
	// Name is 1 to 128 of a-z, A-Z, 0-9, '_', '-' and '.'.
	Name string
	// Shards a new stream gets. Zero takes an existing stream as it is, and gives a new one 1.
	Shards int
	// Retention is how long records stay; zero means for ever.
	Retention time.Duration
	// MaxDisk is how many bytes may be held for consumers; zero means no limit.
	MaxDisk int64
	// Now is the clock for creation times; nil means time.Now.
	Now func() time.Time
}

func (s Spec) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// Stream is an open stream: its shards and the rule that sends records to them. All methods may
// be called from any goroutine.
type Stream struct {
	name        string
	incarnation string
	shards      []Shard
	// open are the open shards by the start of their ranges.
	open  []shard
	logs  map[record.ShardID]Log
	plans sync.Pool
	lag   markers
	watch watch
}

type shard struct {
	id    record.ShardID
	start record.HashKey
	log   Log
}

// Open opens the stream and creates it if it does not exist. Close ends what Updated started;
// the logs belong to the backend. Error: *ShardCountError.
func Open(ctx context.Context, b Backend, spec Spec) (*Stream, error) {
	s, err := openStream(ctx, b, spec)
	if err != nil {
		return nil, fmt.Errorf("open stream %q: %w", spec.Name, err)
	}
	return s, nil
}

func openStream(ctx context.Context, b Backend, spec Spec) (*Stream, error) {
	if err := checkName(spec.Name); err != nil {
		return nil, err
	}
	if spec.Shards < 0 || spec.Shards > maxShards {
		return nil, fmt.Errorf("%d shards: want 1 to %d", spec.Shards, maxShards)
	}
	d, err := load(ctx, b, spec)
	if err != nil {
		return nil, err
	}
	if have := len(d.open()); spec.Shards != 0 && spec.Shards != have {
		return nil, &ShardCountError{Stream: spec.Name, Have: have, Ask: spec.Shards}
	}
	incarnation, err := strconv.ParseUint(d.Incarnation, 16, 64)
	if err != nil {
		return nil, err
	}
	s := &Stream{name: spec.Name, incarnation: d.Incarnation, shards: d.Shards, logs: map[record.ShardID]Log{}}
	o := ShardOptions{Retention: spec.Retention, MaxDisk: spec.MaxDisk, Incarnation: incarnation}
	sortByStart(d.Shards)
	for _, sh := range d.Shards {
		log, err := b.Shard(ctx, spec.Name, sh.ID, o)
		if err != nil {
			return nil, err
		}
		s.logs[sh.ID] = log
		if sh.State == ShardOpen {
			s.open = append(s.open, shard{id: sh.ID, start: sh.Range.Start, log: log})
		}
	}
	slices.SortFunc(s.shards, func(a, b Shard) int { return int(a.ID) - int(b.ID) })
	return s, nil
}

func sortByStart(shards []Shard) {
	slices.SortFunc(shards, func(a, b Shard) int { return a.Range.Start.Compare(b.Range.Start) })
}

// Name of the stream.
func (s *Stream) Name() string { return s.name }

// Incarnation is the random identity of the stream, 16 hexadecimal digits. A stream that was
// deleted and created again has another.
func (s *Stream) Incarnation() string { return s.incarnation }

// Shards are all shards of the stream by id. The caller must not change the slice.
func (s *Stream) Shards() []Shard { return s.shards }

// Log is the log of a shard, nil when the stream has no such shard.
func (s *Stream) Log(id record.ShardID) Log { return s.logs[id] }

// Bounds sums the records and bytes that the shards hold.
func (s *Stream) Bounds() (records, bytes int64) {
	for _, log := range s.logs {
		b := log.Bounds()
		records += int64(b.Next - b.Oldest)
		bytes += b.Bytes
	}
	return records, bytes
}

// Position is the smallest position that the open shards hold of a producer: all its records up
// to there are stored. ok is false when some shard has none.
func (s *Stream) Position(producer uint64) (position int64, ok bool) {
	for i, sh := range s.open {
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
