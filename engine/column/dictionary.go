package column

import (
	"hash/maphash"
	"unsafe"
)

const (
	// maxDictionary is how many bytes the values of one column's dictionary may take, at
	// dictionaryEntry bytes each beside their text. All columns of a decoder together have
	// allDictionaries, but each has minDictionary.
	maxDictionary   = 1 << 20
	minDictionary   = 16 << 10
	allDictionaries = 16 << 20
	dictionaryEntry = 16
	// dictionaryTrial is after how many values a dictionary must pay: fewer than a quarter
	// of them distinct.
	dictionaryTrial = 8192
	// plainSpell is how many values a column stays plain before a dictionary is tried again, so
	// that an odd start does not decide for the life of the process.
	plainSpell = 1 << 20
)

// dictionary gives ids to the values of one string column across batches.
type dictionary struct {
	// dict has room for more values than len; a new one with the same ids takes its place when
	// the room is used up, so that a reader of the old one never sees it change.
	dict *Dict
	len  int
	size int
	// limit is how many bytes the values may take.
	limit int
	// rows is how many values were looked up since the dictionary was empty.
	rows int
	// table is open addressing: the upper half of a value's hash, and its id plus one.
	table []uint64
	seed  maphash.Seed
	last  int32
	// plain counts down the values that go without a dictionary.
	plain int
}

func newDictionary() *dictionary {
	d := &dictionary{seed: maphash.MakeSeed(), limit: maxDictionary}
	d.clear()
	return d
}

func (d *dictionary) clear() {
	d.len, d.size, d.rows, d.last = 0, 0, 0, 0
	d.dict = newDict(256, 4<<10)
	d.table = make([]uint64, 512)
}

func newDict(values, size int) *Dict {
	return &Dict{Offsets: make([]int32, values+1), Bytes: make([]byte, size), hashes: make([]uint64, values)}
}

func (d *dictionary) text(id int32) []byte {
	return d.dict.Bytes[d.dict.Offsets[id]:d.dict.Offsets[id+1]]
}

// id is the id of s, a new one if need be; ok is false when there is no room for another value.
func (d *dictionary) id(s []byte) (id int32, ok bool) {
	if d.len > 0 && string(d.text(d.last)) == string(s) {
		return d.last, true
	}
	h := maphash.Bytes(d.seed, s)
	mask := uint64(len(d.table) - 1)
	slot := h & mask
	for ; d.table[slot] != 0; slot = (slot + 1) & mask {
		e := d.table[slot]
		if e>>32 != h>>32 {
			continue
		}
		if id = int32(uint32(e)) - 1; string(d.text(id)) == string(s) {
			d.last = id
			return id, true
		}
	}
	if d.size+len(s)+(d.len+1)*dictionaryEntry > d.limit {
		return 0, false
	}
	if d.len == len(d.dict.hashes) || d.size+len(s) > len(d.dict.Bytes) {
		d.grow(len(s))
	}
	copy(d.dict.Bytes[d.size:], s)
	d.size += len(s)
	d.dict.hashes[d.len] = hashText(s)
	d.len++
	d.dict.Offsets[d.len] = int32(d.size)
	d.table[slot] = h>>32<<32 | uint64(d.len)
	d.last = int32(d.len - 1)
	if d.len*2 > len(d.table) {
		d.rehash()
	}
	return d.last, true
}

func (d *dictionary) grow(n int) {
	old := d.dict
	values, size := len(old.hashes), len(old.Bytes)
	if d.len == values {
		values *= 4
	}
	for size < d.size+n {
		size *= 4
	}
	d.dict = newDict(values, min(size, d.limit))
	copy(d.dict.Offsets, old.Offsets[:d.len+1])
	copy(d.dict.Bytes, old.Bytes[:d.size])
	copy(d.dict.hashes, old.hashes[:d.len])
}

func (d *dictionary) rehash() {
	d.table = make([]uint64, len(d.table)*4)
	mask := uint64(len(d.table) - 1)
	for id := range int32(d.len) {
		h := maphash.Bytes(d.seed, d.text(id))
		slot := h & mask
		for d.table[slot] != 0 {
			slot = (slot + 1) & mask
		}
		d.table[slot] = h>>32<<32 | uint64(id+1)
	}
}

// pays reports whether the column should stay a dictionary, after n more values.
func (d *dictionary) pays(n int) bool {
	return d.rows+n < dictionaryTrial || d.len <= (d.rows+n)/4
}

// taken tells the dictionary how a batch of n values ended, plain or not, and so decides what the
// next batch uses.
func (d *dictionary) taken(n int, plain bool) {
	switch {
	case d.plain > 0:
		if d.plain -= min(n, d.plain); d.plain == 0 {
			d.clear()
		}
	case !plain:
		d.rows += n
	case d.rows+n >= dictionaryTrial && d.len <= (d.rows+n)/16:
		// It ran out of room after having paid well: the values drift. Start over.
		d.clear()
	default:
		d.clear()
		d.plain = plainSpell
	}
}

// view is b as a string, for calls that only look at it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// bytesOf is s as bytes, for calls that only look at them.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
