package agg

import (
	"hash/maphash"

	"github.com/millrace-io/millrace/engine/column"
)

// set is the different values of each group, in the order in which they first came.
type set struct {
	layout *Layout
	values keys
	// group is that of each value; next is the value of the same group before it, plus one.
	group, next []uint32
	// head is the last value of each group, plus one; size is how many it has.
	head, size []uint32
	// slots are open addressing, a value plus one or 0.
	slots []uint32
}

func newSet(l *Layout, t column.Type) set {
	return set{layout: l, values: keys{text: textKey(t)}}
}

func (s *set) grow(n int) { s.head, s.size = extend(s.head, n), extend(s.size, n) }

func (s *set) memory() int64 {
	return s.values.memory() + int64(4*(cap(s.group)+cap(s.next)+cap(s.head)+cap(s.size)+cap(s.slots)))
}

func (s *set) hashRow(g uint32, c *column.Column, row int) uint64 {
	if s.values.text {
		return s.layout.mix(uint64(g), maphash.Bytes(s.layout.seed, textOf(c, row)))
	}
	return s.layout.mix(uint64(g)*nullWord, wordOf(c, row))
}

// hashOf is the hash of value i as one of group g.
func (s *set) hashOf(o *set, i int, g uint32) uint64 {
	if s.values.text {
		return s.layout.mix(uint64(g), maphash.Bytes(s.layout.seed, o.values.at(i)))
	}
	return s.layout.mix(uint64(g)*nullWord, o.values.words[i])
}

// put is the place of a value, which must not be null.
func (s *set) put(g uint32, c *column.Column, row int) int {
	h := s.hashRow(g, c, row)
	if i := s.find(h, func(i int) bool { return s.group[i] == g && s.values.holds(i, c, row) }); i >= 0 {
		return i
	}
	s.values.add(c, row)
	return s.enter(g, h)
}

// probes is how many words are looked for at once.
const probes = 256

// probe is words to look for in a set, each with its group and the place that it comes from.
type probe struct {
	n      int
	groups [probes]uint32
	words  [probes]uint64
	at     [probes]int32
	hashes [probes]uint64
	// found are values plus one; behind strange the first one is it, but for those that it returns.
	found [probes][2]uint32
	// marks are the conditions that the words came with.
	marks [probes]uint8
	rest  [probes]uint16
}

// strange are the indices of words that may not be in s, which has words. A large set is not in the CPU's caches: loads
// that do not wait for each other overlap.
func (s *set) strange(p *probe) []uint16 {
	rest := p.rest[:0]
	if len(s.slots) == 0 {
		for k := range p.n {
			rest = append(rest, uint16(k))
		}
		return rest
	}
	mask := uint64(len(s.slots) - 1)
	for k, w := range p.words[:p.n] {
		p.hashes[k] = s.layout.mix(uint64(p.groups[k])*nullWord, w)
	}
	for k, h := range p.hashes[:p.n] {
		p.found[k] = [2]uint32{s.slots[h&mask], s.slots[(h+1)&mask]}
	}
	for k, i := range p.found[:p.n] {
		switch {
		case i[0] != 0 && s.is(i[0], p, k):
		case i[0] != 0 && i[1] != 0 && s.is(i[1], p, k):
			p.found[k][0] = i[1]
		default:
			rest = append(rest, uint16(k))
		}
	}
	return rest
}

// is reports whether value i, counted from 1, is word k of p.
func (s *set) is(i uint32, p *probe, k int) bool {
	return s.values.words[i-1] == p.words[k] && s.group[i-1] == p.groups[k]
}

// take is the place of value i of o as one of group g.
func (s *set) take(g uint32, o *set, i int) int {
	h := s.hashOf(o, i, g)
	if mine := s.find(h, func(mine int) bool { return s.group[mine] == g && s.values.same(mine, &o.values, i) }); mine >= 0 {
		return mine
	}
	s.values.copyFrom(&o.values, i)
	return s.enter(g, h)
}

func (s *set) find(h uint64, equal func(i int) bool) int {
	if len(s.slots) == 0 {
		return -1
	}
	mask := uint64(len(s.slots) - 1)
	for slot := h & mask; s.slots[slot] != 0; slot = (slot + 1) & mask {
		if i := int(s.slots[slot] - 1); equal(i) {
			return i
		}
	}
	return -1
}

// enter makes the value that was appended last one of group g.
func (s *set) enter(g uint32, h uint64) int {
	i := len(s.group)
	s.group, s.next = append(s.group, g), append(s.next, s.head[g])
	s.head[g] = uint32(i) + 1
	s.size[g]++
	if 4*(i+1) > 3*len(s.slots) {
		s.slots = make([]uint32, max(16, 2*len(s.slots)))
		for k := range i {
			s.place(s.hashOf(s, k, s.group[k]), k)
		}
	}
	s.place(h, i)
	return i
}

func (s *set) place(h uint64, i int) {
	mask := uint64(len(s.slots) - 1)
	slot := h & mask
	for s.slots[slot] != 0 {
		slot = (slot + 1) & mask
	}
	s.slots[slot] = uint32(i) + 1
}

// of appends the values of a group to dst, the latest first.
func (s *set) of(g uint32, dst []uint32) []uint32 {
	for i := s.head[g]; i != 0; i = s.next[i-1] {
		dst = append(dst, i-1)
	}
	return dst
}

// append writes the values in their order, with their groups.
func (s *set) append(dst []byte) []byte {
	dst = appendUvarint(dst, len(s.group))
	for i, g := range s.group {
		dst = appendUvarint(dst, int(g))
		dst = s.values.append(dst, i)
	}
	return dst
}

// read reads what append wrote, of n groups.
func (s *set) read(r *Reader, n int, fixed bool) {
	s.grow(n)
	for i := range r.Count("values") {
		g := r.Uvarint("group of a value")
		s.values.read(r, 1, fixed)
		if r.err != nil {
			return
		}
		if g >= uint64(n) || s.values.null[i] {
			r.fail("value")
			return
		}
		h := s.hashOf(s, i, uint32(g))
		if s.find(h, func(k int) bool { return s.group[k] == uint32(g) && s.values.same(k, &s.values, i) }) >= 0 {
			r.fail("value")
			return
		}
		s.enter(uint32(g), h)
	}
}
