package disk

import (
	"errors"
	"fmt"
	"sort"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

const (
	// gather is up to which size bodies are copied into one write; larger ones are written from
	// the batch.
	gather = 32 << 10
	// flushAt bounds the buffer of small frames.
	flushAt = 256 << 10
	// ahead is how much space is reserved at a time, once a segment shows that it grows.
	ahead = 8 << 20
)

// committer appends to a log. While it syncs one group of batches the next gathers in the queue,
// so that many small writers share a sync and a single one waits for nobody.
//
// Everything in it belongs to its goroutine. What it has written but not synced shows nowhere else.
type committer struct {
	log *Log
	// file is the last segment, nil after a failure.
	file vfs.File
	// head describes the last segment up to its synced end.
	head index
	// reserved is up to where space was preallocated.
	reserved int64

	// The group being written: offset is where the next byte goes, staged what was added.
	offset  int64
	next    record.Ordinal
	arrival int64
	entries int
	touched map[uint64]stream.Position
	buf     []byte
	kept    record.Batch
}

// run commits groups until the queue is closed.
func (c *committer) run() {
	defer close(c.log.done)
	var spare []*request
	for range c.log.queue.wake {
		group, more := c.log.queue.take(spare[:0])
		if len(group) > 0 {
			c.commit(group)
			clear(group)
		}
		spare = group
		if !more || c.drained() {
			break
		}
	}
	c.close()
}

// drained reports whether the queue was closed and is empty.
func (c *committer) drained() bool {
	q := &c.log.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && len(q.requests) == 0
}

func (c *committer) commit(group []*request) {
	buf := c.log.backend.buffers.Get().(*[]byte)
	c.buf = (*buf)[:0]
	err := c.store(group)
	*buf = c.buf[:0]
	c.buf = nil
	c.log.backend.buffers.Put(buf)
	if err != nil {
		c.fail(group, err)
		return
	}
	for _, r := range group {
		r.finish(nil)
	}
	if err := c.log.backend.refreshFull(); err != nil {
		c.log.backend.options.Log.Warn("free space is unknown", "error", err)
	}
}

// store writes and syncs a group. After an error nothing of it counts.
func (c *committer) store(group []*request) error {
	c.entries = len(c.head.entries)
	if err := c.ready(); err != nil {
		return err
	}
	c.begin()
	for _, r := range group {
		if err := c.stage(r); err != nil {
			return err
		}
	}
	if err := c.flush(); err != nil {
		return err
	}
	if c.offset == c.head.length {
		return nil
	}
	if !c.log.backend.options.faults.ackBeforeSync {
		if err := c.file.Sync(); err != nil {
			return err
		}
	}
	c.publish()
	return nil
}

// ready makes sure that there is a segment with room.
func (c *committer) ready() error {
	switch {
	case c.file == nil:
		if err := c.abandon(); err != nil {
			return err
		}
		return c.create()
	case c.head.length >= c.log.backend.options.SegmentSize:
		c.seal()
		return c.create()
	}
	return nil
}

func (c *committer) begin() {
	c.offset, c.next = c.head.length, c.head.next
	c.arrival = max(c.head.arrival, c.log.now())
	c.entries = len(c.head.entries)
	if c.touched == nil {
		c.touched = map[uint64]stream.Position{}
	}
	clear(c.touched)
}

// position is a producer's, with what the group added.
func (c *committer) position(id uint64) (stream.Position, bool) {
	if p, ok := c.touched[id]; ok {
		return p, true
	}
	// Only this goroutine changes the map, so it needs no lock to read it.
	p, ok := c.head.producers[id]
	return p, ok
}

// stage adds a request's batch to the group, without the records that the shard already has.
func (c *committer) stage(r *request) error {
	b := r.batch
	r.result.First = c.next
	if b.Producer.ID == 0 {
		r.result.Count = b.Len()
		return c.frames(b, 0, 0)
	}
	last, known := c.position(b.Producer.ID)
	if known && b.Producer.Epoch < last.Epoch {
		r.err = fmt.Errorf("append to %s: epoch %d after %d: %w", c.log.name, b.Producer.Epoch, last.Epoch, stream.ErrFenced)
		return nil
	}
	skip, end := 0, b.End
	if known && !c.log.backend.options.faults.noProducerCheck {
		end = max(end, last.Value)
		skip, b = c.unknown(b, last.Value)
	}
	r.result.Count = b.Len() - skip
	r.result.Skipped = r.batch.Len() - r.result.Count
	if r.result.Count == 0 && known && end == last.Value && b.Producer.Epoch == last.Epoch {
		return nil
	}
	c.touched[b.Producer.ID] = stream.Position{Epoch: b.Producer.Epoch, Value: end}
	return c.frames(b, skip, end)
}

// unknown returns the batch, and the index in it, from which on the records are behind last.
// Positions rise, so these are the batch's end; if they do not, the records are copied together.
func (c *committer) unknown(b *record.Batch, last int64) (int, *record.Batch) {
	skip := 0
	for skip < b.Len() && b.Position(skip) <= last {
		skip++
	}
	for i := skip; i < b.Len(); i++ {
		if b.Position(i) > last {
			continue
		}
		c.kept.Reset()
		c.kept.Producer, c.kept.End = b.Producer, b.End
		for i := range b.Len() {
			if b.Position(i) > last {
				c.kept.AddFrom(b, i)
			}
		}
		return 0, &c.kept
	}
	return skip, b
}

// frames writes the records of b from index i on, in as few frames as fit. A batch of a producer
// without records becomes a frame without records, which moves the position.
func (c *committer) frames(b *record.Batch, i int, end int64) error {
	for first := true; i < b.Len() || first && b.Producer.ID != 0; first = false {
		body := b.Body(i)
		n, j := len(body), b.Len()
		if n > maxBody {
			j = i + sort.Search(b.Len()-i, func(k int) bool { return n-len(b.Body(i+k+1)) > maxBody })
			body = body[:n-len(b.Body(j))]
		}
		f := frame{kind: kindData, group: uint32(c.head.length), size: len(body)}
		f.First, f.Count, f.Arrival, f.Producer, f.Position = c.next, j-i, c.arrival, b.Producer, end
		if j < b.Len() && b.Producer.ID != 0 {
			f.Position = b.Position(j - 1)
		}
		if err := c.put(&f, body); err != nil {
			return err
		}
		i = j
	}
	return nil
}

// put adds a frame to the group.
func (c *committer) put(f *frame, body []byte) error {
	at := c.offset + int64(len(c.buf))
	c.head.add(f, at)
	start := len(c.buf)
	c.buf = append(c.buf, zeros[:]...)
	f.put(c.buf[start:], c.head.seed, body)
	c.next = f.Next()
	if len(body) <= gather {
		c.buf = append(c.buf, body...)
		if len(c.buf) < flushAt {
			return nil
		}
		return c.flush()
	}
	if err := c.flush(); err != nil {
		return err
	}
	return c.write(body)
}

var zeros [frameHeader]byte

func (c *committer) flush() error {
	if len(c.buf) == 0 {
		return nil
	}
	err := c.write(c.buf)
	c.buf = c.buf[:0]
	return err
}

func (c *committer) write(b []byte) error {
	end := c.offset + int64(len(b))
	if end > c.reserved && end > ahead/8 {
		// Space in one piece, and no search for blocks within a sync. Only a hint: if there is
		// no space, the write will say so.
		from := max(c.reserved, c.offset)
		c.reserved = min(end+ahead, max(c.log.backend.options.SegmentSize, end))
		_ = c.file.Preallocate(from, c.reserved-from)
	}
	if _, err := c.file.WriteAt(b, c.offset); err != nil {
		return err
	}
	c.offset = end
	return nil
}

// publish shows readers a group that was synced.
func (c *committer) publish() {
	l := c.log
	grown := c.offset - c.head.length
	fresh := c.next > c.head.next
	c.head.length, c.head.next = c.offset, c.next
	if fresh {
		c.head.arrival = c.arrival
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, p := range c.touched {
		c.head.producers[id] = p
	}
	l.size, l.next, l.arrival, l.entries = c.head.length, c.head.next, c.head.arrival, c.head.entries
	l.addHeld(grown)
	if fresh {
		l.tell()
	}
}

// fail gives up the segment: what the file holds behind its synced end is unknown now. Everything
// that waits gets the error too, because a later batch of a producer must not be stored
// when an earlier one is not.
func (c *committer) fail(group []*request, err error) {
	if c.file != nil {
		err = errors.Join(err, c.file.Close())
		c.file = nil
	}
	c.head.entries = c.head.entries[:min(c.entries, len(c.head.entries))]
	c.log.backend.options.Log.Error("append failed, the segment is given up", "shard", c.log.name, "error", err)
	if vfs.IsFull(err) {
		err = fmt.Errorf("%w: %w", stream.ErrFull, err)
	}
	err = fmt.Errorf("append to %s: %w", c.log.name, err)
	for _, r := range group {
		r.finish(err)
	}
	waiting, _ := c.log.queue.take(nil)
	for _, r := range waiting {
		r.finish(err)
	}
}

// close leaves an index of the last segment, so that the next open need not read it.
func (c *committer) close() {
	if c.file == nil {
		return
	}
	l := c.log
	last := l.last()
	err := c.file.Truncate(c.head.length)
	err = errors.Join(err, c.file.Close(), l.writeIndex(last, &c.head))
	if err != nil {
		l.backend.options.Log.Warn("close segment", "path", l.segmentPath(last), "error", err)
	}
}
