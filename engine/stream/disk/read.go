package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/vfs"
)

const defaultRead = 1 << 20

// Read implements stream.Log.
func (l *Log) Read(ctx context.Context, from record.Ordinal, buf *stream.Buffer) ([]stream.Frame, error) {
	clear(buf.Frames) // or their bodies would keep memory that is let go of
	buf.Frames, buf.Plain = buf.Frames[:0], buf.Plain[:0]
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		none, err := l.check(from)
		if none || err != nil {
			trim(buf)
			return nil, err
		}
		v, err := l.view(from)
		if err != nil {
			return nil, l.gone(err, from)
		}
		next, err := l.readView(ctx, v, from, buf)
		if err != nil {
			return nil, l.gone(err, from)
		}
		if len(buf.Frames) > 0 {
			if err := l.visible(buf.Frames[0], from); err != nil {
				return nil, err
			}
			return buf.Frames, nil
		}
		from = next
	}
}

// check tells whether there is something to read at an ordinal.
func (l *Log) check(from record.Ordinal) (none bool, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case l.closed:
		return true, fmt.Errorf("read %s: %w", l.name, stream.ErrClosed)
	case from < max(l.segments[0].first, l.trimmed):
		return true, l.trimmedError(from)
	case from > l.next:
		return true, fmt.Errorf("read %s from record %d: the shard ends at %d", l.name, from, l.next)
	}
	return from == l.next, nil
}

func (l *Log) trimmedError(from record.Ordinal) error {
	return fmt.Errorf("read %s from record %d: %w", l.name, from, stream.ErrTrimmed)
}

// gone turns errors about a segment that was removed meanwhile into ErrTrimmed.
func (l *Log) gone(err error, from record.Ordinal) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var corrupt *stream.CorruptError
	if (errors.Is(err, fs.ErrNotExist) || errors.As(err, &corrupt)) && from < l.segments[0].first {
		return l.trimmedError(from)
	}
	return fmt.Errorf("read %s: %w", l.name, err)
}

// visible applies retention, exactly: the first frame decides, as arrival times never fall.
func (l *Log) visible(f stream.Frame, from record.Ordinal) error {
	cutoff := l.cutoff(l.backend.options.Now())
	if f.Arrival >= cutoff {
		return nil
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.hold <= from {
		return nil
	}
	return l.trimmedError(from)
}

// readView reads frames with records behind from out of one segment into buf. When there is none
// it returns where the next segment begins.
func (l *Log) readView(ctx context.Context, v *view, from record.Ordinal, buf *stream.Buffer) (record.Ordinal, error) {
	f, err := l.backend.fs.Open(v.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, v.corrupt(0, v.first, v.next, "the file is missing")
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r := reader{log: l, view: v, file: f, from: from, next: from}
	if v.encrypted {
		if r.key, err = l.viewKey(ctx, v, f); err != nil {
			return 0, err
		}
	}
	if offset, ok := l.cursor.get(v.segment, from); ok {
		r.offset = offset
	} else {
		r.next, r.offset = v.find(from)
	}
	read := r.read
	if buf.Heads {
		read = r.head
	}
	if err := read(buf); err != nil {
		return 0, err
	}
	if len(buf.Frames) > 0 {
		if buf.Heads {
			return v.next, nil
		}
		last := buf.Frames[len(buf.Frames)-1]
		l.cursor.put(cursorEnd{segment: v.segment, next: last.Next(), offset: r.offset})
	} else if r.next < v.next {
		return 0, v.corrupt(r.offset, r.next, v.next, "the file ends early")
	}
	return v.next, nil
}

// reader is one call of Read on one segment.
type reader struct {
	log  *Log
	view *view
	file vfs.File
	from record.Ordinal
	// key of the segment; nil when it is not encrypted.
	key *seal.SegmentKey
	// next is the ordinal that the frame at offset begins with.
	next   record.Ordinal
	offset int64
}

// read fills buf with what one read of the file brings, or goes on to the end of the segment
// while it finds no records.
func (r *reader) read(buf *stream.Buffer) error {
	limit := int64(buf.Max)
	if limit <= 0 {
		limit = defaultRead
	}
	var need int64
	for r.offset < r.view.end && len(buf.Frames) == 0 {
		n := max(need, reach(r.view.entries, r.offset, limit, r.view.end)-r.offset)
		if err := fill(buf, r.file, r.offset, n); err != nil {
			return fmt.Errorf("%s: %w", r.view.path, err)
		}
		var ok bool
		if need, ok = r.parse(buf, limit); ok || len(buf.Frames) > 0 {
			continue
		}
		if err := r.overcome(); err != nil {
			return err
		}
	}
	return nil
}

// headStep is how much is read at once where bodies are passed over.
const headStep = 64 << 10

// head is read for one frame without its body.
func (r *reader) head(buf *stream.Buffer) error {
	s := r.log.scanner(r.file, r.view.end, r.view.seed)
	s.step = headStep
	for r.offset < r.view.end {
		s.offset, s.next = r.offset, r.next
		f, ok, err := s.head()
		if err != nil {
			return fmt.Errorf("%s: %w", r.view.path, err)
		}
		if !ok {
			if err := r.overcome(); err != nil {
				return err
			}
			continue
		}
		s.pass(&f)
		r.offset, r.next = s.offset, s.next
		if f.kind == kindData && f.Count > 0 && f.Next() > r.from {
			buf.Frames = append(buf.Frames, f.Frame)
			return nil
		}
	}
	return nil
}

// parse takes the whole frames in buf, but not more than limit bytes of decompressed ones. need is
// the size of the frame that the end of buf cuts short. ok is false when the next frame is damaged.
func (r *reader) parse(buf *stream.Buffer, limit int64) (need int64, ok bool) {
	b := buf.Bytes
	var plain int64
	for len(b) > 0 {
		if len(b) < frameHeader {
			return frameHeader, r.offset+frameHeader <= r.view.end
		}
		f, ok := parseFrame(b, r.view.seed)
		size := frameHeader + f.size
		if !ok || f.First != r.next || r.offset+int64(size) > r.view.end {
			return 0, false
		}
		if size > len(b) {
			return int64(size), true
		}
		if !r.log.backend.options.faults.noChecksum && !checkBody(b[:size], r.view.seed) {
			return 0, false
		}
		if f.kind == kindData && f.Count > 0 {
			if f.Next() > r.from {
				if plain += int64(f.raw); f.codec != codecNone && plain > limit && len(buf.Frames) > 0 {
					return 0, true
				}
				if !r.open(&f, buf, b[:size:size]) {
					return 0, false
				}
				buf.Frames = append(buf.Frames, f.Frame)
			}
			r.next = f.Next()
		}
		b = b[size:]
		r.offset += int64(size)
	}
	return 0, true
}

// open makes the body that is stored in b, behind the header, the frame's. A sealed one is opened in place.
func (r *reader) open(f *frame, buf *stream.Buffer, b []byte) (ok bool) {
	header, b := b[:frameHeader], b[frameHeader:]
	if f.encrypted {
		if r.key == nil {
			return false
		}
		plain, err := r.key.Open(b[:0], b, bound(header), uint64(r.offset))
		if err != nil {
			return false
		}
		b = plain[:len(plain):len(plain)]
	}
	if f.codec == codecNone {
		f.Body = b
		return true
	}
	plain, err := decompress(f.codec, buf.Plain, b, f.raw)
	if err != nil {
		return false
	}
	buf.Plain = plain
	f.Body = plain[len(plain)-f.raw : len(plain) : len(plain)]
	return true
}

// overcome goes on behind a damaged stretch if nothing that is asked for lies in it; otherwise it
// returns a *stream.CorruptError.
func (r *reader) overcome() error {
	v := r.view
	s := r.log.scanner(r.file, v.end, v.seed)
	s.offset, s.next = r.offset, r.next
	found, offset, ok, err := s.resync(func(f *frame) bool { return f.Next() <= v.next })
	if err != nil {
		return fmt.Errorf("%s: %w", v.path, err)
	}
	if !ok {
		found.First, offset = v.next, v.end
	}
	if found.First > max(r.from, r.next) {
		return v.corrupt(r.offset, r.next, found.First, errBadCRC.Error())
	}
	r.next, r.offset = found.First, offset
	return nil
}

// fill reads n bytes at offset into buf, whose memory grows if it must, and does not stay as large as one
// very large record made it.
func fill(buf *stream.Buffer, f vfs.File, offset, n int64) error {
	if have := int64(cap(buf.Bytes)); have < n || have > keptPack && n <= keptPack {
		// What is there goes first, for both may be large.
		buf.Bytes = nil
		buf.Bytes = make([]byte, n)
	}
	buf.Bytes = buf.Bytes[:n]
	return readFull(f, buf.Bytes, offset)
}

// trim lets go of what a very large record took, once there is nothing more to read.
func trim(buf *stream.Buffer) {
	for _, b := range []*[]byte{&buf.Bytes, &buf.Plain} {
		if cap(*b) > keptPack {
			*b = nil
		}
	}
}

// Seek implements stream.Log.
func (l *Log) Seek(ctx context.Context, t time.Time) (record.Ordinal, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	at, _, err := l.seek(t.UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("seek in %s: %w", l.name, err)
	}
	return max(at, l.oldest(l.backend.options.Now())), nil
}

// seek returns the first record that arrived at or after t, and when. Without one it returns the
// end of the log, and t; with damage where it may be, the first damaged record, and t.
func (l *Log) seek(t int64) (at record.Ordinal, arrival int64, err error) {
	s, end, err := l.segmentAt(t)
	if s == nil || err != nil {
		return end, t, err
	}
	v, err := l.view(s.first)
	if err != nil {
		return 0, 0, err
	}
	f, err := l.backend.fs.Open(v.path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	sc := l.scanner(f, v.end, v.seed)
	sc.next, sc.offset = v.findTime(t)
	for sc.offset < sc.end {
		fr, ok, err := sc.head()
		if err != nil {
			return 0, 0, err
		}
		if !ok {
			hole := sc.next
			fr, sc.offset, ok, err = sc.resync(func(*frame) bool { return true })
			if err != nil {
				return 0, 0, err
			}
			if !ok || fr.Arrival >= t {
				// The record may be among the damaged ones. Who reads from here is told of them.
				return hole, t, nil
			}
		}
		if fr.Count > 0 && fr.Arrival >= t {
			return fr.First, fr.Arrival, nil
		}
		sc.pass(&fr)
	}
	// That is v.next, unless the file lost its end.
	return sc.next, t, nil
}

// segmentAt returns the segment that holds the first record at or after t, or nil and the end of
// the log.
func (l *Log) segmentAt(t int64) (*segment, record.Ordinal, error) {
	l.mu.RLock()
	segments, next, last := l.segments, l.next, l.arrival
	l.mu.RUnlock()
	if last < t {
		return nil, next, nil
	}
	// The last record before segment i+1 arrived at its floor, so segment i is the one when it is
	// the first whose successor's floor is not before t.
	lo, hi := 0, len(segments)-1
	for lo < hi {
		mid := (lo + hi) / 2
		floor, err := l.floor(segments[mid+1])
		if err != nil {
			return nil, 0, err
		}
		if floor >= t {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return segments[lo], next, nil
}

// floor is when the last record before a segment arrived.
func (l *Log) floor(s *segment) (int64, error) {
	l.mu.RLock()
	floor := s.arrival
	l.mu.RUnlock()
	if floor >= 0 {
		return floor, nil
	}
	f, h, err := l.openSegment(s)
	if err != nil {
		x, xerr := l.readIndex(s)
		if xerr != nil {
			return 0, err
		}
		h.arrival = x.floor
	} else if err := f.Close(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	s.arrival = max(h.arrival, 0)
	l.mu.Unlock()
	return h.arrival, nil
}
