package agg

import "math/bits"

// texts are texts that can be replaced, each with a number. They lie in a few large pieces of memory, without
// a pointer for each: a million of them are nothing to the garbage collector, and cost no allocation.
type texts struct {
	at     []piece
	blocks [][]byte
	// used is how much of the last block is.
	used int
	// free are places that were left for larger ones, by the room they have.
	free   map[uint32][]piece
	blocky int64
	spare  int64
}

// piece is where a text is and how many bytes there is room for.
type piece struct{ block, from, size, room uint32 }

// Blocks are small at first, for most tables are.
const (
	smallBlock = 256
	largeBlock = 256 << 10
)

func (t *texts) grow(n int) { t.at = extend(t.at, n) }

func (t *texts) memory() int64 {
	return int64(16*cap(t.at)+24*cap(t.blocks)) + t.blocky + 16*t.spare
}

// get is text i, valid until it is set.
func (t *texts) get(i uint32) []byte {
	p := t.at[i]
	if p.size == 0 {
		return nil
	}
	return t.blocks[p.block][p.from : p.from+p.size : p.from+p.size]
}

// set replaces text i by v, which is not one of t.
func (t *texts) set(i uint32, v []byte) {
	p := &t.at[i]
	if n := uint32(len(v)); n > p.room {
		t.leave(*p)
		*p = t.place(roomFor(n))
	}
	p.size = uint32(len(v))
	if p.size > 0 {
		copy(t.blocks[p.block][p.from:], v)
	}
}

// leave keeps a place for another text.
func (t *texts) leave(p piece) {
	if p.room == 0 {
		return
	}
	if t.free == nil {
		t.free = make(map[uint32][]piece)
	}
	t.free[p.room] = append(t.free[p.room], p)
	t.spare++
}

// place is an unused one with some room.
func (t *texts) place(room uint32) piece {
	if free := t.free[room]; len(free) > 0 {
		t.free[room] = free[:len(free)-1]
		t.spare--
		return free[len(free)-1]
	}
	last := len(t.blocks) - 1
	if last < 0 || t.used+int(room) > len(t.blocks[last]) {
		size := smallBlock
		if last >= 0 {
			size = min(max(2*len(t.blocks[last]), smallBlock), largeBlock)
		}
		t.blocks = append(t.blocks, make([]byte, max(size, int(room))))
		t.blocky += int64(max(size, int(room)))
		t.used = 0
		last++
	}
	p := piece{block: uint32(last), from: uint32(t.used), room: room}
	t.used += int(room)
	return p
}

// roomFor is the room of a text of n bytes: at most an eighth more, so that one of nearly the same size can take
// its place, and one of few sizes.
func roomFor(n uint32) uint32 {
	step := uint32(8)
	if n > 64 {
		step = 1 << (bits.Len32(n) - 4)
	}
	return (n + step - 1) / step * step
}
