package vfs

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
)

// sector is the unit in which unsynced bytes survive a crash or not.
const sector = 512

// Crash returns what the disk would hold after a power cut now. All that was synced is there; of
// the rest, each name of a directory and each sector of a file is kept or lost by lot. Nobody
// holds a lock in it. m itself is not changed.
func (m *Mem) Crash(r *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	// Some power cuts lose or keep everything; those in between are the nasty ones.
	keep := []int{0, 20, 50, 80, 100}[r.IntN(5)]
	c.root = m.root.crash(func() bool { return r.IntN(100) < keep }, r)
	c.used = c.root.bytes()
	return c
}

// Restart returns what another process finds after this one was killed: all that was written,
// while the operating system lives on. What was not synced is still not.
func (m *Mem) Restart() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	c.root = m.root.clone(map[any]any{})
	c.used = m.used
	return c
}

func (d *memDir) crash(keep func() bool, r *rand.Rand) *memDir {
	names := maps.Clone(d.live)
	maps.Copy(names, d.synced)
	c := newDir()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		entry, ok := d.synced[name]
		if live, is := d.live[name]; (is != ok || live != entry) && keep() {
			entry, ok = live, is
		}
		if !ok {
			continue
		}
		switch e := entry.(type) {
		case *memDir:
			c.live[name] = e.crash(keep, r)
		case *memNode:
			c.live[name] = e.crash(keep, r)
		}
	}
	c.synced = maps.Clone(c.live)
	return c
}

func (n *memNode) crash(keep func() bool, r *rand.Rand) *memNode {
	size := len(n.synced)
	if size != len(n.live) && keep() {
		lo, hi := min(size, len(n.live)), max(size, len(n.live))
		size = len(n.live)
		if r.IntN(3) == 0 {
			size = lo + r.IntN(hi-lo+1)
		}
	}
	content := make([]byte, size)
	copy(content, n.synced)
	for at := 0; at < size; at += sector {
		to := min(at+sector, size)
		if at >= len(n.live) {
			break
		}
		live := n.live[at:min(to, len(n.live))]
		if !bytes.Equal(content[at:at+len(live)], live) && keep() {
			copy(content[at:to], live)
		}
	}
	return &memNode{live: content, synced: bytes.Clone(content)}
}

func (d *memDir) clone(seen map[any]any) *memDir {
	c := newDir()
	for from, to := range map[*map[string]any]map[string]any{&d.live: c.live, &d.synced: c.synced} {
		for name, entry := range *from {
			if seen[entry] == nil {
				switch e := entry.(type) {
				case *memDir:
					seen[entry] = e.clone(seen)
				case *memNode:
					seen[entry] = &memNode{live: bytes.Clone(e.live), synced: bytes.Clone(e.synced), lo: e.lo, hi: e.hi}
				}
			}
			to[name] = seen[entry]
		}
	}
	return c
}

func (d *memDir) bytes() int64 {
	var sum int64
	for _, entry := range d.live {
		switch e := entry.(type) {
		case *memDir:
			sum += e.bytes()
		case *memNode:
			sum += int64(len(e.live))
		}
	}
	return sum
}
