package disk

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// openLog finds the segments of a shard and makes the last one ready for appends. Only the last
// one is read, and of it only what an orderly close did not vouch for.
func openLog(b *Backend, s *streamDir, name string, id record.ShardID, o stream.ShardOptions) (*Log, error) {
	l := &Log{
		backend: b, stream: s, shard: id, options: o, hold: stream.NoHold,
		name: name + "/" + id.String(),
		dir:  path.Join(b.streamPath(name), fmt.Sprintf("%012d", uint32(id))),
	}
	if err := mkdir(b.fs, l.dir); err != nil {
		return nil, err
	}
	if err := l.list(); err != nil {
		return nil, err
	}
	c := &committer{log: l}
	if err := c.restore(); err != nil {
		return nil, err
	}
	l.start(c)
	return l, nil
}

// list finds the segments and removes what a crash left half done.
func (l *Log) list() error {
	fsys := l.backend.fs
	names, err := fsys.List(l.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		file := path.Join(l.dir, n)
		if strings.HasSuffix(n, tmpSuffix) {
			if err := fsys.Remove(file); err != nil {
				return err
			}
			continue
		}
		first, ok := parseSegmentName(n)
		if !ok {
			continue
		}
		size, err := fsys.Size(file)
		if err != nil {
			return err
		}
		l.segments = append(l.segments, &segment{first: first, size: size, arrival: -1})
	}
	// A name that was never synced must not vanish once its records were shown.
	return fsys.SyncDir(l.dir)
}

func parseSegmentName(name string) (record.Ordinal, bool) {
	digits, ok := strings.CutSuffix(name, ".seg")
	if !ok || len(digits) != 20 {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return record.Ordinal(n), err == nil && n >= 0
}

// restore brings the committer to the end of the log.
func (c *committer) restore() error {
	l := c.log
	if len(l.segments) == 0 {
		c.head = index{arrival: l.options.MinArrival, producers: map[uint64]stream.Position{}}
		l.producers, l.arrival = c.head.producers, c.head.arrival
		return c.create()
	}
	last := len(l.segments) - 1
	found, ok, err := l.recoverSegment(last)
	if err != nil {
		return err
	}
	c.head = found.index
	c.head.arrival = max(c.head.arrival, l.options.MinArrival)
	l.next, l.arrival, l.producers = c.head.next, c.head.arrival, c.head.producers
	if !ok {
		// How many records the segment held is unknown; it cannot be more than it has bytes.
		s := l.segments[last]
		c.head.next = s.first + record.Ordinal(max(s.size, 1))
		l.next = c.head.next
		return c.create()
	}
	return c.resume(found)
}

// resume opens the last segment for appends behind its last valid frame.
func (c *committer) resume(found scanned) error {
	l := c.log
	s := l.segments[len(l.segments)-1]
	name := l.segmentPath(s)
	f, err := l.backend.fs.OpenReadWrite(name)
	if err != nil {
		return err
	}
	if found.torn {
		l.backend.options.Log.Info("dropped a torn tail", "path", name, "byte", found.length, "bytes", s.size-found.length)
	}
	l.report(name, found.lost)
	if s.size != found.length {
		// A file that lost bytes which were durable gets zeros for them, which readers will
		// find damaged.
		err = f.Truncate(found.length)
	}
	if err == nil {
		err = settle(f, found.group, found.length)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("recover %s: %w", name, err), f.Close())
	}
	c.file = f
	s.seed, s.arrival = found.seed, found.floor
	l.size, l.entries = found.length, found.entries
	return nil
}

// settle makes the last group durable before anyone sees it: the process before may have died
// ahead of its sync, or the sync may have failed. After a failed sync the kernel takes the bytes
// for written, and only bytes that are written anew are sure to be synced.
func settle(f vfs.File, from, to int64) error {
	buf := make([]byte, min(max(to-from, 0), windowStep))
	for from < to {
		b := buf[:min(int64(len(buf)), to-from)]
		if err := readFull(f, b, from); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, from); err != nil {
			return err
		}
		from += int64(len(b))
	}
	return f.Sync()
}

// recoverSegment reads to the end of segment i as if it were the last. ok is false when its
// header is damaged: then what is known comes from the segments before.
func (l *Log) recoverSegment(i int) (found scanned, ok bool, err error) {
	if i < 0 {
		return scanned{index: index{producers: map[uint64]stream.Position{}}}, false, nil
	}
	s := l.segments[i]
	f, h, err := l.openSegment(s)
	if bad := (*headerError)(nil); errors.As(err, &bad) {
		l.report(l.segmentPath(s), []hole{{from: s.first, next: s.first + record.Ordinal(max(s.size, 1))}})
		found, _, err = l.recoverSegment(i - 1)
		return found, false, err
	}
	if err != nil {
		return found, false, err
	}
	defer f.Close()
	x := h.index()
	if old, err := l.readIndex(s); err == nil && old.seed == h.seed {
		x = *old
	}
	limit := unsealed
	if i+1 < len(l.segments) {
		limit = l.segments[i+1].first
	}
	found, err = scan(l.scanner(f, s.size, h.seed), x, limit)
	if err != nil {
		return found, false, fmt.Errorf("recover %s: %w", l.segmentPath(s), err)
	}
	if x.length > s.size {
		found.lost = append(found.lost, hole{offset: s.size, from: x.next, next: x.next})
	}
	if x.length == segmentHeader && found.table < h.table {
		return found, true, l.inherit(&found, i)
	}
	return found, true, nil
}

// inherit adds the positions that the segments before i hold, when those at the start of i are
// damaged.
func (l *Log) inherit(found *scanned, i int) error {
	before, _, err := l.recoverSegment(i - 1)
	if err != nil {
		return err
	}
	for id, p := range before.producers {
		if _, newer := found.producers[id]; !newer {
			found.producers[id] = p
		}
	}
	return nil
}
