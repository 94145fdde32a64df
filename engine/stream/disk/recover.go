package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// openLog finds the segments of a shard and makes the last one ready for appends. Only the last
// one is read, and of it only what an orderly close did not vouch for.
func openLog(b *Backend, s *streamDir, name string, id record.ShardID, o stream.ShardOptions) (*Log, error) {
	l := &Log{
		backend: b, stream: s, shard: id, incarnation: o.Incarnation, hold: stream.NoHold,
		name: name + "/" + id.String(),
		dir:  shardPath(b.streamPath(name), id),
	}
	settings, err := b.settings(name, s, o)
	if err != nil && o.Encrypt {
		return nil, err
	}
	l.settings.Store(settings)
	if err := l.mkdir(o.MustExist); err != nil {
		return nil, err
	}
	if err := l.list(); err != nil {
		return nil, err
	}
	if len(l.segments) == 0 && o.MustExist {
		return nil, fmt.Errorf("all files of the shard are gone from %s: put them back from a copy of the data directory; without one the records of this shard are lost, and the stream can only be given up, with those of its other shards: millrace stream delete %s --yes --data %s", l.dir, name, b.dir)
	}
	c := &committer{log: l}
	if err := c.restore(o); err != nil {
		return nil, err
	}
	l.start(c)
	return l, nil
}

// mkdir makes sure that the shard's directory survives a crash, also if it was there already: the
// process before may have died, or failed, before it synced the name.
func (l *Log) mkdir(exists bool) error {
	fsys, dir := l.backend.fs, path.Dir(l.dir)
	if _, err := fsys.List(l.dir); errors.Is(err, fs.ErrNotExist) && !exists {
		if err := fsys.MkdirAll(l.dir); err != nil {
			return err
		}
		l.stream.names.made.Add(1)
	}
	return l.stream.names.sync(fsys, dir)
}

// names says which names of a stream's directories are known to be durable.
type names struct {
	// made counts the shards' directories that were made.
	made atomic.Int64

	mu sync.Mutex // held while names are synced, so that shards made meanwhile share the next sync
	// stream is set once the name of the stream's directory is durable, and synced up to which of
	// those made the shards' names are; one more than were made means that the first sync is done.
	stream bool
	shards int64
}

func (n *names) sync(fsys vfs.FS, dir string) error {
	want := n.made.Load() + 1
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.shards < want {
		want = n.made.Load() + 1
		if err := fsys.SyncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		n.shards = want
	}
	if !n.stream {
		if err := fsys.SyncDir(path.Dir(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		n.stream = true
	}
	return nil
}

func shardName(id record.ShardID) string                { return fmt.Sprintf("%012d", uint32(id)) }
func shardPath(stream string, id record.ShardID) string { return path.Join(stream, shardName(id)) }

// list finds the segments and removes what a crash left half done.
func (l *Log) list() error {
	fsys := l.backend.fs
	names, err := fsys.List(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
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
	if len(l.segments) == 0 {
		return nil
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
func (c *committer) restore(o stream.ShardOptions) error {
	l := c.log
	if f := l.backend.options.faults; f.noInheritance {
		o.Inherited = nil
	} else if f.noParentTime {
		o.MinArrival = 0
	}
	if len(l.segments) == 0 {
		c.head = index{arrival: o.MinArrival, producers: stream.NewProducers(o.Inherited)}
		l.producers, l.arrival = c.head.producers, c.head.arrival
		return c.create(true)
	}
	last := len(l.segments) - 1
	found, ok, err := l.recoverSegment(last)
	if err != nil {
		return err
	}
	c.head = found.index
	c.head.arrival = max(c.head.arrival, o.MinArrival)
	l.next, l.arrival, l.producers, l.sealed = c.head.next, c.head.arrival, c.head.producers, c.head.ended
	if !ok {
		c.head.next = l.beyond(l.segments[last])
		// If the shard was sealed, whoever knows will seal it again.
		c.head.ended, l.sealed = false, false
		l.next = c.head.next
		return c.create(true)
	}
	if err := l.checkKey(l.segments[last], found.encrypted); err != nil {
		return err
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
	c.settled()
	s.seed, s.arrival, s.encrypted = found.seed, found.floor, found.encrypted
	l.size, l.entries = found.length, found.entries
	if c.head.ended {
		s.size = found.length
		return c.rest(s)
	}
	return nil
}

// rest gives back the file of a shard that was found sealed.
func (c *committer) rest(s *segment) error {
	err := c.file.Close()
	c.file = nil
	if x, ierr := c.log.readIndex(s); ierr == nil && x.length == c.head.length {
		return err
	}
	if err := c.log.writeIndex(s, &c.head); err != nil {
		c.log.backend.options.Log.Warn("write index", "path", c.log.indexPath(s), "error", err)
	}
	return err
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

// beyond is a number that no record of a segment with a damaged header had. Its index, if there is
// one, knows how many there were; without it, there cannot have been more than the file has bytes.
func (l *Log) beyond(s *segment) record.Ordinal {
	next := s.first + record.Ordinal(max(s.size, 1))
	if x, err := l.readIndex(s); err == nil {
		next = max(next, x.next)
	}
	return next
}

// recoverSegment reads to the end of segment i as if it were the last. ok is false when its
// header is damaged: then what is known comes from its index, or from the segments before.
func (l *Log) recoverSegment(i int) (found scanned, ok bool, err error) {
	if i < 0 {
		return scanned{index: index{producers: stream.NewProducers(nil)}}, false, nil
	}
	s := l.segments[i]
	f, h, err := l.openSegment(s)
	if bad := (*headerError)(nil); errors.As(err, &bad) {
		l.report(l.segmentPath(s), []hole{{from: s.first, next: l.beyond(s)}})
		if x, err := l.readIndex(s); err == nil {
			return scanned{index: index{arrival: x.arrival, producers: x.producers}}, false, nil
		}
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
	if x.length == x.start() && (found.table < h.table || found.parts < h.parts) {
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
	for _, p := range before.producers.List() {
		if w, ok := found.producers.Get(p.Producer); !ok || w.Value < p.Position.Value {
			found.producers.Add(p)
		}
	}
	return nil
}
