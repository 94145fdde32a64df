package disk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"

	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// seal ends a segment that is full. Its index is a convenience: it can be made again.
func (c *committer) seal() {
	l := c.log
	last := l.last()
	l.mu.Lock()
	last.size = c.head.length
	l.mu.Unlock()
	// Gives back what was preallocated; a failure costs space only.
	err := c.file.Truncate(c.head.length)
	err = errors.Join(err, c.file.Close(), l.writeIndex(last, &c.head))
	if err != nil {
		l.backend.options.Log.Warn("seal segment", "path", l.segmentPath(last), "error", err)
	}
	c.file = nil
}

// abandon checks, after a failure, that what was synced is still there, by reading it from a new
// file, and cuts off the rest. The segment is not written again.
func (c *committer) abandon() error {
	l := c.log
	last := l.last()
	name := l.segmentPath(last)
	f, err := l.backend.fs.OpenReadWrite(name)
	if err != nil {
		return fmt.Errorf("reopen %s: %w", name, err)
	}
	x := index{seed: c.head.seed, first: c.head.first, next: c.head.first, length: segmentHeader}
	found, err := scan(l.scanner(f, c.head.length, x.seed), x, c.head.next)
	if err != nil {
		return errors.Join(fmt.Errorf("verify %s: %w", name, err), f.Close())
	}
	l.report(name, found.lost)
	// A failure costs nothing: readers stop where the next segment begins.
	_ = f.Truncate(c.head.length)
	_ = f.Close()
	l.mu.Lock()
	last.size = c.head.length
	l.mu.Unlock()
	return nil
}

// create begins a new segment with the producers' positions, under its name only once it is
// durable. A segment without records is replaced, because it would have the same name.
func (c *committer) create() error {
	l := c.log
	h := header{
		shard: l.shard, incarnation: l.options.Incarnation, first: c.head.next,
		arrival: c.head.arrival, seed: rand.Uint32(), table: uint32(len(c.head.producers)),
	}
	name := path.Join(l.dir, segmentName(h.first))
	file, size, err := l.newSegment(name+tmpSuffix, h, c.head.producers)
	if err != nil {
		return fmt.Errorf("create segment %s: %w", name, err)
	}
	if err := l.backend.fs.Rename(name+tmpSuffix, name); err != nil {
		return errors.Join(fmt.Errorf("create segment: %w", err), file.Close())
	}
	if err := l.backend.fs.SyncDir(l.dir); err != nil {
		return errors.Join(fmt.Errorf("create segment %s: %w", name, err), file.Close())
	}
	c.file, c.reserved = file, 0
	c.head = index{
		seed: h.seed, first: h.first, next: h.first, length: size, arrival: h.arrival, floor: h.arrival,
		producers: c.head.producers, shard: h.shard, incarnation: h.incarnation,
	}
	l.show(&segment{first: h.first, arrival: h.arrival, seed: h.seed}, size)
	return nil
}

// newSegment writes a segment without records and syncs it.
func (l *Log) newSegment(name string, h header, table map[uint64]stream.Position) (vfs.File, int64, error) {
	file, err := l.backend.fs.Create(name)
	if err != nil {
		return nil, 0, err
	}
	b := appendTable(h.append(nil), h, table)
	_, err = file.WriteAt(b, 0)
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, int64(len(b)), nil
}

// appendTable adds the frames that hold the producers' positions.
func appendTable(b []byte, h header, table map[uint64]stream.Position) []byte {
	var body []byte
	flush := func() {
		f := frame{kind: kindTable, size: len(body)}
		f.First, f.Arrival = h.first, h.arrival
		start := len(b)
		b = append(b, zeros[:]...)
		f.put(b[start:], h.seed, body)
		b = append(b, body...)
		body = body[:0]
	}
	for id, p := range table {
		if len(body)+producerRecord > maxBody {
			flush()
		}
		body = appendProducer(body, id, p)
	}
	if len(body) > 0 {
		flush()
	}
	return b
}

// show makes s the last segment that readers see.
func (l *Log) show(s *segment, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	segments := make([]*segment, 0, len(l.segments)+1)
	for _, old := range l.segments {
		if old.first != s.first {
			segments = append(segments, old)
		}
	}
	l.segments = append(segments, s)
	l.size, l.entries = size, nil
}
