package agg

import (
	"math"
	"math/bits"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// A sketch is a HyperLogLog of 4,096 registers, which is off by 1.04/64 in one standard deviation.
const (
	registerBits = 12
	registers    = 1 << registerBits
	// maxRank is the largest value of a register.
	maxRank = 64 - registerBits + 1
	// maxSparse is how many registers a list takes no more memory for than all of them do.
	maxSparse = registers / 4
)

// sketch is the registers of one group. Whether they are a list makes no difference to the result.
type sketch struct {
	// sparse is register<<6 | value, ascending; used until dense is.
	sparse []uint32
	dense  []byte
}

// sketches count different values approximately.
type sketches struct {
	of   column.Type
	all  []sketch
	held int64
}

func (a *sketches) grow(n int) { a.all = extend(a.all, n) }

func (a *sketches) memory() int64 { return int64(48*cap(a.all)) + a.held }

// lasting is the same in every process, since registers are in snapshots.
func lasting(text bool, c *column.Column, row int) uint64 {
	if text {
		return xxh3.Hash(textOf(c, row))
	}
	return spread(wordOf(c, row))
}

func (a *sketches) add(groups []uint32, args []*column.Column, rows []int32) {
	c, text := args[0], textKey(a.of)
	for k, g := range groups {
		r := int(rows[k])
		if c.IsNull(r) {
			continue
		}
		h := lasting(text, c, r)
		rank := byte(bits.LeadingZeros64(h<<registerBits|1<<(registerBits-1)) + 1)
		if s := &a.all[g]; s.dense != nil {
			i := h >> (64 - registerBits)
			s.dense[i] = max(s.dense[i], rank)
		} else {
			a.set(s, uint32(h>>(64-registerBits)), rank)
		}
	}
}

// set raises register i to a rank.
func (a *sketches) set(s *sketch, i uint32, rank byte) {
	if s.dense != nil {
		s.dense[i] = max(s.dense[i], rank)
		return
	}
	at, found := slices.BinarySearchFunc(s.sparse, i, func(e, i uint32) int { return int(e>>6) - int(i) })
	if found {
		s.sparse[at] = max(s.sparse[at], i<<6|uint32(rank))
		return
	}
	before := cap(s.sparse)
	s.sparse = slices.Insert(s.sparse, at, i<<6|uint32(rank))
	a.held += int64(4 * (cap(s.sparse) - before))
	if len(s.sparse) > maxSparse {
		s.dense = make([]byte, registers)
		for _, e := range s.sparse {
			s.dense[e>>6] = byte(e & 63)
		}
		a.held += registers - int64(4*cap(s.sparse))
		s.sparse = nil
	}
}

func (a *sketches) merge(other accumulator, groups, into []uint32) {
	o := other.(*sketches)
	for k, g := range into {
		from := &o.all[groups[k]]
		for _, e := range from.sparse {
			a.set(&a.all[g], e>>6, byte(e&63))
		}
		for i, rank := range from.dense {
			if rank > 0 {
				a.set(&a.all[g], uint32(i), rank)
			}
		}
	}
}

func (a *sketches) result(g int, out *build.Column) {
	var counts [maxRank + 1]int
	s := &a.all[g]
	for _, e := range s.sparse {
		counts[e&63]++
	}
	counts[0] = registers - len(s.sparse)
	if s.dense != nil {
		counts[0] = 0
		for _, rank := range s.dense {
			counts[rank]++
		}
	}
	out.Int(int64(math.Round(cardinality(&counts))))
}

// cardinality is the improved raw estimator of Ertl, "New cardinality estimation algorithms for
// HyperLogLog sketches" (2017), algorithm 6, from how many registers have each value.
func cardinality(counts *[maxRank + 1]int) float64 {
	const m = float64(registers)
	z := m * tau(1-float64(counts[maxRank])/m)
	for k := maxRank - 1; k >= 1; k-- {
		z = (z + float64(counts[k])) / 2
	}
	z += m * sigma(float64(counts[0])/m)
	return m * m / (2 * math.Ln2 * z)
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for before := -1.0; z != before; {
		x *= x
		before = z
		z += x * y
		y += y
	}
	return z
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for before := -1.0; z != before; {
		x = math.Sqrt(x)
		before = z
		y /= 2
		z -= (1 - x) * (1 - x) * y
	}
	return z / 3
}

func (a *sketches) append(dst []byte) []byte {
	for g := range a.all {
		s := &a.all[g]
		dst = append(dst, flag(s.dense != nil))
		if s.dense != nil {
			dst = append(dst, s.dense...)
			continue
		}
		dst = appendUvarint(dst, len(s.sparse))
		for _, e := range s.sparse {
			dst = appendUvarint(dst, int(e))
		}
	}
	return dst
}

func (a *sketches) read(r *Reader, n int) {
	a.grow(n)
	for g := range n {
		if r.err != nil {
			return
		}
		s := &a.all[g]
		if r.flag("registers") {
			a.readDense(r, s)
			continue
		}
		last := -1
		for range r.Count("registers") {
			e := r.Uvarint("register")
			if rank := e & 63; e>>6 >= registers || rank == 0 || rank > maxRank || int(e>>6) <= last {
				r.fail("register")
				return
			}
			last = int(e >> 6)
			a.set(s, uint32(last), byte(e&63))
		}
		if s.dense != nil {
			r.fail("registers")
		}
	}
}

func (a *sketches) readDense(r *Reader, s *sketch) {
	b := r.Bytes(registers, "registers")
	if b == nil {
		return
	}
	for _, rank := range b {
		if rank > maxRank {
			r.fail("register")
			return
		}
	}
	s.dense = slices.Clone(b)
	a.held += registers
}
