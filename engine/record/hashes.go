package record

import "hash/maphash"

const (
	// hashSlots times a slot's 40 bytes stay in a core's second cache.
	hashSlots = 4096
	// longestHashed keys are remembered; a longer one is seldom used again.
	longestHashed = 23
)

// Hashes knows the hashes of keys that came lately, because an MD5 costs as much as all else that is done to a
// small record on its way to a shard. The zero value is ready. It belongs to one goroutine at a time.
type Hashes struct {
	seed  maphash.Seed
	slots *[hashSlots]hashSlot
}

// hashSlot holds the last of the keys that share it.
type hashSlot struct {
	hash HashKey
	size uint8 // of the key, plus one; 0 in an empty slot
	key  [longestHashed]byte
}

// Hash is that of the package.
func (h *Hashes) Hash(key []byte) HashKey {
	if len(key) > longestHashed {
		return Hash(key)
	}
	if h.slots == nil {
		h.seed, h.slots = maphash.MakeSeed(), new([hashSlots]hashSlot)
	}
	slot := &h.slots[maphash.Bytes(h.seed, key)%hashSlots]
	if int(slot.size) != len(key)+1 || string(slot.key[:len(key)]) != string(key) {
		slot.hash, slot.size = Hash(key), uint8(len(key)+1)
		copy(slot.key[:], key)
	}
	return slot.hash
}
