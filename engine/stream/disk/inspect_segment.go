package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/vfs"
)

// segment goes through a segment's frames up to limit, where the next one begins.
func (i *inspector) segment(sh *ShardReport, s *SegmentReport, limit record.Ordinal) (ended bool, err error) {
	f, err := i.fs.Open(s.Path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if s.Size, err = f.Size(); err != nil {
		return false, err
	}
	h, err := i.header(sh, s, f)
	var bad *headerError
	if errors.As(err, &bad) {
		lost := limit
		if limit == unsealed {
			lost = s.First + record.Ordinal(max(s.Size, 1))
			if x, err := i.sideFile(s); err == nil && x.first == s.First {
				lost = max(lost, x.next)
			}
		}
		s.bad(0, s.First, lost, bad.Error())
		return false, i.told(s)
	}
	if err != nil {
		return false, err
	}
	s.Incarnation, s.Encrypted = h.incarnation, h.encrypted
	if err := s.slots(f, h, limit); err != nil {
		return false, err
	}
	vouched, known := i.index(s, h)
	if limit != unsealed {
		known = limit
	}
	if err := i.told(s); err != nil {
		return false, err
	}
	w := walk{inspector: i, report: s, limit: limit, vouched: vouched, known: known, arrival: h.arrival}
	w.scanner = scanner{window: window{f: f, end: s.Size}, seed: h.seed, offset: h.size(), next: h.first}
	if err := w.run(); err != nil {
		return false, err
	}
	if w.whole != int(h.table) || w.parts != int(h.parts) {
		s.bad(h.size(), 0, 0, fmt.Sprintf("%d positions of producers and %d of parts stand at the beginning, the header says %d and %d",
			w.whole, w.parts, h.table, h.parts))
	}
	return w.ended, nil
}

func (i *inspector) told(s *SegmentReport) error {
	if i.o.Segment == nil {
		return nil
	}
	return i.o.Segment(s)
}

func (s *SegmentReport) bad(offset int64, from, next record.Ordinal, text string) {
	s.Problems = append(s.Problems, Problem{Path: s.Path, Offset: offset, From: from, Next: next, Text: text})
}

func (i *inspector) header(sh *ShardReport, s *SegmentReport, f vfs.File) (header, error) {
	if s.Size < segmentHeader {
		return header{}, &headerError{fmt.Errorf("the file has %d bytes, less than its header", s.Size)}
	}
	var b [segmentHeader]byte
	if err := readFull(f, b[:], 0); err != nil {
		return header{}, err
	}
	h, err := parseHeader(b[:])
	if err == nil && (h.first != s.First || h.shard != sh.ID) {
		err = fmt.Errorf("the file holds %s from record %d on", h.shard, h.first)
	}
	if err != nil {
		return h, &headerError{err}
	}
	return h, nil
}

// slots looks at the wrapped data key of an encrypted segment.
func (s *SegmentReport) slots(f vfs.File, h header, limit record.Ordinal) error {
	if !h.encrypted {
		return nil
	}
	b := make([]byte, min(encryptedHeader, s.Size))
	if err := readFull(f, b, 0); err != nil {
		return err
	}
	err := errNoKey
	var slot keySlot
	if len(b) == encryptedHeader {
		slot, _, err = findSlot(b)
	}
	if err == nil {
		s.Key, err = seal.WrappedBy(slot.wrapped)
	}
	if err != nil {
		s.bad(slotStart, s.First, max(limit, s.First), err.Error()+"; no record of the segment can be read")
	}
	return nil
}

func (i *inspector) sideFile(s *SegmentReport) (*index, error) {
	b, err := readFile(i.fs, path.Join(path.Dir(s.Path), indexName(s.First)), maxIndex)
	if err != nil {
		return nil, err
	}
	return decodeIndex(b)
}

// index looks at the side file. It returns up to which byte and record it vouches for the segment.
func (i *inspector) index(s *SegmentReport, h header) (length int64, next record.Ordinal) {
	x, err := i.sideFile(s)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.Index = "missing"
	case err != nil:
		s.Index = err.Error()
	case x.seed != h.seed:
		s.Index = "of another segment"
	case x.length < s.Size:
		s.Index = "partial"
		return x.length, x.next
	default:
		s.Index = "ok"
		return x.length, x.next
	}
	return 0, unsealed
}

// walk goes through the frames of one segment.
type walk struct {
	scanner
	inspector *inspector
	report    *SegmentReport
	limit     record.Ordinal
	// vouched is up to which byte an index, or the next segment, says that the segment was durable,
	// and known up to which record.
	vouched int64
	known   record.Ordinal
	arrival int64
	ended   bool
	plain   []byte
	whole   int
	parts   int
}

func (w *walk) run() error {
	s := w.report
	for w.offset < w.end {
		fr, body, ok, err := w.frame()
		if err != nil {
			return err
		}
		if ok && fr.Next() > w.limit || !ok && w.next == w.limit {
			break
		}
		if ok {
			if err := w.take(&fr, body); err != nil {
				return err
			}
			w.pass(&fr)
			s.Next = w.next
			continue
		}
		bad := w.offset
		fr, offset, ok, err := w.resync(func(f *frame) bool {
			return f.Next() <= w.limit && (w.limit != unsealed || int64(f.group) > bad || bad < w.vouched)
		})
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		s.bad(bad, w.next, fr.First, errBadCRC.Error())
		w.offset, w.next = offset, fr.First
	}
	if w.known != unsealed && (w.next < w.known || w.offset < w.vouched && w.limit == unsealed) {
		s.bad(w.offset, w.next, w.known, "the rest is damaged or missing")
	}
	s.Leftover = max(s.Size-w.offset, 0)
	return nil
}

var kindNames = map[byte]string{kindData: "records", kindTable: "producers", kindParts: "parts", kindEnd: "end"}

// take notes a frame whose checksums are right, and looks at what is in it.
func (w *walk) take(f *frame, body []byte) error {
	s := w.report
	r := FrameReport{
		Offset: w.offset, Group: int64(f.group), Kind: kindNames[f.kind], Frame: f.Frame,
		Codec: f.codec.String(), Encrypted: f.encrypted, Stored: f.size, Raw: f.raw,
	}
	if f.Count > 0 && f.Arrival < w.arrival {
		s.bad(w.offset, 0, 0, fmt.Sprintf("it arrived at %d, what is before it at %d", f.Arrival, w.arrival))
	}
	if f.Count > 0 {
		w.arrival = max(w.arrival, f.Arrival)
	}
	if w.ended {
		s.bad(w.offset, 0, 0, "it follows the mark of a closed shard")
	}
	switch f.kind {
	case kindTable:
		w.whole += len(body) / producerRecord
		s.Producers += len(body) / producerRecord
	case kindParts:
		w.parts += len(body) / partRecord
	case kindEnd:
		w.ended = true
	default:
		w.records(f, &r, body)
	}
	if w.inspector.o.Frame == nil {
		return nil
	}
	return w.inspector.o.Frame(&r)
}

// records notes a frame with records.
func (w *walk) records(f *frame, r *FrameReport, body []byte) {
	s := w.report
	if f.encrypted {
		// What is in it cannot be seen without the key; the checksum was right.
		s.count(f)
		return
	}
	if f.codec != codecNone {
		plain, err := decompress(f.codec, w.plain[:0], body, f.raw)
		if err != nil {
			s.bad(w.offset, f.First, f.Next(), err.Error())
			return
		}
		w.plain, body = plain, plain
	}
	r.Body = body
	count := 0
	for rest := body; len(rest) > 0; count++ {
		var err error
		if _, rest, err = record.Next(rest); err != nil {
			s.bad(w.offset, f.First+record.Ordinal(count), f.Next(), err.Error())
			return
		}
	}
	if count != f.Count {
		s.bad(w.offset, 0, 0, fmt.Sprintf("it holds %d records, its header says %d", count, f.Count))
	}
	s.count(f)
}

// count adds a frame with records.
func (s *SegmentReport) count(f *frame) {
	if f.Count == 0 {
		return
	}
	s.Frames[f.codec.String()]++
	s.Stored += int64(f.size)
	s.Raw += int64(f.raw)
	s.Newest = time.UnixMilli(f.Arrival)
	if s.Oldest.IsZero() {
		s.Oldest = s.Newest
	}
}
