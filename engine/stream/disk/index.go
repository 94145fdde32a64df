package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

const (
	indexMagic  = "millridx"
	indexFormat = 2
	indexHeader = 88

	indexEnded     = 1
	indexEncrypted = 2

	entrySize = 24
	// indexStep is how many bytes of frames lie between two entries at least.
	indexStep = 64 << 10
)

// entry says where a frame is.
type entry struct {
	first   record.Ordinal
	arrival int64
	offset  int64
}

// index is what a side file says about a segment: everything up to length is valid and durable.
// It can be made again from the segment.
type index struct {
	seed          uint32
	first, next   record.Ordinal
	length        int64
	arrival       int64
	entries       []entry
	producers     *stream.Producers
	shard         record.ShardID
	incarnation   uint64
	floor         int64
	lastIndexedAt int64
	// ended is set once the shard is sealed.
	ended bool
	// encrypted is set when the segment's bodies are, which makes its header longer.
	encrypted bool
}

// start is where the segment's frames begin.
func (x *index) start() int64 { return headerSize(x.encrypted) }

// add notes a frame at offset.
func (x *index) add(f *frame, offset int64) {
	if f.kind == kindData && f.Count > 0 && (len(x.entries) == 0 || offset-x.lastIndexedAt >= indexStep) {
		x.entries = append(x.entries, entry{first: f.First, arrival: f.Arrival, offset: offset})
		x.lastIndexedAt = offset
	}
}

// reach returns where a read of at most limit bytes from offset on should end: at a frame's
// beginning if the index knows one, so that no part of a frame is read in vain.
func reach(entries []entry, offset, limit, end int64) int64 {
	if end-offset <= limit {
		return end
	}
	i := sort.Search(len(entries), func(i int) bool { return entries[i].offset > offset+limit })
	if i > 0 && entries[i-1].offset > offset {
		return entries[i-1].offset
	}
	if i < len(entries) {
		return entries[i].offset
	}
	return min(offset+limit, end)
}

func (x *index) encode() []byte {
	whole, parts := x.producers.Split()
	b := make([]byte, 0, indexHeader+entrySize*len(x.entries)+producerRecord*len(whole)+partRecord*len(parts))
	b = append(b, indexMagic...)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint16(b, indexFormat)
	b = binary.LittleEndian.AppendUint16(b, indexHeader)
	b = binary.LittleEndian.AppendUint32(b, uint32(x.shard))
	b = binary.LittleEndian.AppendUint32(b, x.seed)
	b = binary.LittleEndian.AppendUint64(b, x.incarnation)
	b = binary.LittleEndian.AppendUint64(b, uint64(x.first))
	b = binary.LittleEndian.AppendUint64(b, uint64(x.next))
	b = binary.LittleEndian.AppendUint64(b, uint64(x.length))
	b = binary.LittleEndian.AppendUint64(b, uint64(x.floor))
	b = binary.LittleEndian.AppendUint64(b, uint64(x.arrival))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(x.entries)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(whole)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(parts)))
	var flags uint32
	if x.ended {
		flags |= indexEnded
	}
	if x.encrypted {
		flags |= indexEncrypted
	}
	b = binary.LittleEndian.AppendUint32(b, flags)
	for _, e := range x.entries {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.first))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.arrival))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.offset))
	}
	for _, i := range whole {
		b = appendProducer(b, i.Producer, i.Position)
	}
	for _, i := range parts {
		b = appendPart(b, i)
	}
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	return b
}

func decodeIndex(b []byte) (*index, error) {
	if len(b) < indexHeader || string(b[:8]) != indexMagic {
		return nil, errors.New("no index header")
	}
	if binary.LittleEndian.Uint32(b[8:]) != crc32.Checksum(b[12:], castagnoli) {
		return nil, fmt.Errorf("index: %w", errBadCRC)
	}
	if v := binary.LittleEndian.Uint16(b[12:]); v != indexFormat {
		return nil, &formatError{what: "index", version: int(v)}
	}
	x := &index{
		shard:       record.ShardID(binary.LittleEndian.Uint32(b[16:])),
		seed:        binary.LittleEndian.Uint32(b[20:]),
		incarnation: binary.LittleEndian.Uint64(b[24:]),
		first:       record.Ordinal(binary.LittleEndian.Uint64(b[32:])),
		next:        record.Ordinal(binary.LittleEndian.Uint64(b[40:])),
		length:      int64(binary.LittleEndian.Uint64(b[48:])),
		floor:       int64(binary.LittleEndian.Uint64(b[56:])),
		arrival:     int64(binary.LittleEndian.Uint64(b[64:])),
		ended:       binary.LittleEndian.Uint32(b[84:])&indexEnded != 0,
		encrypted:   binary.LittleEndian.Uint32(b[84:])&indexEncrypted != 0,
	}
	entries := entrySize * uint64(binary.LittleEndian.Uint32(b[72:]))
	whole := producerRecord * uint64(binary.LittleEndian.Uint32(b[76:]))
	parts := partRecord * uint64(binary.LittleEndian.Uint32(b[80:]))
	b = b[indexHeader:]
	if entries+whole+parts != uint64(len(b)) || x.first > x.next || x.length < x.start() {
		return nil, errors.New("index is not plausible")
	}
	if err := x.readEntries(b[:entries]); err != nil {
		return nil, err
	}
	x.producers = stream.NewProducers(nil)
	readProducers(b[entries:entries+whole], x.producers)
	readParts(b[entries+whole:], x.producers)
	return x, nil
}

func (x *index) readEntries(b []byte) error {
	x.entries = make([]entry, len(b)/entrySize)
	last := entry{first: x.first, offset: x.start()}
	for i := range x.entries {
		e := entry{
			first:   record.Ordinal(binary.LittleEndian.Uint64(b)),
			arrival: int64(binary.LittleEndian.Uint64(b[8:])),
			offset:  int64(binary.LittleEndian.Uint64(b[16:])),
		}
		if e.first < last.first || e.offset < last.offset || e.offset >= x.length {
			return errors.New("index entries do not rise")
		}
		x.entries[i], last, b = e, e, b[entrySize:]
	}
	x.lastIndexedAt = last.offset
	return nil
}
