package sql

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/millrace-io/millrace/sql/agg"
)

// How the base of a group is in a snapshot.
const (
	baseNone   = 0
	baseInline = 1
	baseInPart = 2
)

// Snapshot encodes the groups, or where they are.
func (o *sequenced) Snapshot() ([]byte, error) {
	if err := o.storeAll(); err != nil {
		return nil, err
	}
	out := append(binary.AppendUvarint([]byte{snapshotVersion}, uint64(len(o.shape))), o.shape...)
	out = binary.AppendVarint(out, o.closed)
	out = binary.AppendVarint(out, o.shown)
	out = binary.AppendUvarint(out, uint64(o.arrival))
	out = binary.AppendUvarint(out, uint64(o.used()))
	for i, g := range o.groups {
		if g == nil {
			continue
		}
		out = g.append(binary.AppendUvarint(out, uint64(i)))
		if o.keep == nil {
			g.base = stored{}
		}
	}
	return out, nil
}

// used counts the groups that have keys.
func (o *sequenced) used() int {
	n := 0
	for _, g := range o.groups {
		if g != nil {
			n++
		}
	}
	return n
}

// storeAll writes what changed since the last snapshot and, so that no log grows for ever, some bases.
func (o *sequenced) storeAll() error {
	left := int64(rewrites)
	for _, g := range o.groups {
		if g != nil {
			left += 2 * int64(len(g.log))
		}
	}
	for i, g := range o.groups {
		if g == nil {
			continue
		}
		if o.keep == nil {
			g.dirty = true
		}
		long := g.since+int64(len(g.log)) > g.size
		if g.unit == nil && left > 0 && (len(g.logs) >= maxLogs || g.since > 4*g.size+smallLog) {
			if err := o.load(i); err != nil {
				return err
			}
			g.dirty, g.whole = true, true
			if err := o.evict(g); err != nil {
				return fmt.Errorf("write key group %d: %w", i, err)
			}
			left -= g.size
			continue
		}
		if err := o.store(g, long && left > 0); err != nil {
			return fmt.Errorf("write key group %d: %w", i, err)
		}
		if long && g.since == 0 {
			left -= g.size
		}
	}
	return nil
}

func (g *group) append(dst []byte) []byte {
	switch {
	case g.base.at != nil:
		dst = appendPart(append(dst, baseInPart), *g.base.at)
	case len(g.base.data) > 0:
		dst = binary.AppendUvarint(append(dst, baseInline), uint64(len(g.base.data)))
		dst = append(dst, g.base.data...)
	default:
		dst = append(dst, baseNone)
	}
	dst = binary.AppendUvarint(dst, uint64(len(g.logs)))
	for _, p := range g.logs {
		dst = appendPart(dst, p)
	}
	dst = append(binary.AppendUvarint(dst, uint64(len(g.log))), g.log...)
	if g.base.at == nil && len(g.logs) == 0 {
		return dst
	}
	s := g.sum
	if g.unit != nil {
		s.first = g.unit.earliest()
	}
	for _, v := range []int64{s.low, s.end, s.first} {
		dst = binary.AppendVarint(dst, v)
	}
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(s.rows)), uint64(s.windows))
	return append(dst, flag(s.changed))
}

func appendPart(dst []byte, p Part) []byte {
	for _, v := range []int64{p.File, p.Offset, p.Size} {
		dst = binary.AppendUvarint(dst, uint64(v))
	}
	return dst
}

func readPartAt(r *agg.Reader) Part {
	return Part{File: readNumber(r, "file"), Offset: readNumber(r, "offset"), Size: readNumber(r, "size")}
}

// readNumber reads a number that cannot be negative.
func readNumber(r *agg.Reader, what string) int64 { return int64(min(r.Uvarint(what), math.MaxInt64)) }

// Restore sets the state to a snapshot; see panes.Restore. Groups in parts stay there until they are
// needed.
func (o *sequenced) Restore(snapshot []byte) error {
	fresh := *o
	fresh.start()
	if len(snapshot) > 0 {
		if err := fresh.read(snapshot); err != nil {
			return fmt.Errorf("restore the windows of a query: %w", err)
		}
	}
	*o = fresh
	return nil
}

func (o *sequenced) read(snapshot []byte) error {
	r := agg.NewReader(snapshot)
	if err := checkHeader(r, o.shape); err != nil {
		return err
	}
	o.closed, o.shown, o.arrival = r.Varint("closed"), r.Varint("shown"), readNumber(r, "arrival")
	last := -1
	for range r.Count("groups") {
		i := int(min(r.Uvarint("key group"), math.MaxInt32))
		if r.Err() != nil || i <= last || i >= len(o.groups) {
			return fmt.Errorf("key group %d: %w", i, agg.ErrSnapshot)
		}
		if err := o.readGroup(r, i); err != nil {
			return fmt.Errorf("key group %d: %w", i, err)
		}
		last = i
	}
	return ended(r)
}

func (o *sequenced) readGroup(r *agg.Reader, i int) error {
	g := new(group)
	o.groups[i] = g
	if err := g.read(r); err != nil {
		return err
	}
	if g.base.at != nil || len(g.logs) > 0 {
		return nil
	}
	if err := o.load(i); err != nil {
		return err
	}
	if g.see(); o.keep == nil {
		g.base, g.log, g.whole = stored{}, nil, true
	}
	return nil
}

func (g *group) read(r *agg.Reader) error {
	where := r.Bytes(1, "base")
	if err := r.Err(); err != nil {
		return err
	}
	switch where[0] {
	case baseNone:
	case baseInline:
		g.base.data = append([]byte(nil), r.Bytes(r.Count("base"), "base")...)
		g.size = int64(len(g.base.data))
	case baseInPart:
		at := readPartAt(r)
		g.base.at, g.size = &at, at.Size
	default:
		return fmt.Errorf("base %d of a key group: %w", where[0], agg.ErrSnapshot)
	}
	for range r.Count("logs") {
		p := readPartAt(r)
		g.logs, g.since = append(g.logs, p), g.since+p.Size
	}
	g.log = append([]byte(nil), r.Bytes(r.Count("log"), "log")...)
	if g.base.at == nil && len(g.logs) == 0 {
		return r.Err()
	}
	g.sum = summary{low: r.Varint("low"), end: r.Varint("end"), first: r.Varint("first"), rows: readNumber(r, "rows"), windows: readNumber(r, "windows")}
	changed := r.Bytes(1, "changed")
	g.sum.changed = len(changed) == 1 && changed[0] == 1
	return r.Err()
}
