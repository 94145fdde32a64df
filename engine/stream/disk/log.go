package disk

import (
	"context"
	"fmt"
	"path"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

const (
	// maxQueued bounds the bytes that wait for the committer; Enqueue waits beyond it.
	maxQueued = 32 << 20
	// maxBatch bounds a batch, so that offsets within a segment fit 32 bits.
	maxBatch = 1 << 30
)

// Log is one shard: its segments, and a goroutine that appends to the last of them.
type Log struct {
	backend *Backend
	stream  *streamDir
	// name is for messages: stream/shard.
	name    string
	dir     string
	shard   record.ShardID
	options stream.ShardOptions

	queue  queue
	done   chan struct{}
	cursor cursors
	cache  viewCache

	mu sync.RWMutex // guards what readers see, all below
	// segments rise; the committer appends to the last. The slice is replaced, not changed.
	segments []*segment
	next     record.Ordinal
	arrival  int64
	// size is how many bytes of the last segment are durable, entries what is known of them.
	size      int64
	entries   []entry
	producers map[uint64]stream.Position
	updated   chan struct{}
	closed    bool

	trimmed record.Ordinal
	hold    record.Ordinal
	held    int64
	expiry  expiry
	// removing lets one caller at a time delete segments.
	removing sync.Mutex
}

// segment is a segment file. Only the last one grows.
type segment struct {
	first record.Ordinal
	// size of the file when it was sealed.
	size int64
	// arrival is that of the last record before the segment; -1 means that nobody looked yet.
	// Log.mu guards it.
	arrival int64
	// seed of the segment, valid for the last one only: others are read when needed.
	seed uint32
}

// last is the segment that the committer appends to.
func (l *Log) last() *segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.segments[len(l.segments)-1]
}

func segmentName(first record.Ordinal) string { return fmt.Sprintf("%020d.seg", int64(first)) }
func indexName(first record.Ordinal) string   { return fmt.Sprintf("%020d.idx", int64(first)) }

func (l *Log) segmentPath(s *segment) string { return path.Join(l.dir, segmentName(s.first)) }
func (l *Log) indexPath(s *segment) string   { return path.Join(l.dir, indexName(s.first)) }

// Append implements stream.Log.
func (l *Log) Append(ctx context.Context, b *record.Batch) (stream.Appended, error) {
	wait, err := l.Enqueue(ctx, b)
	if err != nil {
		return stream.Appended{}, err
	}
	return wait()
}

// Enqueue implements stream.Log.
func (l *Log) Enqueue(ctx context.Context, b *record.Batch) (func() (stream.Appended, error), error) {
	if err := checkSize(b); err != nil {
		return nil, fmt.Errorf("append to %s: %w", l.name, err)
	}
	if err := l.checkFull(); err != nil {
		return nil, fmt.Errorf("append to %s: %w", l.name, err)
	}
	r := l.backend.requests.Get().(*request)
	r.log, r.batch = l, b
	if err := l.queue.put(ctx, r); err != nil {
		r.log, r.batch = nil, nil
		l.backend.requests.Put(r)
		return nil, fmt.Errorf("append to %s: %w", l.name, err)
	}
	return r.wait, nil
}

// checkSize refuses what does not fit a frame.
func checkSize(b *record.Batch) error {
	if b.Size() <= maxBody {
		return nil
	}
	if b.Size() > maxBatch {
		return fmt.Errorf("a batch of %d bytes is larger than %d", b.Size(), maxBatch)
	}
	for i := range b.Len() {
		if size := len(b.Body(i)) - len(b.Body(i+1)); size > maxBody {
			return fmt.Errorf("record %d of the batch has %d bytes, more than %d", i, size, maxBody)
		}
	}
	return nil
}

func (l *Log) checkFull() error {
	if limit := l.options.MaxDisk; limit > 0 {
		if held := l.stream.held.Load(); held >= limit {
			return fmt.Errorf("%w: consumers still need %d bytes, max_disk is %d", stream.ErrFull, held, limit)
		}
	}
	return l.backend.checkFull()
}

// Position implements stream.Log.
func (l *Log) Position(producer uint64) (stream.Position, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	p, ok := l.producers[producer]
	return p, ok
}

// Updated implements stream.Log.
func (l *Log) Updated() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.updated == nil {
		l.updated = make(chan struct{})
		if l.closed {
			close(l.updated)
		}
	}
	return l.updated
}

// tell wakes who waits for Updated. Log.mu must be held.
func (l *Log) tell() {
	if l.updated != nil {
		close(l.updated)
		l.updated = nil
	}
}

// Bounds implements stream.Log.
func (l *Log) Bounds() stream.Bounds {
	oldest := l.oldest(l.backend.options.Now())
	l.mu.RLock()
	defer l.mu.RUnlock()
	b := stream.Bounds{Oldest: min(oldest, l.next), Next: l.next, Bytes: l.size}
	for _, s := range l.segments[:len(l.segments)-1] {
		b.Bytes += s.size
	}
	return b
}

// close waits for the queued appends and ends the committer.
func (l *Log) close() error {
	l.queue.close()
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.stream.held.Add(-l.held)
	l.held = 0
	if l.updated != nil {
		close(l.updated)
	}
	return nil
}

// start publishes what recovery found and starts the committer.
func (l *Log) start(c *committer) {
	l.queue.wake = make(chan struct{}, 1)
	l.done = make(chan struct{})
	go c.run()
}

func (l *Log) now() int64 { return l.backend.options.Now().UnixMilli() }

// expiry caches where retention stands: all records from ordinal on arrived at or after arrival.
type expiry struct {
	ordinal record.Ordinal
	arrival int64
}

func (l *Log) cutoff(now time.Time) int64 {
	if l.options.Retention <= 0 {
		return 0
	}
	return now.Add(-l.options.Retention).UnixMilli()
}
