package sql

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/sql/agg"
)

// partGroups is from how many groups, and partMemory from how many bytes on, a bucket is in parts; smaller ones are written with every
// snapshot. Beside what changed, a snapshot writes as much again and one group in rewriteShare of what
// did not, in turn, so that old parts come to an end without a pause for writing everything.
const (
	partGroups   = 256
	partMemory   = 64 << 10
	rewriteShare = 256
)

// How the groups of a bucket are in a snapshot.
const (
	groupsInline = 0
	groupsInPart = 1
)

// Keep sets where snapshots put large buckets.
func (o *panes) Keep(in Parts, room int64) { o.keep, o.room = o.lanes.guard(in), room }

// Files are those that the last snapshot refers to.
func (o *panes) Files() []int64 {
	var out []int64
	for _, buckets := range o.shards {
		for _, b := range buckets {
			for _, p := range b.parts {
				out = append(out, p.File)
			}
			for _, r := range b.runs {
				for _, s := range r.sections {
					if s.Size > 0 {
						out = append(out, s.File)
					}
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Shed drops the tables of buckets that have not changed since the last snapshot.
func (o *panes) Shed(bytes int64) error {
	var clean []*bucket
	for _, buckets := range o.shards {
		for _, b := range buckets {
			if b.table != nil && len(b.parts) > 0 && b.dirty == nil && len(b.fresh) == 0 {
				clean = append(clean, b)
			}
		}
	}
	slices.SortFunc(clean, func(a, b *bucket) int {
		return cmp.Or(cmp.Compare(a.mark, b.mark), cmp.Compare(a.pane.Start, b.pane.Start))
	})
	for held := o.Memory(); len(clean) > 0 && held > bytes; clean = clean[1:] {
		held -= clean[0].table.Memory()
		clean[0].count, clean[0].table = int64(clean[0].table.Len()), nil
	}
	return nil
}

func (b *bucket) memory() int64 {
	n := int64(128 + 8*(cap(b.fresh)+cap(b.dirty)) + 24*cap(b.parts) + (agg.KeyGroups*24+16)*cap(b.runs))
	if b.table != nil {
		n += b.table.Memory()
	}
	return n
}

// valid reports whether a bucket that was read has groups, and only those have changed.
func (b *bucket) valid() bool {
	if b.table == nil {
		return len(b.parts) > 0
	}
	return b.table.Len()+len(b.runs) > 0 && b.fresh.within(b.table.Len())
}

// load brings the groups of a bucket back to memory.
func (o *panes) load(b *bucket) (err error) {
	if b.table == nil {
		b.table, err = o.groupsOf(b)
		b.rewritten, b.old = 0, len(b.parts)
	}
	return err
}

// groupsOf is the groups of a bucket; those in parts are not kept in memory.
func (o *panes) groupsOf(b *bucket) (*agg.Table, error) {
	if b.table != nil {
		return b.table, nil
	}
	var out *agg.Table
	for i := len(b.parts) - 1; i >= 0; i-- {
		t, err := o.readPart(b.parts[i])
		if err != nil {
			return nil, fmt.Errorf("read groups of the window pane at %d: %w", b.pane.Start, err)
		}
		if out == nil {
			out = t
			continue
		}
		// What a later part has replaces this.
		out.MergeGroups(t, absent(out, t))
	}
	return out, nil
}

func (o *panes) readPart(p Part) (*agg.Table, error) {
	if o.keep == nil {
		return nil, fmt.Errorf("the state has parts, but nowhere to read them from")
	}
	piece, err := o.keep.Read(p)
	if err != nil {
		return nil, err
	}
	r := agg.NewReader(piece)
	t := o.plan.layout.Read(r)
	return t, ended(r)
}

// absent are the groups of t that are not in into.
func absent(into, t *agg.Table) []uint32 {
	all := make([]uint32, t.Len())
	for i := range all {
		all[i] = uint32(i)
	}
	places := into.Locate(t, all, nil)
	return slices.DeleteFunc(all, func(g uint32) bool { return places[g] != agg.NoGroup })
}

// appendGroups appends the groups of a bucket to a snapshot, or where they are.
func (o *panes) appendGroups(dst []byte, b *bucket) ([]byte, error) {
	if o.keep == nil || b.table != nil && len(b.parts) == 0 && b.table.Len() < partGroups && b.table.Memory() < partMemory {
		return b.table.Append(append(dst, groupsInline)), nil
	}
	if err := o.store(b); err != nil {
		return nil, fmt.Errorf("write groups of the window pane at %d: %w", b.pane.Start, err)
	}
	if b.table != nil {
		b.count = int64(b.table.Len())
	}
	dst = binary.AppendUvarint(append(dst, groupsInPart), uint64(b.count))
	dst = binary.AppendUvarint(dst, uint64(len(b.parts)))
	for _, p := range b.parts {
		dst = appendPart(dst, p)
	}
	return dst, nil
}

// store writes what changed since the last snapshot and a little of the rest.
func (o *panes) store(b *bucket) error {
	if b.table == nil || len(b.parts) > 0 && b.dirty == nil {
		return nil
	}
	n, t := b.table.Len(), b.table
	changed := b.dirty.list(nil)
	through := min(b.rewritten+len(changed)+n/rewriteShare+1, n)
	whole := len(b.parts) == 0 || 2*(len(changed)+through-b.rewritten) >= n
	if !whole {
		for g := b.rewritten; g < through; g++ {
			if !b.dirty.has(uint32(g)) {
				changed = append(changed, uint32(g))
			}
		}
		t = b.table.Pick(changed)
	}
	o.encoded = t.Append(o.encoded[:0])
	p, err := o.keep.Write(o.encoded)
	if err != nil {
		return err
	}
	b.dirty = nil
	if whole {
		b.parts, b.rewritten, b.old = []Part{p}, 0, 1
		return nil
	}
	b.parts = append(b.parts, p)
	if b.rewritten = through; through == n {
		b.parts = slices.Delete(b.parts, 0, b.old)
		b.rewritten, b.old = 0, len(b.parts)
	}
	return nil
}

// readGroups reads what appendGroups wrote. Groups in parts stay there until they are needed, unless
// some of them are to be shown.
func (o *panes) readGroups(r *agg.Reader, b *bucket) {
	where := r.Bytes(1, "groups")
	if len(where) == 1 && where[0] == groupsInline {
		b.table = o.plan.layout.Read(r)
		return
	}
	b.count = readNumber(r, "groups")
	for range r.Count("parts") {
		b.parts = append(b.parts, readPartAt(r))
	}
}
