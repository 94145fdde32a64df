// Package aggregatetest makes aggregated records for tests, as the Kinesis Producer Library does. It shares nothing
// with what reads them.
package aggregatetest

import (
	"crypto/md5"
	"encoding/binary"
	"slices"
)

// User is a user record. Hash is an explicit hash key in decimal, if it is not empty.
type User struct{ Key, Hash, Data string }

// Pack is the aggregate of user records.
func Pack(users ...User) []byte {
	var keys, hashes []string
	index := func(list *[]string, s string) uint64 {
		if i := slices.Index(*list, s); i >= 0 {
			return uint64(i)
		}
		*list = append(*list, s)
		return uint64(len(*list) - 1)
	}
	var records []byte
	for _, u := range users {
		b := binary.AppendUvarint([]byte{0x08}, index(&keys, u.Key))
		if u.Hash != "" {
			b = binary.AppendUvarint(append(b, 0x10), index(&hashes, u.Hash))
		}
		records = text(records, 0x1a, string(text(b, 0x1a, u.Data)))
	}
	var message []byte
	for _, k := range keys {
		message = text(message, 0x0a, k)
	}
	for _, h := range hashes {
		message = text(message, 0x12, h)
	}
	message = append(message, records...)
	sum := md5.Sum(message)
	return slices.Concat([]byte{0xf3, 0x89, 0x9a, 0xc2}, message, sum[:])
}

// text appends a field that is text.
func text(dst []byte, tag byte, s string) []byte {
	return append(binary.AppendUvarint(append(dst, tag), uint64(len(s))), s...)
}
