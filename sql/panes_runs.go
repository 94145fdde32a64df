package sql

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/sql/agg"
)

// run is groups that a bucket had no room for. Unlike a part, it does not replace what came before: the
// groups of a bucket are those of its runs and of its table, folded in that order. It is divided by key
// groups, so that no more than one of these need be in memory when a window leaves.
type run struct {
	sections [agg.KeyGroups]Part
	// groups is how many it has, level how often it was made of others.
	groups, level int64
}

// Limits of runs.
const (
	// fanIn is how many runs of a level become one of the next.
	fanIn = 8
	// fewGroups is up to how many groups it is their different values that runs are divided by.
	fewGroups = 4096
)

// spill makes runs of buckets that grow, the largest first, until the others fit the memory. It is part
// of a snapshot, so that what is folded with what does not depend on when rows were read.
func (o *panes) spill() error {
	held := o.Memory()
	if o.keep == nil || held <= o.room {
		return nil
	}
	var hot []*bucket
	for _, buckets := range o.shards {
		for _, b := range buckets {
			if b.table != nil && b.dirty != nil && b.table.Memory() > smallTable {
				hot = append(hot, b)
			}
		}
	}
	slices.SortFunc(hot, func(a, b *bucket) int {
		return cmp.Or(cmp.Compare(b.table.Memory(), a.table.Memory()), cmp.Compare(a.pane.Start, b.pane.Start))
	})
	for ; len(hot) > 0 && held > o.room/2; hot = hot[1:] {
		held -= hot[0].memory()
		if err := o.toRun(hot[0]); err != nil {
			return fmt.Errorf("write groups of the window pane at %d: %w", hot[0].pane.Start, err)
		}
		held += hot[0].memory()
	}
	return nil
}

// smallTable is the memory in bytes of a table that makes no run.
const smallTable = 4 << 10

// toRun writes the table of a bucket as a run and begins another one.
func (o *panes) toRun(b *bucket) error {
	if err := o.load(b); err != nil {
		return err
	}
	if !o.divided {
		o.divided, o.byValue = true, o.plan.layout.Divisible() && b.table.Len() <= fewGroups
	}
	x := run{groups: int64(b.table.Len())}
	sections := b.table.Divide(o.byValue)
	for i := range x.sections {
		t := o.plan.layout.New()
		t.MergeSection(sections, i)
		if err := o.writeSection(&x, i, t); err != nil {
			return err
		}
	}
	table := o.plan.layout.New()
	if fresh := b.fresh.list(nil); len(fresh) > 0 {
		// These are yet to be shown.
		b.fresh = nil
		b.fresh.set(table.MergeKeys(b.table, fresh))
	}
	b.table, b.parts, b.dirty, b.rewritten, b.old = table, nil, bits{}, 0, 0
	b.runs = append(b.runs, x)
	return o.join(b)
}

func (o *panes) writeSection(x *run, i int, t *agg.Table) (err error) {
	if t.Len() > 0 {
		x.sections[i], err = o.keep.Write(t.Append(nil))
	}
	return err
}

// join makes one run of the last ones once there are many of a level.
func (o *panes) join(b *bucket) error {
	for {
		n := len(b.runs)
		from := n
		for from > 0 && b.runs[from-1].level == b.runs[n-1].level {
			from--
		}
		if n-from < fanIn {
			return nil
		}
		x := run{level: b.runs[n-1].level + 1}
		for i := range x.sections {
			t := o.plan.layout.New()
			for _, r := range b.runs[from:] {
				if err := o.fold(t, r, i); err != nil {
					return err
				}
			}
			x.groups += int64(t.Len())
			if err := o.writeSection(&x, i, t); err != nil {
				return err
			}
		}
		b.runs = append(b.runs[:from], x)
	}
}

// fold adds a section of a run to a table.
func (o *panes) fold(t *agg.Table, r run, i int) error {
	if r.sections[i].Size == 0 {
		return nil
	}
	s, err := o.readPart(r.sections[i])
	if err != nil {
		return err
	}
	t.Merge(s)
	return nil
}

// groups is how many a bucket has, or more.
func (b *bucket) groups() int64 {
	n := b.count
	if b.table != nil {
		n = int64(b.table.Len())
	}
	for _, r := range b.runs {
		n += r.groups
	}
	return n
}

// sectioned reports whether the groups of a window are too many, or too large, to be in memory at once. It is
// no matter of what is in memory now, so that a chunk that is redone has the same rows.
func (o *panes) sectioned(w leaving) (bool, error) {
	if w.End == o.barred || slices.ContainsFunc(w.buckets, func(b *bucket) bool { return len(b.runs) > 0 }) {
		return true, nil
	}
	n := w.groups()
	if o.keep == nil || o.limit == 0 || n <= min(int64(o.limit), o.few()) {
		return false, nil
	}
	if n > int64(o.limit) {
		return true, nil
	}
	return o.heavy(w, int64(o.limit)*leavingRow)
}

// heavy reports whether the groups of a window take more than some bytes, as they would be written.
func (o *panes) heavy(w leaving, most int64) (bool, error) {
	held := int64(0)
	for _, b := range w.buckets {
		held += b.memory()
		for _, p := range b.parts {
			held += 2 * p.Size
		}
	}
	if held <= most {
		// In memory and in parts they take more.
		return false, nil
	}
	size, some := int64(0), make([]uint32, 0, agg.KeyGroups)
	for _, b := range w.buckets {
		t, err := o.groupsOf(b)
		if err != nil {
			return false, err
		}
		for g := 0; g < t.Len() && size <= most; {
			for some = some[:0]; g < t.Len() && len(some) < cap(some); g++ {
				some = append(some, uint32(g))
			}
			size += int64(t.PickedSize(some))
		}
	}
	return size > most, nil
}

// few is up to how many groups leave at once, whatever memory they take: dividing them is no use, or is done by
// the values that they count, which do not leave.
func (o *panes) few() int64 {
	if o.plan.layout.Divisible() {
		return fewGroups
	}
	return agg.KeyGroups
}

// section is some groups of a window in the order in which they leave.
type section struct {
	table *agg.Table
	order []int
}

// inSections gives a window's groups section by section, from one on, until take says that it is enough; it
// returns the section to go on with.
func (o *panes) inSections(w leaving, from int, order func(t *agg.Table) []int, take func(t *agg.Table, groups []int) (more bool)) (int, error) {
	divided, err := o.divideAll(w)
	if err != nil {
		return 0, err
	}
	next, all := agg.KeyGroups, o.plan.layout.New()
	err = inOrder(o.lanes, from, agg.KeyGroups, func(i int) (section, error) {
		t, err := o.section(w, divided, i)
		if err != nil || o.byValue {
			return section{table: t}, err
		}
		return section{table: t, order: order(t)}, nil
	}, func(i int, s section) bool {
		switch {
		case o.byValue:
			all.Merge(s.table)
			all.Settle()
		case s.table.Len() > 0 && !take(s.table, s.order):
			next = i + 1
			return false
		}
		return true
	})
	if err != nil {
		return 0, err
	}
	if o.byValue {
		take(all, order(all))
	}
	return next, nil
}

// divideAll divides the tables of the buckets of a window.
func (o *panes) divideAll(w leaving) ([]*agg.Sections, error) {
	divided := make([]*agg.Sections, len(w.buckets))
	for n, b := range w.buckets {
		switch {
		case b.table != nil:
		case len(b.parts) > 0:
			// It would be read again for each section.
			if err := o.toRun(b); err != nil {
				return nil, err
			}
		default:
			b.table = o.plan.layout.New()
		}
		if !o.divided {
			o.divided, o.byValue = true, false
		}
		divided[n] = b.table.Divide(o.byValue)
	}
	return divided, nil
}

// section is the groups of a window in a section.
func (o *panes) section(w leaving, divided []*agg.Sections, i int) (*agg.Table, error) {
	t := o.plan.layout.New()
	for n, b := range w.buckets {
		for _, r := range b.runs {
			if err := o.fold(t, r, i); err != nil {
				return nil, fmt.Errorf("read groups of the window pane at %d: %w", b.pane.Start, err)
			}
		}
		t.MergeSection(divided[n], i)
	}
	return t, nil
}

func (b *bucket) appendRuns(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b.runs)))
	for _, r := range b.runs {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(r.groups)), uint64(r.level))
		var last Part
		for _, s := range r.sections {
			dst = binary.AppendUvarint(dst, uint64(s.Size))
			if s.Size == 0 {
				continue
			}
			dst = binary.AppendVarint(dst, s.File-last.File)
			dst = binary.AppendVarint(dst, s.Offset-last.Offset-last.Size)
			last = s
		}
	}
	return dst
}

func (b *bucket) readRuns(r *agg.Reader) {
	for range r.Count("runs") {
		x := run{groups: readNumber(r, "groups"), level: readNumber(r, "level")}
		var last Part
		for i := range x.sections {
			s := Part{Size: readNumber(r, "size")}
			if s.Size == 0 {
				continue
			}
			s.File, s.Offset = last.File+r.Varint("file"), last.Offset+last.Size+r.Varint("offset")
			x.sections[i], last = s, s
		}
		if r.Err() != nil {
			return
		}
		b.runs = append(b.runs, x)
	}
}
