package disk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"

	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// seal ends a segment that is full. Its index is a convenience: it can be made again.
func (c *committer) seal() error {
	l := c.log
	if c.mode != stream.SyncNever {
		c.begin()
		if err := c.syncAll(); err != nil {
			return err
		}
	}
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
	return nil
}

// abandon checks, after a failure, that what readers may see is still there, by reading it from a
// new file, and cuts off the rest. The segment is not written again.
func (c *committer) abandon() error {
	l := c.log
	last := l.last()
	name := l.segmentPath(last)
	f, err := l.backend.fs.OpenReadWrite(name)
	if err != nil {
		return fmt.Errorf("reopen %s: %w", name, err)
	}
	x := index{seed: c.head.seed, first: c.head.first, next: c.head.first, length: c.head.start()}
	found, err := scan(l.scanner(f, c.safe.length, x.seed), x, c.safe.next)
	if err != nil {
		return errors.Join(fmt.Errorf("verify %s: %w", name, err), f.Close())
	}
	l.report(name, found.lost)
	// A failure costs nothing: readers stop where the next segment begins.
	_ = f.Truncate(c.safe.length)
	_ = f.Close()
	if c.safe.length < c.head.length {
		c.forget(&found)
	}
	l.mu.Lock()
	last.size = c.head.length
	l.mu.Unlock()
	return nil
}

// forget takes back what was acknowledged and not synced, because syncing it failed.
func (c *committer) forget(found *scanned) {
	l := c.log
	l.backend.options.Log.Error("acknowledged records are lost, because a sync at an interval failed",
		"shard", l.name, "from", int64(c.safe.next), "next", int64(c.head.next))
	c.head.length, c.head.next, c.head.entries = c.safe.length, c.safe.next, c.head.entries[:c.safe.entries]
	l.mu.Lock()
	defer l.mu.Unlock()
	c.head.producers = found.producers
	l.producers = found.producers
}

// create begins a new segment with the producers' positions, under its name only once it is
// durable, unless the log is never synced. A segment without records is replaced, because it would have the same name.
func (c *committer) create(sync bool) error {
	l := c.log
	whole, parts := c.head.producers.Split()
	h := header{
		shard: l.shard, incarnation: l.incarnation, first: c.head.next, arrival: c.head.arrival,
		seed: rand.Uint32(), table: uint32(len(whole)), parts: uint32(len(parts)),
	}
	key, top, err := l.encryptHeader(&h)
	if err != nil {
		return fmt.Errorf("create a segment of %s: %w", l.name, err)
	}
	name := path.Join(l.dir, segmentName(h.first))
	file, size, err := l.newSegment(name+tmpSuffix, appendParts(appendTable(top, h, whole), h, parts), sync)
	if err != nil {
		return fmt.Errorf("create segment %s: %w", name, err)
	}
	if err := l.backend.fs.Rename(name+tmpSuffix, name); err != nil {
		return errors.Join(fmt.Errorf("create segment: %w", err), file.Close())
	}
	if sync {
		if err := l.backend.fs.SyncDir(l.dir); err != nil {
			return errors.Join(fmt.Errorf("create segment %s: %w", name, err), file.Close())
		}
	}
	c.file, c.reserved, c.key = file, 0, key
	c.head = index{
		seed: h.seed, first: h.first, next: h.first, length: size, arrival: h.arrival, floor: h.arrival,
		producers: c.head.producers, shard: h.shard, incarnation: h.incarnation, encrypted: h.encrypted,
	}
	c.settled()
	if !sync {
		c.synced = 0
	}
	s := &segment{first: h.first, arrival: h.arrival, seed: h.seed, encrypted: h.encrypted}
	if key != nil {
		l.keys.put(s, key)
	}
	l.show(s, size)
	return nil
}

// newSegment writes a segment without records and syncs it.
func (l *Log) newSegment(name string, content []byte, sync bool) (vfs.File, int64, error) {
	file, err := l.backend.fs.Create(name)
	if err != nil {
		return nil, 0, err
	}
	_, err = file.WriteAt(content, 0)
	if err == nil && sync {
		err = file.Sync()
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, int64(len(content)), nil
}

// appendTable adds the frames that hold the producers' positions.
func appendTable(b []byte, h header, list []stream.Inherited) []byte {
	return appendPositions(b, h, kindTable, list, producerRecord, func(b []byte, i stream.Inherited) []byte {
		return appendProducer(b, i.Producer, i.Position)
	})
}

// appendParts adds those with the positions that hold for a part of the hash keys.
func appendParts(b []byte, h header, list []stream.Inherited) []byte {
	return appendPositions(b, h, kindParts, list, partRecord, appendPart)
}

func appendPositions(b []byte, h header, kind byte, list []stream.Inherited, size int, add func([]byte, stream.Inherited) []byte) []byte {
	for chunk := range slices.Chunk(list, maxBody/size) {
		var body []byte
		for _, i := range chunk {
			body = add(body, i)
		}
		f := frame{kind: kind}
		f.First, f.Arrival = h.first, h.arrival
		start := len(b)
		b = append(b, zeros[:]...)
		f.put(b[start:], h.seed, body)
		b = append(b, body...)
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
