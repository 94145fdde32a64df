package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal"
)

// The byte tables are in docs/formats/segment.md. All numbers are little-endian.
const (
	segmentMagic    = "millrseg"
	segmentFormat   = 1
	encryptedFormat = 2
	segmentHeader   = 64
	frameHeader     = 64
	producerRecord  = 24
	partRecord      = 56

	// maxBody bounds a frame's body; a larger batch becomes several frames.
	maxBody = 16 << 20

	// encryptedFlag in the codec byte marks a body that is encrypted.
	encryptedFlag = 0x80
)

// Kinds of frames.
const (
	kindData byte = iota
	// kindTable holds producer positions; such frames begin a segment.
	kindTable
	// kindParts holds positions of producers in a part of the hash keys; such frames follow.
	kindParts
	// kindEnd is the last frame of a sealed shard.
	kindEnd
	kindLast = kindEnd
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errBadCRC = errors.New("checksum does not match")

// header begins a segment.
type header struct {
	shard       record.ShardID
	incarnation uint64
	first       record.Ordinal
	// arrival is the arrival time of the last record before the segment.
	arrival int64
	// seed starts the checksums of the segment's frames. It is random and secret, so that bytes
	// in a record, or left from another file, do not pass for a frame.
	seed uint32
	// table is how many producer positions the segment begins with, parts how many of those hold for
	// a part of the hash keys.
	table, parts uint32
	// encrypted segments hold their data key in a longer header, and encrypted bodies.
	encrypted bool
}

// size is the length of the header in the file.
func (h header) size() int64 { return headerSize(h.encrypted) }

func headerSize(encrypted bool) int64 {
	if encrypted {
		return encryptedHeader
	}
	return segmentHeader
}

func (h header) append(b []byte) []byte {
	start, format := len(b), uint16(segmentFormat)
	if h.encrypted {
		format = encryptedFormat
	}
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint16(b, format)
	b = binary.LittleEndian.AppendUint16(b, uint16(h.size()))
	b = binary.LittleEndian.AppendUint32(b, uint32(h.shard))
	b = binary.LittleEndian.AppendUint32(b, h.seed)
	b = binary.LittleEndian.AppendUint64(b, h.incarnation)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.first))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.arrival))
	b = binary.LittleEndian.AppendUint32(b, h.table)
	b = binary.LittleEndian.AppendUint32(b, h.parts)
	b = append(b, make([]byte, segmentHeader-56)...)
	binary.LittleEndian.PutUint32(b[start+8:], crc32.Checksum(b[start+12:], castagnoli))
	return b
}

func parseHeader(b []byte) (header, error) {
	if len(b) < segmentHeader || string(b[:8]) != segmentMagic {
		return header{}, errors.New("no segment header")
	}
	if binary.LittleEndian.Uint32(b[8:]) != crc32.Checksum(b[12:segmentHeader], castagnoli) {
		return header{}, fmt.Errorf("segment header: %w", errBadCRC)
	}
	format := binary.LittleEndian.Uint16(b[12:])
	if format != segmentFormat && format != encryptedFormat {
		return header{}, &formatError{what: "segment", version: int(format)}
	}
	h := header{
		shard:       record.ShardID(binary.LittleEndian.Uint32(b[16:])),
		seed:        binary.LittleEndian.Uint32(b[20:]),
		incarnation: binary.LittleEndian.Uint64(b[24:]),
		first:       record.Ordinal(binary.LittleEndian.Uint64(b[32:])),
		arrival:     int64(binary.LittleEndian.Uint64(b[40:])),
		table:       binary.LittleEndian.Uint32(b[48:]),
		parts:       binary.LittleEndian.Uint32(b[52:]),
		encrypted:   format == encryptedFormat,
	}
	if n := binary.LittleEndian.Uint16(b[14:]); int64(n) != h.size() || h.first < 0 {
		return header{}, errors.New("segment header is not plausible")
	}
	return h, nil
}

// formatError reports a file of a version that this program does not know. It is no damage.
type formatError struct {
	what    string
	version int
}

func (e *formatError) Error() string {
	return fmt.Sprintf("%s format %d is not known to this version of millrace", e.what, e.version)
}

// frame is a stream.Frame with what only the file needs.
type frame struct {
	stream.Frame
	kind byte
	// group is the offset where the group of frames begins that was written and synced together:
	// when this frame was written, everything before group was durable.
	group uint32
	// size is the length of the body in the file, raw that without codec and seal.
	size, raw int
	codec     codec
	encrypted bool
	// body is the checksum of what follows the header, if it is known before it is written.
	body sum
}

// put writes the frame's header, whose body follows it, to b.
func (f *frame) put(b []byte, seed uint32, body []byte) {
	f.size = len(body)
	if f.codec == codecNone && !f.encrypted {
		f.raw = len(body)
	}
	f.fill(b)
	b = b[:frameHeader]
	binary.LittleEndian.PutUint32(b[4:], crc32.Update(seed, castagnoli, b[8:]))
	head := crc32.Update(seed, castagnoli, b[4:])
	if f.body.known {
		binary.LittleEndian.PutUint32(b, joined(head, f.body.value, len(body)))
		return
	}
	binary.LittleEndian.PutUint32(b, crc32.Update(head, castagnoli, body))
}

// fill writes the frame's header without its checksums.
func (f *frame) fill(b []byte) {
	b = b[:frameHeader]
	clear(b)
	binary.LittleEndian.PutUint32(b[8:], uint32(f.size))
	b[12], b[13] = f.kind, byte(f.codec)
	if f.encrypted {
		b[13] |= encryptedFlag
	}
	binary.LittleEndian.PutUint32(b[16:], f.group)
	binary.LittleEndian.PutUint32(b[20:], uint32(f.Count))
	binary.LittleEndian.PutUint64(b[24:], uint64(f.First))
	binary.LittleEndian.PutUint64(b[32:], uint64(f.Arrival))
	binary.LittleEndian.PutUint64(b[40:], f.Producer.ID)
	binary.LittleEndian.PutUint64(b[48:], uint64(f.Position))
	binary.LittleEndian.PutUint32(b[56:], f.Producer.Epoch)
	binary.LittleEndian.PutUint32(b[60:], uint32(f.raw))
}

// bound is the part of a frame's header that its seal covers.
func bound(b []byte) []byte { return b[8:frameHeader] }

// parseFrame reads a frame's header. ok is false when b does not begin with a valid one.
func parseFrame(b []byte, seed uint32) (f frame, ok bool) {
	if len(b) < frameHeader {
		return f, false
	}
	b = b[:frameHeader]
	size := binary.LittleEndian.Uint32(b[8:])
	// Most of what is no header fails here, which makes a search for the next frame cheap.
	if size > maxBody+seal.Overhead || b[12] > kindLast || b[13]&^encryptedFlag > byte(codecLast) || b[14] != 0 || b[15] != 0 {
		return f, false
	}
	if binary.LittleEndian.Uint32(b[4:]) != crc32.Update(seed, castagnoli, b[8:]) {
		return f, false
	}
	f.kind, f.codec, f.size = b[12], codec(b[13]&^encryptedFlag), int(size)
	f.encrypted = b[13]&encryptedFlag != 0
	f.raw = int(binary.LittleEndian.Uint32(b[60:]))
	f.group = binary.LittleEndian.Uint32(b[16:])
	f.Count = int(binary.LittleEndian.Uint32(b[20:]))
	f.First = record.Ordinal(binary.LittleEndian.Uint64(b[24:]))
	f.Arrival = int64(binary.LittleEndian.Uint64(b[32:]))
	f.Producer.ID = binary.LittleEndian.Uint64(b[40:])
	f.Position = int64(binary.LittleEndian.Uint64(b[48:]))
	f.Producer.Epoch = binary.LittleEndian.Uint32(b[56:])
	// A record takes two bytes at least.
	plausible := f.First >= 0 && f.Next() >= f.First && f.raw <= maxBody && f.Count <= f.raw/2
	packed := f.size
	if f.encrypted {
		packed -= seal.Overhead
		plausible = plausible && f.kind == kindData
	}
	return f, plausible && packed >= 0 && packed <= maxBody && (f.codec != codecNone || f.raw == packed)
}

// checkBody reports whether the whole frame, header and body, is as it was written.
func checkBody(b []byte, seed uint32) bool {
	return binary.LittleEndian.Uint32(b) == crc32.Update(seed, castagnoli, b[4:])
}

func appendProducer(b []byte, id uint64, p stream.Position) []byte {
	b = binary.LittleEndian.AppendUint64(b, id)
	b = binary.LittleEndian.AppendUint32(b, p.Epoch)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint64(b, uint64(p.Value))
}

func appendPart(b []byte, i stream.Inherited) []byte {
	b = appendProducer(b, i.Producer, i.Position)
	for _, k := range []record.HashKey{i.Range.Start, i.Range.End} {
		b = binary.LittleEndian.AppendUint64(b, k.Hi)
		b = binary.LittleEndian.AppendUint64(b, k.Lo)
	}
	return b
}

// readProducers adds the producer positions in b.
func readProducers(b []byte, to *stream.Producers) {
	for ; len(b) >= producerRecord; b = b[producerRecord:] {
		to.Add(readProducer(b, record.AllKeys()))
	}
}

// readParts adds the positions in b that hold for a part of the hash keys.
func readParts(b []byte, to *stream.Producers) {
	for ; len(b) >= partRecord; b = b[partRecord:] {
		to.Add(readProducer(b, record.Range{Start: readKey(b[24:]), End: readKey(b[40:])}))
	}
}

func readProducer(b []byte, keys record.Range) stream.Inherited {
	return stream.Inherited{
		Producer: binary.LittleEndian.Uint64(b),
		Range:    keys,
		Position: stream.Position{
			Epoch: binary.LittleEndian.Uint32(b[8:]),
			Value: int64(binary.LittleEndian.Uint64(b[16:])),
		},
	}
}

func readKey(b []byte) record.HashKey {
	return record.HashKey{Hi: binary.LittleEndian.Uint64(b), Lo: binary.LittleEndian.Uint64(b[8:])}
}
