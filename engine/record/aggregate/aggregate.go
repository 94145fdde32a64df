// Package aggregate reads records into which a producer packed several user records: the aggregated record format
// of the Kinesis Producer Library (docs/formats/aggregate.md).
//
// The invariant to remember: a record is an aggregate only if all of it is right, to the last index and checksum.
// Whatever else begins like one is data as it stands.
package aggregate

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"

	"github.com/millrace-io/millrace/engine/record"
)

const (
	// magic begins an aggregate, a checksum of all between ends it.
	magic    = "\xf3\x89\x9a\xc2"
	checksum = md5.Size
	// maxKeys bounds each of the two tables of keys, and MaxUsers the user records: what refers to more is no aggregate.
	// Without them a record of 10 MiB could name millions of keys, each of which takes memory.
	maxKeys = 1 << 16
	// MaxUsers is how many user records an aggregate may have. It is a power of two, so that a record's ordinal and the
	// number of a user record in it fit into one number.
	MaxUsers = 1 << 18
	// keptKeys is how many keys a Reader keeps memory for.
	keptKeys = 1 << 10
)

// User is a user record. Key and Data alias the aggregate.
type User struct {
	record.Record
	// Sub is the record's number in its aggregate, from 0 on: its sub-sequence number.
	Sub int
	// Hash decides on its shard: the explicit hash key if it has one, else that of its key.
	Hash record.HashKey
}

// Reader reads aggregates, one after the other. The zero value is ready; it is for one goroutine.
type Reader struct {
	keys   []key
	hashes []record.HashKey
	// rest is what of the message follows the last user record that was read.
	rest []byte
	sub  int
}

// key is a partition key of the table.
type key struct {
	text   []byte
	hash   record.HashKey
	hashed bool
}

// Is reports whether data begins and ends as an aggregate could: most data does not, and this costs nothing.
func Is(data []byte) bool {
	return len(data) > len(magic)+checksum && string(data[:len(magic)]) == magic
}

// Open begins to read an aggregate, which must not change until it is read. ok is false for any other data.
func (r *Reader) Open(data []byte) (ok bool) {
	r.rest, r.sub = nil, 0
	if !Is(data) {
		return false
	}
	message := data[len(magic) : len(data)-checksum]
	if sum := md5.Sum(message); !bytes.Equal(sum[:], data[len(data)-checksum:]) {
		return false
	}
	if cap(r.keys) > keptKeys || cap(r.hashes) > keptKeys {
		r.keys, r.hashes = nil, nil
	}
	r.keys, r.hashes = r.keys[:0], r.hashes[:0]
	if !r.tables(message) || !r.users(message) {
		return false
	}
	r.rest = message
	return true
}

// Fields of the message (the format's protocol buffers schema).
const (
	keyTable  = 1
	hashTable = 2
	userField = 3

	keyIndex  = 1
	hashIndex = 2
	dataField = 3
)

// tables reads the tables of keys, and looks at every field.
func (r *Reader) tables(message []byte) bool {
	for len(message) > 0 {
		f, rest, ok := nextField(message)
		if !ok {
			return false
		}
		message = rest
		switch {
		case f.number > userField:
		case f.wire != lengthDelimited:
			return false
		case f.number == keyTable:
			if len(r.keys) == maxKeys {
				return false
			}
			r.keys = append(r.keys, key{text: f.bytes})
		case f.number == hashTable:
			hash, err := record.ParseHashKey(string(f.bytes))
			if err != nil || len(r.hashes) == maxKeys {
				return false
			}
			r.hashes = append(r.hashes, hash)
		}
	}
	return true
}

// users looks at every user record.
func (r *Reader) users(message []byte) bool {
	n := 0
	for {
		raw, rest, more := nextUser(message)
		if !more {
			return true
		}
		message = rest
		if _, ok := r.user(raw); !ok || n == MaxUsers {
			return false
		}
		n++
	}
}

// Next is the next user record; ok is false behind the last one.
func (r *Reader) Next() (u User, ok bool) {
	raw, rest, ok := nextUser(r.rest)
	if !ok {
		return u, false
	}
	r.rest = rest
	x, _ := r.user(raw) // Open looked at all of them
	k := &r.keys[x.key]
	u.Key, u.Data, u.Sub = k.text, x.data, r.sub
	r.sub++
	if x.hash >= 0 {
		u.Explicit, u.HasExplicit = r.hashes[x.hash], true
		u.Hash = u.Explicit
		return u, true
	}
	if !k.hashed {
		k.hash, k.hashed = record.Hash(k.text), true
	}
	u.Hash = k.hash
	return u, true
}

// nextUser passes over what is no user record.
func nextUser(message []byte) (raw, rest []byte, ok bool) {
	for len(message) > 0 {
		f, after, ok := nextField(message)
		if !ok {
			return nil, nil, false
		}
		if message = after; f.number == userField {
			return f.bytes, message, true
		}
	}
	return nil, nil, false
}

// indexed is a user record as the message has it; hash is -1 if it has none.
type indexed struct {
	key, hash int
	data      []byte
}

// user reads one. ok is false if it lacks its key or data, or refers to keys that are not in the tables.
func (r *Reader) user(raw []byte) (x indexed, ok bool) {
	x = indexed{key: -1, hash: -1}
	for len(raw) > 0 {
		f, rest, ok := nextField(raw)
		if !ok {
			return x, false
		}
		raw = rest
		switch {
		case f.number == keyIndex && f.wire == varint && f.value < uint64(len(r.keys)):
			x.key = int(f.value)
		case f.number == hashIndex && f.wire == varint && f.value < uint64(len(r.hashes)):
			x.hash = int(f.value)
		case f.number == dataField && f.wire == lengthDelimited:
			x.data = f.bytes
		case f.number <= dataField:
			return x, false
		}
	}
	return x, x.key >= 0 && x.data != nil
}

// Types of fields on the wire (protocol buffers encoding).
const (
	varint          = 0
	fixed64         = 1
	lengthDelimited = 2
	fixed32         = 5
)

// field of a message.
type field struct {
	number uint64
	wire   int
	// value of a varint, bytes of what has a length.
	value uint64
	bytes []byte
}

// nextField reads a field. Groups, which nobody writes any more, are none.
func nextField(b []byte) (f field, rest []byte, ok bool) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 {
		return f, nil, false
	}
	f.number, f.wire = tag>>3, int(tag&7)
	b = b[n:]
	size := 0
	switch f.wire {
	case varint:
		f.value, n = binary.Uvarint(b)
		if n <= 0 {
			return f, nil, false
		}
		return f, b[n:], true
	case fixed64:
		size = 8
	case fixed32:
		size = 4
	case lengthDelimited:
		long, n := binary.Uvarint(b)
		if n <= 0 || long > uint64(len(b)-n) {
			return f, nil, false
		}
		b, size = b[n:], int(long)
	default:
		return f, nil, false
	}
	if len(b) < size {
		return f, nil, false
	}
	f.bytes = b[:size:size]
	return f, b[size:], true
}
