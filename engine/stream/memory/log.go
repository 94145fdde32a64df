package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// Log is one shard.
type Log struct {
	backend *Backend
	stream  string
	name    string

	mu      sync.Mutex // guards what follows
	data    *shard
	options stream.ShardOptions
	hold    record.Ordinal
	updated chan struct{}
	closed  bool
	kept    record.Batch
	gaps    stream.Gaps
}

// Append implements stream.Log.
func (l *Log) Append(ctx context.Context, b *record.Batch) (stream.Appended, error) {
	wait, err := l.Enqueue(ctx, b)
	if err != nil {
		return stream.Appended{}, err
	}
	return wait()
}

// Enqueue implements stream.Log. The batch is stored at once.
func (l *Log) Enqueue(ctx context.Context, b *record.Batch) (func() (stream.Appended, error), error) {
	err := ctx.Err()
	if err == nil {
		err = l.checkFull(b)
	}
	var done stream.Appended
	if err == nil {
		done, err = l.store(b)
	}
	if err != nil {
		return nil, fmt.Errorf("append to %s: %w", l.name, err)
	}
	return func() (stream.Appended, error) { return done, nil }, nil
}

func (l *Log) checkFull(b *record.Batch) error {
	l.mu.Lock()
	limit := l.options.MaxDisk
	l.mu.Unlock()
	if held := l.backend.held(l.stream); limit > 0 && held >= limit {
		l.mu.Lock()
		defer l.mu.Unlock()
		last, known := l.data.producers.Get(b.Producer.ID)
		l.gaps.Missed(b, last, known)
		return fmt.Errorf("%w: consumers still need %d bytes, max_disk is %d", stream.ErrFull, held, limit)
	}
	return nil
}

// maxRecord is as of the disk backend.
const maxRecord = 16 << 20

func (l *Log) store(b *record.Batch) (stream.Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.data
	switch {
	case l.closed:
		return stream.Appended{}, stream.ErrClosed
	case d.sealed:
		return stream.Appended{}, stream.ErrSealed
	}
	for i := range b.Len() {
		if size := len(b.Body(i)) - len(b.Body(i+1)); size > maxRecord {
			return stream.Appended{}, fmt.Errorf("record %d of the batch has %d bytes, more than %d", i, size, maxRecord)
		}
	}
	if err := l.gaps.Check(b); err != nil {
		return stream.Appended{}, err
	}
	arrival := max(d.arrival, l.backend.now().UnixMilli())
	done := stream.Appended{First: d.next, Count: b.Len(), Arrival: arrival}
	f := stream.Frame{First: d.next, Arrival: arrival, Producer: b.Producer}
	fresh, from := b, 0
	if id := b.Producer.ID; id != 0 {
		last, known := d.producers.Get(id)
		if epoch := d.producers.Epoch(id); b.Producer.Epoch < epoch {
			return stream.Appended{}, fmt.Errorf("epoch %d after %d: %w", b.Producer.Epoch, epoch, stream.ErrFenced)
		}
		f.Position = b.End
		if known {
			f.Position = max(b.End, last.Value)
		}
		fresh, from = d.producers.Fresh(b, &l.kept, last.Value, known)
		done.Count = fresh.Len() - from
		done.Skipped = b.Len() - done.Count
		d.producers.Set(id, stream.Position{Epoch: b.Producer.Epoch, Value: f.Position})
	}
	f.Count, f.Body = done.Count, bytes.Clone(fresh.Body(from))
	if f.Count > 0 {
		d.frames = append(d.frames, f)
		d.next, d.arrival, d.bytes = f.Next(), arrival, d.bytes+int64(len(f.Body))
		l.tell()
	}
	return done, nil
}

// Read implements stream.Log.
func (l *Log) Read(ctx context.Context, from record.Ordinal, buf *stream.Buffer) ([]stream.Frame, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.data
	switch {
	case l.closed:
		return nil, fmt.Errorf("read %s: %w", l.name, stream.ErrClosed)
	case from < l.oldest(l.backend.now()):
		return nil, fmt.Errorf("read %s from record %d: %w", l.name, from, stream.ErrTrimmed)
	case from > d.next:
		return nil, fmt.Errorf("read %s from record %d: the shard ends at %d", l.name, from, d.next)
	}
	limit := buf.Max
	if limit <= 0 {
		limit = 1 << 20
	}
	buf.Frames = buf.Frames[:0]
	for _, f := range d.frames[sort.Search(len(d.frames), func(i int) bool { return d.frames[i].Next() > from }):] {
		if limit -= len(f.Body); limit < 0 && len(buf.Frames) > 0 {
			break
		}
		buf.Frames = append(buf.Frames, f)
	}
	return buf.Frames, nil
}

// Seek implements stream.Log.
func (l *Log) Seek(ctx context.Context, t time.Time) (record.Ordinal, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.seek(t.UnixMilli()), l.oldest(l.backend.now())), ctx.Err()
}

func (l *Log) seek(t int64) record.Ordinal {
	frames := l.data.frames
	i := sort.Search(len(frames), func(i int) bool { return frames[i].Arrival >= t })
	if i == len(frames) {
		return l.data.next
	}
	return frames[i].First
}

// oldest is the first record that readers see. mu must be held.
func (l *Log) oldest(now time.Time) record.Ordinal {
	cutoff := l.options.Hidden
	if l.options.Retention > 0 {
		cutoff = max(cutoff, now.Add(-l.options.Retention).UnixMilli())
	}
	return min(max(l.data.trimmed, min(l.seek(cutoff), l.hold)), l.data.next)
}

// Trim implements stream.Log.
func (l *Log) Trim(_ context.Context, before record.Ordinal) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.data.trimmed = max(l.data.trimmed, min(before, l.hold, l.data.next))
	return nil
}

// tidy forgets the frames that nobody may see.
func (l *Log) tidy(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.oldest(now)
	i := slices.IndexFunc(l.data.frames, func(f stream.Frame) bool { return f.Next() > oldest })
	if i < 0 {
		i = len(l.data.frames)
	}
	for _, f := range l.data.frames[:i] {
		l.data.bytes -= int64(len(f.Body))
	}
	l.data.trimmed = max(l.data.trimmed, oldest)
	l.data.frames = slices.Clone(l.data.frames[i:])
}

// SetHold implements stream.Log.
func (l *Log) SetHold(from record.Ordinal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold = from
}

// held is how many bytes are held for consumers.
func (l *Log) held() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum int64
	for i := len(l.data.frames) - 1; i >= 0 && l.data.frames[i].Next() > l.hold; i-- {
		sum += int64(len(l.data.frames[i].Body))
	}
	return sum
}

// Bounds implements stream.Log.
func (l *Log) Bounds() stream.Bounds {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.data
	return stream.Bounds{Oldest: l.oldest(l.backend.now()), Next: d.next, Closed: d.sealed, Arrival: d.arrival, Bytes: d.bytes}
}

// Position implements stream.Log.
func (l *Log) Position(producer uint64) (stream.Position, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.data.producers.Get(producer)
}

// Producers implements stream.Log.
func (l *Log) Producers() []stream.Inherited {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.data.producers.List()
}

// Seal implements stream.Log.
func (l *Log) Seal(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("seal %s: %w", l.name, stream.ErrClosed)
	}
	if !l.data.sealed {
		l.data.sealed = true
		l.tell()
	}
	return ctx.Err()
}

// Configure implements stream.Log.
func (l *Log) Configure(o stream.ShardOptions) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.options = o
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

// tell wakes who waits for Updated. mu must be held.
func (l *Log) tell() {
	if l.updated != nil {
		close(l.updated)
		l.updated = nil
	}
}

func (l *Log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.hold = stream.NoHold
		if l.updated != nil {
			close(l.updated)
		}
	}
}
