package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"sync"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// maxIndex bounds an index file: a segment of 4 GiB and its producers.
const maxIndex = 256 << 20

// view is what a reader needs to know of a segment. It is never changed.
type view struct {
	segment     *segment
	path        string
	seed        uint32
	encrypted   bool
	first, next record.Ordinal
	// start and end bound the frames that were durable.
	start, end int64
	entries    []entry
}

// find returns the offset of a frame at or before the ordinal, and the ordinal it begins with.
func (v *view) find(at record.Ordinal) (record.Ordinal, int64) {
	i := sort.Search(len(v.entries), func(i int) bool { return v.entries[i].first > at })
	return v.entry(i - 1)
}

// findTime returns the offset of a frame before the first one that arrived at or after t.
func (v *view) findTime(t int64) (record.Ordinal, int64) {
	i := sort.Search(len(v.entries), func(i int) bool { return v.entries[i].arrival >= t })
	return v.entry(i - 1)
}

func (v *view) entry(i int) (record.Ordinal, int64) {
	if i < 0 {
		return v.first, v.start
	}
	return v.entries[i].first, v.entries[i].offset
}

func (v *view) corrupt(offset int64, from, next record.Ordinal, reason string) error {
	return &stream.CorruptError{Path: v.path, Offset: offset, From: from, Next: next, Reason: reason}
}

// view returns the segment that holds an ordinal.
func (l *Log) view(at record.Ordinal) (*view, error) {
	l.mu.RLock()
	segments := l.segments
	i := 0
	for j := len(segments) - 1; j > 0; j-- {
		if segments[j].first <= at {
			i = j
			break
		}
	}
	s := segments[i]
	if i == len(segments)-1 {
		v := &view{
			segment: s, path: l.segmentPath(s), seed: s.seed, first: s.first, next: l.next,
			start: headerSize(s.encrypted), end: l.size, entries: l.entries, encrypted: s.encrypted,
		}
		l.mu.RUnlock()
		return v, nil
	}
	next := segments[i+1].first
	l.mu.RUnlock()
	if v := l.cache.get(s); v != nil {
		return v, nil
	}
	x, err := l.loadIndex(s, next)
	if err != nil {
		return nil, err
	}
	size, err := l.backend.fs.Size(l.segmentPath(s))
	if err != nil {
		return nil, l.damaged(s, next, err)
	}
	v := &view{
		segment: s, path: l.segmentPath(s), seed: x.seed, first: s.first, next: next,
		start: x.start(), end: min(x.length, size), entries: x.entries, encrypted: x.encrypted,
	}
	l.cache.put(v)
	return v, nil
}

// loadIndex reads the index of a sealed segment, or makes it again.
func (l *Log) loadIndex(s *segment, next record.Ordinal) (*index, error) {
	if x, err := l.readIndex(s); err == nil && x.next == next {
		return x, nil
	}
	f, h, err := l.openSegment(s)
	if err != nil {
		return nil, l.damaged(s, next, err)
	}
	defer f.Close()
	end, err := f.Size()
	if err != nil {
		return nil, err
	}
	found, err := scan(l.scanner(f, end, h.seed), h.index(), next)
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", l.segmentPath(s), err)
	}
	l.report(l.segmentPath(s), found.lost)
	if len(found.lost) == 0 {
		if err := l.writeIndex(s, &found.index); err != nil {
			l.backend.options.Log.Warn("write index", "path", l.indexPath(s), "error", err)
		}
	}
	return &found.index, nil
}

// damaged turns the errors of a segment's header into the report that all its records are lost.
func (l *Log) damaged(s *segment, next record.Ordinal, err error) error {
	var bad *headerError
	if errors.As(err, &bad) || errors.Is(err, fs.ErrNotExist) {
		return &stream.CorruptError{Path: l.segmentPath(s), From: s.first, Next: next, Reason: err.Error()}
	}
	return err
}

// headerError reports a segment whose header cannot be read, so that nothing in it can.
type headerError struct{ error }

func (e *headerError) Unwrap() error { return e.error }

// openSegment opens a segment for reading and checks that it is what its name says.
func (l *Log) openSegment(s *segment) (vfs.File, header, error) {
	f, err := l.backend.fs.Open(l.segmentPath(s))
	if err != nil {
		return nil, header{}, err
	}
	h, err := l.readHeader(f, s)
	if err != nil {
		return nil, header{}, errors.Join(err, f.Close())
	}
	return f, h, nil
}

func (l *Log) readHeader(f vfs.File, s *segment) (header, error) {
	size, err := f.Size()
	if err != nil {
		return header{}, err
	}
	var b [segmentHeader]byte
	if size < segmentHeader {
		return header{}, &headerError{fmt.Errorf("the file has %d bytes, less than its header", size)}
	}
	if err := readFull(f, b[:], 0); err != nil {
		return header{}, err
	}
	h, err := parseHeader(b[:])
	var format *formatError
	if errors.As(err, &format) {
		return h, err
	}
	if err == nil && (h.first != s.first || h.shard != l.shard) {
		err = fmt.Errorf("the file holds %s from record %d on", h.shard, h.first)
	}
	if err != nil {
		return h, &headerError{err}
	}
	return h, l.checkIncarnation(h.incarnation)
}

func (l *Log) checkIncarnation(have uint64) error {
	if have == l.incarnation {
		return nil
	}
	return fmt.Errorf("%s holds records of incarnation %016x, the stream is %016x: its document was lost or replaced; put it back, or move the directory away and delete the stream to begin anew",
		l.dir, have, l.incarnation)
}

// index begins the index of a segment.
func (h header) index() index {
	return index{
		seed: h.seed, first: h.first, next: h.first, length: h.size(), arrival: h.arrival,
		floor: h.arrival, shard: h.shard, incarnation: h.incarnation, encrypted: h.encrypted,
		producers: stream.NewProducers(nil),
	}
}

func (l *Log) readIndex(s *segment) (*index, error) {
	b, err := readFile(l.backend.fs, l.indexPath(s), maxIndex)
	if err != nil {
		return nil, err
	}
	x, err := decodeIndex(b)
	if err != nil {
		return nil, err
	}
	if x.first != s.first || x.shard != l.shard || x.incarnation != l.incarnation {
		return nil, errors.New("index of another segment")
	}
	return x, nil
}

// writeIndex does not sync: an index that a crash spoils is made again.
func (l *Log) writeIndex(s *segment, x *index) error {
	name := l.indexPath(s)
	f, err := l.backend.fs.Create(name + tmpSuffix)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(x.encode(), 0)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return l.backend.fs.Rename(name+tmpSuffix, name)
}

// report logs damage once, where it is found.
func (l *Log) report(name string, lost []hole) {
	for _, h := range lost {
		l.backend.options.Log.Error("segment is damaged", "path", name, "byte", h.offset, "from", int64(h.from), "next", int64(h.next))
	}
}

// viewCache keeps the views of the sealed segments that were read last.
type viewCache struct {
	mu    sync.Mutex
	views [4]*view
	turn  int
}

func (c *viewCache) get(s *segment) *view {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.views {
		if v != nil && v.segment == s {
			return v
		}
	}
	return nil
}

func (c *viewCache) put(v *view) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.views[c.turn] = v
	c.turn = (c.turn + 1) % len(c.views)
}

// cursors remember where recent reads ended, so that the next read finds its frame at once.
type cursors struct {
	mu   sync.Mutex
	ends [16]cursorEnd
	turn int
}

type cursorEnd struct {
	segment *segment
	next    record.Ordinal
	offset  int64
}

func (c *cursors) get(s *segment, at record.Ordinal) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.ends {
		if e.segment == s && e.next == at {
			return e.offset, true
		}
	}
	return 0, false
}

func (c *cursors) put(e cursorEnd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[c.turn] = e
	c.turn = (c.turn + 1) % len(c.ends)
}
