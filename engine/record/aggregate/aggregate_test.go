package aggregate

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
)

// packed is an aggregate of a message in protocol buffers.
func packed(message []byte) []byte {
	sum := md5.Sum(message)
	return append(append([]byte(magic), message...), sum[:]...)
}

// put appends a field with a length, and num one with a number.
func put(dst []byte, number int, b string) []byte {
	dst = binary.AppendUvarint(dst, uint64(number<<3|lengthDelimited))
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

func num(dst []byte, number int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(number<<3|varint)), v)
}

// of is a user record; hash of -1 is none.
func of(key, hash int, data string) string {
	b := num(nil, keyIndex, uint64(key))
	if hash >= 0 {
		b = num(b, hashIndex, uint64(hash))
	}
	return string(put(b, dataField, data))
}

func read(data []byte) (users []User, ok bool) {
	var r Reader
	if ok = r.Open(data); !ok {
		return nil, false
	}
	for u, more := r.Next(); more; u, more = r.Next() {
		users = append(users, u)
	}
	return users, true
}

// TestGolden reads bytes that were put together by hand from the published format: two keys, an explicit hash key of 2^64,
// three user records, of which the second has the hash key and the third a tag and a field of the future.
func TestGolden(t *testing.T) {
	message := "0a0161" + // partition_key_table: "a"
		"0a026262" + // "bb"
		"1214" + hex.EncodeToString([]byte("18446744073709551616")) + // explicit_hash_key_table
		"1a07" + "0800" + "1a03" + "6f6e65" + // {0, "one"}
		"1a09" + "0801" + "1000" + "1a03" + "74776f" + // {1, 0, "two"}
		"1a11" + "0800" + "1a00" + "2206" + "0a016b" + "120176" + "2d01020304" // {0, "", tag k=v, field 5}
	// MD5 of the message, by md5sum.
	const sum = "03080e36909c41027dd8e80457303f0a"
	data, err := hex.DecodeString("f3899ac2" + message + sum)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := read(data)
	wide := record.HashKey{Hi: 1}
	want := []User{
		{Record: record.Record{Key: []byte("a"), Data: []byte("one")}, Hash: record.Hash([]byte("a"))},
		{Record: record.Record{Key: []byte("bb"), Data: []byte("two"), Explicit: wide, HasExplicit: true}, Sub: 1, Hash: wide},
		{Record: record.Record{Key: []byte("a"), Data: []byte{}}, Sub: 2, Hash: record.Hash([]byte("a"))},
	}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, ok)
	}
}

func TestAnyDamageMakesAnAggregateData(t *testing.T) {
	whole := packed(put(put(put(nil, keyTable, "k"), hashTable, "7"), userField, of(0, 0, "data")))
	if users, ok := read(whole); !ok || len(users) != 1 {
		t.Fatalf("%v, %v", users, ok)
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		if users, ok := read(b); ok {
			t.Errorf("byte %d changed: %v", i, users)
		}
		if _, ok := read(whole[:i]); ok {
			t.Errorf("cut at %d", i)
		}
	}
	key := put(nil, keyTable, "k")
	many := bytes.Repeat(put(nil, keyTable, ""), maxKeys+1)
	for what, message := range map[string][]byte{
		"a key that is not there":         put(key, userField, of(1, -1, "")),
		"a hash key that is not there":    put(key, userField, of(0, 0, "")),
		"a hash key that is none":         put(put(key, hashTable, "-1"), userField, of(0, 0, "")),
		"a hash key of 2^128":             put(put(key, hashTable, "340282366920938463463374607431768211456"), userField, of(0, 0, "")),
		"no key":                          put(key, userField, string(put(nil, dataField, "x"))),
		"no data":                         put(key, userField, string(num(nil, keyIndex, 0))),
		"a key that is text":              put(key, userField, string(put(put(nil, keyIndex, "0"), dataField, ""))),
		"a table of numbers":              num(key, keyTable, 1),
		"a record that ends early":        put(key, userField, of(0, -1, "x")[:4]),
		"a field without a number":        append(bytes.Clone(key), 0, 0),
		"a group":                         append(bytes.Clone(key), 4<<3|3, 4<<3|4),
		"a number without an end":         append(bytes.Clone(key), bytes.Repeat([]byte{0xff}, 11)...),
		"a length beyond the end":         append(bytes.Clone(key), userField<<3|lengthDelimited, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"more keys than a table may have": many,
		"more user records than may be":   append(bytes.Clone(key), bytes.Repeat(put(nil, userField, of(0, -1, "")), MaxUsers+1)...),
	} {
		if users, ok := read(packed(message)); ok {
			t.Errorf("%s: %d user records", what, len(users))
		}
	}
	for _, data := range []string{"", magic, magic + strings.Repeat("\x00", checksum), "{}"} {
		if _, ok := read([]byte(data)); ok {
			t.Errorf("%q", data)
		}
	}
}

func TestFieldsComeInAnyOrder(t *testing.T) {
	users, ok := read(packed(put(put(put(num(nil, 9, 1), userField, of(1, -1, "x")), keyTable, "a"), keyTable, "b")))
	if !ok || len(users) != 1 || string(users[0].Key) != "b" {
		t.Errorf("%+v, %v", users, ok)
	}
	if users, ok := read(packed(put(nil, keyTable, "a"))); !ok || len(users) != 0 {
		t.Errorf("an aggregate of nothing: %v, %v", users, ok)
	}
}

// TestReadingTakesNoMemoryForWhatIsClaimed reads the largest tables and then something small.
func TestReadingTakesNoMemoryForWhatIsClaimed(t *testing.T) {
	message := bytes.Repeat(put(nil, keyTable, ""), maxKeys)
	big := packed(append(message, bytes.Repeat(put(nil, userField, of(0, -1, "")), MaxUsers)...))
	var r Reader
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	if r.Open(big) {
		for _, more := r.Next(); more; _, more = r.Next() {
			n++
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; n != MaxUsers || took > 24<<20 {
		t.Errorf("%d user records took %d bytes", n, took)
	}
	small := packed(put(put(nil, keyTable, "k"), userField, of(0, -1, "x")))
	if !r.Open(small) || cap(r.keys) > keptKeys {
		t.Errorf("memory for %d keys is kept", cap(r.keys))
	}
	if allocs := testing.AllocsPerRun(100, func() {
		r.Open(small)
		r.Next()
	}); allocs > 0 {
		t.Errorf("%v allocations for an aggregate", allocs)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(put(put(put(nil, keyTable, "k"), hashTable, "7"), userField, of(0, 0, "data")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) {
		data := packed(message)
		users, ok := read(data)
		size := 0
		for i, u := range users {
			size += len(u.Data)
			if u.Sub != i || u.HasExplicit && u.Hash != u.Explicit || !u.HasExplicit && u.Hash != record.Hash(u.Key) {
				t.Errorf("%d: %+v", i, u)
			}
		}
		if size > len(message) || !ok && users != nil {
			t.Errorf("%d bytes of %d", size, len(message))
		}
		read(message)
	})
}

func BenchmarkRead(b *testing.B) {
	message := put(nil, keyTable, "k")
	for i := range 100 {
		message = put(message, userField, of(0, -1, fmt.Sprintf(`{"id":%d,"text":"%s"}`, i, strings.Repeat("x", 400))))
	}
	data := packed(message)
	var r Reader
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if !r.Open(data) {
			b.Fatal("no aggregate")
		}
		for _, more := r.Next(); more; _, more = r.Next() {
		}
	}
}
