// Package record holds the types every other package speaks in: records, batches of
// records, shard ids, ordinals and hash keys. It imports the standard library only.
//
// The invariant to remember: a record's data is opaque bytes here. Nothing in this
// package looks inside it.
package record

import (
	"encoding/binary"
	"errors"
	"slices"
)

// ErrCorrupt reports a body that does not follow the record layout of docs/formats/segment.md.
var ErrCorrupt = errors.New("record body is corrupt")

// Record is one record as read from a body. Key and Data alias the body they were read from.
type Record struct {
	// Key is the partition key, UTF-8, 1 to 256 characters for API clients; may be empty for
	// sources that have none.
	Key []byte
	// Explicit is the explicit hash key and overrides the hash of Key when HasExplicit is set.
	Explicit    HashKey
	HasExplicit bool
	Data        []byte
}

// Producer names who appends, so that an append can be repeated without effect.
type Producer struct {
	// ID is unique among the producers of a stream; zero means the batch has no producer.
	ID uint64
	// Epoch fences: a shard refuses a producer's older epochs.
	Epoch uint32
}

// Ordinal is a record's place in its shard: dense within a frame, strictly rising, never reused.
// The first record of a shard has ordinal 0.
type Ordinal int64

// ShardID is the number of a shard in its stream, never reused.
type ShardID uint32

// String is the Kinesis spelling, shardId-%012d.
func (id ShardID) String() string { return string(id.Append(nil)) }

// Append appends the Kinesis spelling to dst.
func (id ShardID) Append(dst []byte) []byte {
	dst = append(dst, "shardId-000000000000"...)
	for i := len(dst) - 1; id > 0; i, id = i-1, id/10 {
		dst[i] = byte('0' + id%10)
	}
	return dst
}

// keptBody is how many bytes a batch keeps for its next records. Only very large records make it take more.
const keptBody = 4 << 20

type entry struct {
	start uint32
	pos   int64
}

// Batch is a list of records, encoded as they are added in the layout a frame stores.
// It is the unit of an append. A Batch is not safe for concurrent use; Reset keeps its memory, up to
// keptBody.
type Batch struct {
	// Producer makes the append idempotent: a shard skips records whose position it already has.
	Producer Producer
	// End is the producer's position once the whole batch is stored; it is at least the
	// position of every record in the batch. A batch without records but with End moves the
	// producer's position only.
	End int64

	body    []byte
	entries []entry
	// largest and longest bound the size of every record as encoded, and the length of every key.
	largest, longest int
}

// Add appends a record whose shard follows from key. pos is the producer's position after this
// record; positions must rise strictly within a producer and are ignored without one.
func (b *Batch) Add(key, data []byte, pos int64) {
	b.entries = append(b.entries, entry{start: uint32(len(b.body)), pos: pos})
	b.body = binary.AppendUvarint(b.body, uint64(len(key))<<1)
	b.body = append(b.body, key...)
	b.body = binary.AppendUvarint(b.body, uint64(len(data)))
	b.body = append(b.body, data...)
	b.bound(len(key))
}

// AddExplicit is Add with an explicit hash key.
func (b *Batch) AddExplicit(key []byte, hash HashKey, data []byte, pos int64) {
	b.entries = append(b.entries, entry{start: uint32(len(b.body)), pos: pos})
	b.body = binary.AppendUvarint(b.body, uint64(len(key))<<1|1)
	b.body = append(b.body, key...)
	b.body = binary.BigEndian.AppendUint64(b.body, hash.Hi)
	b.body = binary.BigEndian.AppendUint64(b.body, hash.Lo)
	b.body = binary.AppendUvarint(b.body, uint64(len(data)))
	b.body = append(b.body, data...)
	b.bound(len(key))
}

// AddSpace is AddExplicit, or Add if explicit is nil, without a position and with space for data of a
// size, which the caller fills before it uses the batch in any other way. So data can be decoded in
// place.
func (b *Batch) AddSpace(key []byte, explicit *HashKey, size int) (data []byte) {
	b.entries = append(b.entries, entry{start: uint32(len(b.body))})
	head := uint64(len(key)) << 1
	if explicit != nil {
		head |= 1
	}
	b.body = binary.AppendUvarint(b.body, head)
	b.body = append(b.body, key...)
	if explicit != nil {
		b.body = binary.BigEndian.AppendUint64(b.body, explicit.Hi)
		b.body = binary.BigEndian.AppendUint64(b.body, explicit.Lo)
	}
	b.body = binary.AppendUvarint(b.body, uint64(size))
	b.body = slices.Grow(b.body, size)[:len(b.body)+size]
	b.bound(len(key))
	return b.body[len(b.body)-size:]
}

// Begin starts a record without a key: its data is what the caller appends to what Begin returns, which the
// caller then gives to Finish before it uses the batch in any other way. So a record is written in place.
func (b *Batch) Begin() []byte {
	b.entries = append(b.entries, entry{start: uint32(len(b.body))})
	// A key of no bytes, and the size of the data, which nearly always takes two.
	return append(b.body, 0, 0, 0)
}

// Finish ends the record that Begin started. pos is as in Add.
func (b *Batch) Finish(body []byte, pos int64) {
	e := &b.entries[len(b.entries)-1]
	e.pos = pos
	at := int(e.start) + 1
	size := len(body) - at - 2
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(size))
	if n != 2 {
		body = slices.Replace(body, at, at+2, head[:n]...)
	} else {
		copy(body[at:], head[:2])
	}
	b.body = body
	b.bound(0)
}

// Shift adds by to the position of every record and to End.
func (b *Batch) Shift(by int64) {
	for i := range b.entries {
		b.entries[i].pos += by
	}
	b.End += by
}

// MaxHead is how many bytes stand before a record's data at most, if its key has keySize bytes.
func MaxHead(keySize int) int { return 2*binary.MaxVarintLen32 + keySize + 16 }

// Take is Add for the first record of a batch whose data is block[from:]. The batch takes the block over,
// so that a very large record is not copied, and writes over what is before from; that must be MaxHead
// bytes at least. The key may lie in the data.
func (b *Batch) Take(key, block []byte, from int, pos int64) {
	size := len(block) - from
	head := binary.AppendUvarint(nil, uint64(len(key))<<1)
	head = append(head, key...)
	head = binary.AppendUvarint(head, uint64(size))
	b.body = block[from-len(head):]
	copy(b.body, head)
	b.entries = append(b.entries[:0], entry{pos: pos})
	b.bound(len(key))
}

// AddFrom appends record i of src without decoding it.
func (b *Batch) AddFrom(src *Batch, i int) {
	b.entries = append(b.entries, entry{start: uint32(len(b.body)), pos: src.entries[i].pos})
	b.body = append(b.body, src.raw(i)...)
	b.bound(src.longest)
}

// bound notes the record that was added last.
func (b *Batch) bound(key int) {
	b.largest = max(b.largest, len(b.body)-int(b.entries[len(b.entries)-1].start))
	b.longest = max(b.longest, key)
}

// Within reports whether it is certain, without looking at each record, that every record has at
// most so many bytes of data and key together, and a key of at most so many bytes.
func (b *Batch) Within(size, key int) bool { return b.largest <= size && b.longest <= key }

// Len is the number of records.
func (b *Batch) Len() int { return len(b.entries) }

// Size is the encoded size in bytes.
func (b *Batch) Size() int { return len(b.body) }

// Capacity is the bytes of memory that the batch takes, full or not.
func (b *Batch) Capacity() int { return cap(b.body) + 16*cap(b.entries) }

// Hash is the hash key that routes record i. It is computed on each call: an MD5 costs more than
// all else that is done to a record on its way to the disk, and a stream of one shard needs none.
func (b *Batch) Hash(i int) HashKey { return b.hash(i, Hash) }

// HashBy is Hash, with what is known of keys that came before.
func (b *Batch) HashBy(known *Hashes, i int) HashKey { return b.hash(i, known.Hash) }

func (b *Batch) hash(i int, hash func(key []byte) HashKey) HashKey {
	body := b.body[b.entries[i].start:]
	head, n := binary.Uvarint(body)
	key := body[n : n+int(head>>1)]
	if head&1 == 0 {
		return hash(key)
	}
	explicit := body[n+len(key):]
	return HashKey{Hi: binary.BigEndian.Uint64(explicit), Lo: binary.BigEndian.Uint64(explicit[8:])}
}

// Position is the producer's position after record i.
func (b *Batch) Position(i int) int64 { return b.entries[i].pos }

// Body is the encoded records from record i on. It aliases the batch.
func (b *Batch) Body(i int) []byte {
	if i >= len(b.entries) {
		return nil
	}
	return b.body[b.entries[i].start:]
}

// Record decodes record i. The result aliases the batch.
func (b *Batch) Record(i int) Record {
	r, _, err := Next(b.raw(i))
	if err != nil {
		panic("record: a batch holds a record it did not encode: " + err.Error())
	}
	return r
}

// Reset empties the batch and keeps its memory, unless a very large record was in it.
func (b *Batch) Reset() {
	b.Producer, b.End = Producer{}, 0
	if cap(b.body) > keptBody {
		b.body = nil
	}
	b.body, b.entries = b.body[:0], b.entries[:0]
	b.largest, b.longest = 0, 0
}

func (b *Batch) raw(i int) []byte {
	end := uint32(len(b.body))
	if i+1 < len(b.entries) {
		end = b.entries[i+1].start
	}
	return b.body[b.entries[i].start:end]
}

// Next decodes the first record of body and returns what follows it. Both alias body.
func Next(body []byte) (r Record, rest []byte, err error) {
	head, n := binary.Uvarint(body)
	if n <= 0 || head>>1 > uint64(len(body)-n) {
		return Record{}, nil, ErrCorrupt
	}
	body = body[n:]
	r.Key, body = body[:head>>1:head>>1], body[head>>1:]
	if head&1 != 0 {
		if len(body) < 16 {
			return Record{}, nil, ErrCorrupt
		}
		r.Explicit = HashKey{Hi: binary.BigEndian.Uint64(body), Lo: binary.BigEndian.Uint64(body[8:])}
		r.HasExplicit = true
		body = body[16:]
	}
	size, n := binary.Uvarint(body)
	if n <= 0 || size > uint64(len(body)-n) {
		return Record{}, nil, ErrCorrupt
	}
	body = body[n:]
	r.Data = body[:size:size]
	return r, body[size:], nil
}
