package disk

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/vfs"
)

// committer appends to a log. While it syncs one group of batches the next gathers in the queue,
// so that many small writers share a sync and a single one waits for nobody.
//
// Everything in it belongs to the goroutine that the queue runs, one at a time. What it has written but not published shows nowhere else.
type committer struct {
	log *Log
	// file is the last segment, nil after a failure.
	file vfs.File
	// key of the last segment; nil when it is not encrypted, or was not begun by this process.
	key *seal.SegmentKey
	// head describes the last segment up to the end of what was acknowledged.
	head index
	// safe is the part of the segment that readers may see, and what a failure leaves: all of head,
	// unless the log is synced at intervals.
	safe mark
	// synced is up to where the segment is known to be durable.
	synced int64
	// reserved is up to where space was preallocated.
	reserved int64
	// timer runs while a sync at an interval is due.
	timer *time.Timer

	// The group being written: mode says when it is acknowledged, offset is where the next byte
	// goes, the rest is what was added.
	mode    stream.SyncMode
	codec   codec
	offset  int64
	next    record.Ordinal
	arrival int64
	entries int
	ended   bool
	touched map[uint64]stream.Position
	kept    record.Batch
	// buf holds headers and small bodies, parts what is to be written next, in pieces: bodies, and the
	// parts of buf in front of listed. staged is how many bytes are to be written.
	buf    []byte
	parts  [][]byte
	listed int
	staged int
	// spare is the memory of the group before.
	spare []*request
	// aad is where the header of a frame is made that its seal covers.
	aad [frameHeader]byte
}

// mark is a place in a segment.
type mark struct {
	length  int64
	next    record.Ordinal
	entries int
}

// settled notes that all of head is durable.
func (c *committer) settled() {
	c.synced = c.head.length
	c.safe = mark{length: c.head.length, next: c.head.next, entries: len(c.head.entries)}
}

// run commits groups until nothing is left to do.
func (c *committer) run() {
	for {
		group, due, more := c.log.queue.take(c.spare[:0])
		if !more {
			return
		}
		if due {
			c.timer = nil
		}
		c.commit(group, due)
		clear(group)
		c.spare = group
	}
}

// commit stores a group. With sync it also syncs what was written before.
func (c *committer) commit(group []*request, sync bool) {
	space := spaceFor(group)
	if err := c.log.backend.claimSpace(space); err != nil {
		c.log.queue.refuse(group, fmt.Errorf("append to %s: %w", c.log.name, err))
		if !sync {
			return
		}
		group, space = nil, 0
	}
	defer c.log.backend.freeClaim(space)
	buf := c.log.backend.buffers.Get().(*[]byte)
	c.buf = (*buf)[:0]
	c.unstage()
	err := c.store(group, sync)
	c.unstage()
	*buf = c.buf[:0]
	c.buf = nil
	c.log.backend.buffers.Put(buf)
	if err != nil {
		c.fail(group, err)
		return
	}
	c.retire()
	for _, r := range group {
		r.finish(nil)
	}
	if err := c.log.backend.refreshFull(); err != nil {
		c.log.backend.options.Log.Warn("free space is unknown", "error", err)
	}
}

// spaceFor is how much room a group takes at most. One with an order in it always passes: what an
// order writes is small, and a shard must be sealed on a full disk too.
func spaceFor(group []*request) (bytes int64) {
	for _, r := range group {
		if r.do != doAppend {
			return 0
		}
		bytes += int64(frameHeader + r.batch.Size())
	}
	return bytes
}

// store writes a group, and syncs it if it must. After an error nothing of it counts.
func (c *committer) store(group []*request, sync bool) error {
	s := c.log.settings.Load()
	c.mode, c.codec = s.sync, s.compression
	c.entries = len(c.head.entries)
	if err := c.ready(group); err != nil {
		return err
	}
	c.begin()
	for _, r := range group {
		sync = sync || r.do == doSeal || r.do == doSync
		if err := c.stage(r); err != nil {
			return err
		}
	}
	if err := c.flush(); err != nil {
		return err
	}
	if c.mode == stream.SyncAlways || sync {
		return c.syncAll()
	}
	if c.offset > c.head.length {
		c.publish(false)
	}
	return nil
}

// retire gives back the file of a sealed shard, which takes no more: a stream may have thousands.
func (c *committer) retire() {
	if !c.head.ended || c.file == nil {
		return
	}
	if err := c.seal(); err != nil {
		c.log.backend.options.Log.Warn("close the last segment", "shard", c.log.name, "error", err)
	}
}

// syncAll makes durable what was written, and shows it.
func (c *committer) syncAll() error {
	if c.offset == c.synced {
		return nil
	}
	if f := c.log.backend.options.faults; !f.ackBeforeSync && !(f.sealBeforeSync && c.ended) {
		if err := c.file.Sync(); err != nil {
			return err
		}
	}
	c.publish(true)
	return nil
}

// ready makes sure that there is a segment with room.
func (c *committer) ready(group []*request) error {
	switch {
	case c.head.ended:
		return nil
	case c.file == nil:
		if err := c.abandon(); err != nil {
			return err
		}
		return c.create(true)
	case c.head.length >= c.log.backend.options.SegmentSize, c.mayRoll(group), c.mustRoll():
		if err := c.seal(); err != nil {
			return err
		}
		return c.create(c.mode != stream.SyncNever)
	}
	return nil
}

// mayRoll reports whether a new segment was asked for. One without records is no use: its successor
// would have the same name.
func (c *committer) mayRoll(group []*request) bool {
	return c.head.next > c.head.first && slices.ContainsFunc(group, func(r *request) bool { return r.do == doRoll })
}

// mustRoll reports whether the segment cannot be gone on with. Encryption was switched on or off, and
// a segment is one or the other; or another process began it: its key must not seal again what
// stood behind a torn tail, and nobody knows which counters were used.
func (c *committer) mustRoll() bool {
	return c.log.settings.Load().encrypt != c.head.encrypted || c.head.encrypted && c.key == nil
}

func (c *committer) begin() {
	c.offset, c.next, c.ended = c.head.length, c.head.next, c.head.ended
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
	// Only this goroutine changes the producers, so it needs no lock to read them.
	return c.head.producers.Get(id)
}

// stage adds what a request asks for to the group.
func (c *committer) stage(r *request) error {
	switch {
	case r.do == doSeal && !c.ended:
		c.ended = true
		f := frame{kind: kindEnd, group: uint32(c.synced)}
		f.First, f.Arrival = c.next, c.head.arrival
		return c.put(&f, nil)
	case r.do != doAppend:
		return nil
	case c.ended:
		r.err = fmt.Errorf("append to %s: %w", c.log.name, stream.ErrSealed)
		return nil
	}
	r.result.First, r.result.Arrival = c.next, c.arrival
	if r.batch.Producer.ID == 0 {
		r.result.Count = r.batch.Len()
		return c.frames(r.batch, 0, 0, r.sum)
	}
	return c.stageOnce(r)
}

// stageOnce adds a producer's batch, without the records that the shard already has.
func (c *committer) stageOnce(r *request) error {
	b := r.batch
	last, known := c.position(b.Producer.ID)
	epoch := max(last.Epoch, c.head.producers.Epoch(b.Producer.ID))
	if b.Producer.Epoch < epoch {
		r.err = fmt.Errorf("append to %s: epoch %d after %d: %w", c.log.name, b.Producer.Epoch, epoch, stream.ErrFenced)
		return nil
	}
	skip, end := 0, b.End
	if !c.log.backend.options.faults.noProducerCheck {
		if known {
			end = max(end, last.Value)
		}
		b, skip = c.head.producers.Fresh(b, &c.kept, last.Value, known)
	}
	r.result.Count = b.Len() - skip
	r.result.Skipped = r.batch.Len() - r.result.Count
	if r.result.Count == 0 && known && end == last.Value && b.Producer.Epoch == last.Epoch {
		return nil
	}
	c.touched[b.Producer.ID] = stream.Position{Epoch: b.Producer.Epoch, Value: end}
	if r.result.Skipped > 0 {
		r.sum = sum{}
	}
	return c.frames(b, skip, end, r.sum)
}

// frames writes the records of b from index i on, in as few frames as fit. A batch of a producer
// without records becomes a frame without records, which moves the position. whole is the checksum of
// all of b, if it is known.
func (c *committer) frames(b *record.Batch, i int, end int64, whole sum) error {
	for first := true; i < b.Len() || first && b.Producer.ID != 0; first = false {
		body := b.Body(i)
		n, j := len(body), b.Len()
		if n > maxBody {
			j = i + sort.Search(b.Len()-i, func(k int) bool { return n-len(b.Body(i+k+1)) > maxBody })
			body = body[:n-len(b.Body(j))]
		}
		f := frame{kind: kindData, group: uint32(c.synced), body: whole}
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

// publish makes the group part of the log. Readers see it if it was synced, or never will be.
func (c *committer) publish(synced bool) {
	l := c.log
	if c.next > c.head.next {
		c.head.arrival = c.arrival
	}
	c.head.length, c.head.next, c.head.ended = c.offset, c.next, c.ended
	show := synced || c.mode == stream.SyncNever
	if synced {
		c.synced = c.head.length
	}
	if show {
		c.safe = mark{length: c.head.length, next: c.head.next, entries: len(c.head.entries)}
	}
	l.mu.Lock()
	for id, p := range c.touched {
		c.head.producers.Set(id, p)
	}
	if show {
		l.advance(&c.head)
	}
	l.mu.Unlock()
	switch {
	case synced && c.timer != nil:
		c.timer.Stop()
		c.timer = nil
	case !show && c.timer == nil:
		c.timer = time.AfterFunc(l.settings.Load().every, l.queue.remind)
	}
}

// advance shows readers all of the last segment that x describes. Log.mu must be held.
func (l *Log) advance(x *index) {
	news := l.next != x.next || l.sealed != x.ended
	l.addHeld(x.length - l.size)
	l.size, l.next, l.arrival, l.entries, l.sealed = x.length, x.next, x.arrival, x.entries, x.ended
	if news {
		l.tell()
	}
}

// fail gives up the segment: what the file holds behind its synced end is unknown now. Everything
// that waits gets the error too, because a later batch of a producer must not be stored
// when an earlier one is not.
func (c *committer) fail(group []*request, err error) {
	if c.file != nil {
		if vfs.IsFull(err) {
			// What did not fit would take the room that documents need. A failure costs only that.
			_ = c.file.Truncate(c.head.length)
		}
		err = errors.Join(err, c.file.Close())
		c.file = nil
	}
	c.head.entries = c.head.entries[:min(c.entries, len(c.head.entries))]
	c.log.backend.options.Log.Error("append failed, the segment is given up", "shard", c.log.name, "error", err)
	if c.safe.length < c.head.length {
		// If that fails too, the next append tries again.
		err = errors.Join(err, c.abandon())
	}
	if vfs.IsFull(err) {
		err = fmt.Errorf("%w: %w", stream.ErrFull, err)
	}
	c.log.queue.refuse(group, fmt.Errorf("append to %s: %w", c.log.name, err))
}

// close syncs what is not, and leaves an index of the last segment, so that the next open need not
// read it.
func (c *committer) close() {
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.file == nil {
		return
	}
	l := c.log
	last := l.last()
	c.begin()
	err := c.syncAll()
	if err == nil {
		err = c.file.Truncate(c.head.length)
	}
	err = errors.Join(err, c.file.Close())
	if err == nil {
		err = l.writeIndex(last, &c.head)
	}
	if err != nil {
		l.backend.options.Log.Warn("close segment", "path", l.segmentPath(last), "error", err)
	}
}
