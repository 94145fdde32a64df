package disk

import (
	"context"
	"fmt"
	"path"
	"sync"
	"sync/atomic"
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

// Log is one shard: its segments, and a committer that appends to the last of them.
type Log struct {
	backend *Backend
	stream  *streamDir
	// name is for messages: stream/shard.
	name        string
	dir         string
	shard       record.ShardID
	incarnation uint64
	settings    atomic.Pointer[settings]

	queue  queue
	commit *committer
	cursor cursors
	cache  viewCache
	keys   keyCache
	slots  sync.RWMutex // guards the key slots in the segments' headers

	mu sync.RWMutex // guards what readers see, all below
	// segments rise; the committer appends to the last. The slice is replaced, not changed.
	segments []*segment
	next     record.Ordinal
	arrival  int64
	// size is how many bytes of the last segment are durable, entries what is known of them.
	size      int64
	entries   []entry
	producers *stream.Producers
	updated   chan struct{}
	sealed    bool
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
	// encrypted is that of the segment, valid for the last one only.
	encrypted bool
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
	err := checkSize(b)
	if err == nil {
		err = l.checkOpen()
	}
	if err == nil {
		if err = l.checkFull(); err != nil {
			l.queue.missed(&request{log: l, batch: b})
		}
	}
	var wait func() (stream.Appended, error)
	if err == nil {
		wait, err = l.request(ctx, doAppend, b)
	}
	if err != nil {
		return nil, fmt.Errorf("append to %s: %w", l.name, err)
	}
	return wait, nil
}

// request queues what the committer is to do.
func (l *Log) request(ctx context.Context, do action, b *record.Batch) (func() (stream.Appended, error), error) {
	r := l.backend.requests.Get().(*request)
	r.log, r.do, r.batch, r.sum = l, do, b, l.sumBatch(b)
	if err := l.queue.put(ctx, r); err != nil {
		r.log, r.batch, r.sum = nil, nil, sum{}
		l.backend.requests.Put(r)
		return nil, err
	}
	return r.wait, nil
}

// checkOpen refuses appends to a sealed shard at once. Those that are queued when it is sealed are
// refused by the committer.
func (l *Log) checkOpen() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.sealed && !l.closed {
		return stream.ErrSealed
	}
	return nil
}

// Seal implements stream.Log.
func (l *Log) Seal(ctx context.Context) error { return l.order(ctx, doSeal, "seal") }

// Flush syncs what was acknowledged before the call, which matters when SyncMode is not always.
func (l *Log) Flush(ctx context.Context) error { return l.order(ctx, doSync, "sync") }

// order has the committer do something and waits.
func (l *Log) order(ctx context.Context, do action, what string) error {
	wait, err := l.request(ctx, do, &record.Batch{})
	if err == nil {
		_, err = wait()
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, l.name, err)
	}
	return nil
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
	if limit := l.settings.Load().maxDisk; limit > 0 {
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
	return l.producers.Get(producer)
}

// Producers implements stream.Log.
func (l *Log) Producers() []stream.Inherited {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.producers.List()
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
	b := stream.Bounds{Oldest: min(oldest, l.next), Next: l.next, Closed: l.sealed, Arrival: l.arrival, Bytes: l.size}
	for _, s := range l.segments[:len(l.segments)-1] {
		b.Bytes += s.size
	}
	return b
}

// close waits for the queued appends and closes the last segment.
func (l *Log) close() error {
	if !l.queue.close() {
		return nil
	}
	l.commit.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.stream.held.Add(-l.held)
	l.held = 0
	if l.updated != nil {
		close(l.updated)
	}
	return nil
}

// start has c append from now on.
func (l *Log) start(c *committer) { l.commit, l.queue.run = c, c.run }

func (l *Log) now() int64 { return l.backend.options.Now().UnixMilli() }

// expiry caches where retention stands: all records from ordinal on arrived at or after arrival.
type expiry struct {
	ordinal record.Ordinal
	arrival int64
}

// cutoff is the arrival time before which records are out of sight.
func (l *Log) cutoff(now time.Time) int64 {
	s := l.settings.Load()
	if s.retention <= 0 {
		return s.hidden
	}
	return max(s.hidden, now.Add(-s.retention).UnixMilli())
}
