package disk

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// window reads a file through a buffer that it grows as needed, never beyond the file's end.
type window struct {
	f     vfs.File
	end   int64
	start int64
	buf   []byte
	// step is how much is read at once, windowStep if zero.
	step int64
}

const windowStep = 1 << 20

// at returns n bytes at offset, or nil when the file ends before. They are valid until the next call.
func (w *window) at(offset int64, n int) ([]byte, error) {
	if offset+int64(n) > w.end {
		return nil, nil
	}
	if offset < w.start || offset+int64(n) > w.start+int64(len(w.buf)) {
		step := w.step
		if step == 0 {
			step = windowStep
		}
		size := min(max(int64(n), step), w.end-offset)
		if int64(cap(w.buf)) < size {
			w.buf = make([]byte, size)
		}
		w.start, w.buf = offset, w.buf[:size]
		if err := readFull(w.f, w.buf, offset); err != nil {
			w.buf = w.buf[:0]
			return nil, err
		}
	}
	at := offset - w.start
	return w.buf[at : at+int64(n)], nil
}

// readFull fills b from offset on. A file that ends earlier is an error.
func readFull(f vfs.File, b []byte, offset int64) error {
	n, err := f.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d: %w", len(b), offset, err)
}

// scanner goes through the frames of a segment.
type scanner struct {
	window
	seed   uint32
	offset int64
	// next is the ordinal that the next frame must begin with.
	next record.Ordinal
	// trust leaves out the checksums of bodies, a fault for tests.
	trust bool
}

func (l *Log) scanner(f vfs.File, end int64, seed uint32) scanner {
	return scanner{window: window{f: f, end: end}, seed: seed, trust: l.backend.options.faults.noChecksum}
}

// frame reads the frame at the scanner's offset without moving. ok is false when there is no
// valid one that continues the log.
func (s *scanner) frame() (f frame, body []byte, ok bool, err error) {
	f, body, ok, err = s.frameAt(s.offset)
	return f, body, ok && f.First == s.next, err
}

// head is frame for the header alone, which has a checksum of its own: the body may be large.
func (s *scanner) head() (f frame, ok bool, err error) {
	b, err := s.at(s.offset, frameHeader)
	if b == nil || err != nil {
		return f, false, err
	}
	f, ok = parseFrame(b, s.seed)
	return f, ok && f.First == s.next && s.offset+int64(frameHeader+f.size) <= s.end, nil
}

func (s *scanner) frameAt(offset int64) (f frame, body []byte, ok bool, err error) {
	b, err := s.at(offset, frameHeader)
	if b == nil || err != nil {
		return f, nil, false, err
	}
	f, ok = parseFrame(b, s.seed)
	if !ok {
		return f, nil, false, nil
	}
	b, err = s.at(offset, frameHeader+f.size)
	if b == nil || err != nil {
		return f, nil, false, err
	}
	return f, b[frameHeader:], s.trust || checkBody(b, s.seed), nil
}

// pass moves behind a frame.
func (s *scanner) pass(f *frame) {
	s.offset += int64(frameHeader + f.size)
	if f.kind == kindData {
		s.next = f.Next()
	}
}

// resync looks behind the scanner's offset, where no valid frame is, for the next valid frame
// that good accepts. It does not move.
func (s *scanner) resync(good func(f *frame) bool) (found frame, offset int64, ok bool, err error) {
	for offset = s.offset + 1; offset+frameHeader <= s.end; offset++ {
		b, err := s.at(offset, frameHeader)
		if err != nil {
			return found, 0, false, err
		}
		f, ok := parseFrame(b, s.seed)
		if !ok || f.First < s.next || !good(&f) {
			continue
		}
		_, _, ok, err = s.frameAt(offset)
		if ok || err != nil {
			return f, offset, ok, err
		}
	}
	return found, 0, false, nil
}

// hole is a damaged stretch of a segment.
type hole struct {
	offset     int64
	from, next record.Ordinal
}

// scanned is what a scan found.
type scanned struct {
	index
	// torn is set when bytes follow the last valid frame that were never durable.
	torn bool
	// lost are stretches that were durable and are damaged.
	lost []hole
	// table counts the producer positions read from the segment's start, parts those that hold for
	// a part of the hash keys.
	table, parts uint32
	// group is where the group of the last frame begins. What is before was durable when that
	// frame was written; the group itself may never have been.
	group int64
}

// unsealed is the limit of a segment that no other follows.
const unsealed record.Ordinal = math.MaxInt64

// scan goes with s through the frames of a segment, from where x ends, and adds them to x. limit is where the next segment begins.
//
// In the last segment, invalid bytes are a torn tail when all that is valid behind them was
// written in the same group, because the group was not synced then; otherwise they were durable
// once and are lost. In a segment that another follows everything before limit was durable, and
// nothing else counts.
func scan(s scanner, x index, limit record.Ordinal) (scanned, error) {
	r := scanned{index: x, group: x.length}
	if r.producers == nil {
		r.producers = stream.NewProducers(nil)
	}
	s.offset, s.next = x.length, x.next
	for s.offset < s.end {
		fr, body, ok, err := s.frame()
		if err != nil {
			return r, err
		}
		if ok && fr.Next() > limit {
			break
		}
		if ok {
			r.take(&fr, body, s.offset)
			s.pass(&fr)
			r.next, r.length = s.next, s.offset
			continue
		}
		if s.next == limit {
			break
		}
		bad := s.offset
		fr, offset, ok, err := s.resync(func(f *frame) bool {
			return f.Next() <= limit && (limit != unsealed || int64(f.group) > bad)
		})
		if err != nil {
			return r, err
		}
		if !ok {
			r.torn = limit == unsealed
			break
		}
		r.lost = append(r.lost, hole{offset: bad, from: s.next, next: fr.First})
		s.offset, s.next = offset, fr.First
	}
	if limit != unsealed && s.next < limit {
		r.lost = append(r.lost, hole{offset: s.offset, from: s.next, next: limit})
	}
	return r, nil
}

func (r *scanned) take(f *frame, body []byte, offset int64) {
	if f.Count > 0 {
		r.arrival = max(r.arrival, f.Arrival)
	}
	r.group = max(r.group, int64(f.group))
	switch f.kind {
	case kindTable:
		r.table += uint32(len(body) / producerRecord)
		readProducers(body, r.producers)
	case kindParts:
		r.parts += uint32(len(body) / partRecord)
		readParts(body, r.producers)
	case kindEnd:
		r.ended = true
	default:
		r.add(f, offset)
		if f.Producer.ID != 0 {
			r.producers.Set(f.Producer.ID, stream.Position{Epoch: f.Producer.Epoch, Value: f.Position})
		}
	}
}
