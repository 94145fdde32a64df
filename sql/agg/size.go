package agg

import "encoding/binary"

// sized is an accumulator that knows how many bytes append would write of some groups, picked in this order,
// without making a copy of them.
type sized interface {
	written(groups []uint32) int
}

// PickedSize is how many bytes Append writes of what Pick makes of some groups.
func (t *Table) PickedSize(groups []uint32) int {
	n := uvarintSize(len(groups))
	for i := range t.keys {
		for _, g := range groups {
			n += t.keys[i].size(int(g))
		}
	}
	var into []uint32
	for i, a := range t.accs {
		if s, ok := a.(sized); ok {
			n += s.written(groups)
			continue
		}
		if into == nil {
			into = inOrder(len(groups))
		}
		picked := t.layout.accumulator(t.layout.Aggs[i])
		picked.grow(len(groups))
		picked.merge(a, groups, into)
		n += len(picked.append(nil))
	}
	return n
}

func inOrder(n int) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = uint32(i)
	}
	return all
}

func uvarintSize(v int) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

func varintSize(v int64) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutVarint(b[:], v)
}

func bytesSize(n int) int { return uvarintSize(n) + n }

func (k *keys) size(g int) int {
	switch {
	case k.null[g]:
		return 1
	case k.text:
		return 1 + bytesSize(len(k.at(g)))
	}
	return 1 + 8
}

func (c *cells) size(g uint32) int {
	if c.text() {
		return bytesSize(len(c.texts.get(g)))
	}
	return 8
}

func (a *distinct) written(groups []uint32) int {
	n, all := 0, 0
	for at, g := range groups {
		values := int(a.size[g])
		all += values
		n += values * uvarintSize(at)
		if !a.values.text {
			n += values * (1 + 8)
			continue
		}
		for i := a.head[g]; i != 0; i = a.next[i-1] {
			n += a.values.size(int(i - 1))
		}
	}
	return n + uvarintSize(all)
}

func (a *best) written(groups []uint32) int {
	n := len(groups)
	for _, g := range groups {
		if !a.seen[g] {
			continue
		}
		n += a.order.size(g)
		if a.value != nil {
			n += a.value.size(g)
		}
		if a.timed {
			n += varintSize(a.times[g])
		}
	}
	return n
}

func (a *rankings) written(groups []uint32) int {
	n := 0
	for _, g := range groups {
		n += uvarintSize(len(a.groups[g]))
		for _, slot := range a.groups[g] {
			n += varintSize(a.times[slot]) + a.order.size(slot) + a.value.size(slot)
		}
	}
	return n
}
