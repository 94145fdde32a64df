package sql

import (
	"math"
	mathbits "math/bits"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/temporal"
	"github.com/millrace-io/millrace/sql/window"
)

// bucket is the groups of one pane in one shard. Rows that came when some windows of the pane were
// closed already have a bucket of their own, since they count in the later windows only.
type bucket struct {
	pane window.Span
	// first is the end of the first window that the rows count in.
	first int64
	// table is nil while the groups are in parts only.
	table *agg.Table
	// dirty has a bit for each group that changed since the last snapshot; parts have the groups as of
	// then, later ones in place of earlier. Groups before rewritten were written again since there were
	// old parts.
	dirty          bits
	parts          []Part
	rewritten, old int
	// runs are groups that there was no room for; count is how many the parts have.
	runs  []run
	count int64
	// fresh has a bit for each group that changed since its windows were last shown; it is used by
	// queries that show windows before they close.
	fresh bits
	// mark is the number of the current batch if touch is the place in folder.touched.
	mark  int64
	touch int
}

// panes runs a windowPlan whose windows are made of panes. Each shard has buckets of its own: the
// rows of a shard arrive in order, so its sums depend on nothing else; Emit adds the shards up in
// the order of their ids.
type panes struct {
	// folder is the first one of all of them.
	folder
	folders []*folder
	lanes   *lanes
	// shards has the buckets by ascending pane and first window.
	shards map[record.ShardID][]*bucket
	// closed is the end of what was emitted: windows that end by then take no rows any more.
	closed int64
	// shown is the last multiple of EMIT EVERY at which windows were shown.
	shown int64

	keep Parts
	room int64
	// limit is after how many rows Emit leaves the rest for the next one: the window that ends at barred
	// goes on with section next.
	limit  int
	barred int64
	next   int
	// divided is set once runs were made, byValue if these are divided by different values.
	divided, byValue bool

	// encoded is memory that pieces are encoded in.
	encoded []byte
}

func newPanes(p *windowPlan) *panes {
	o := &panes{shards: make(map[record.ShardID][]*bucket), closed: math.MinInt64, shown: math.MinInt64, barred: math.MinInt64}
	o.folder = *newFolder(o, p)
	o.folders = []*folder{&o.folder}
	return o
}

// divide makes folders with programs of their own.
func (o *panes) divide(l *lanes) []Adder {
	o.lanes, o.keep = l, l.guard(o.keep)
	latest := int64(0)
	for _, f := range o.folders {
		latest = max(latest, f.batches)
		o.due, o.stale = min(o.due, f.due), o.stale || f.stale
	}
	out := adders(l, &o.folders, func() *folder { return newFolder(o, o.plan) })
	for i, f := range o.folders {
		f.batches, f.step = latest+int64(i), int64(l.n)
	}
	return out
}

// closes is when the next window does.
func (o *panes) closes() int64 {
	due := int64(math.MaxInt64)
	for _, f := range o.folders {
		due = min(due, f.due)
	}
	return due
}

// Memory is the size of the open panes.
func (o *panes) Memory() int64 {
	n := int64(0)
	for _, buckets := range o.shards {
		for _, b := range buckets {
			n += b.memory()
		}
	}
	return n
}

// plus and minus move a time; watermarks that are no time stay what they are.
func plus(at, by int64) int64 {
	if sum, ok := temporal.AddInt(at, by); ok {
		return sum
	}
	return math.MaxInt64
}

func minus(watermark, by int64) int64 {
	if watermark == column.MaxWatermark {
		return watermark
	}
	if d, ok := temporal.SubInt(watermark, by); ok {
		return d
	}
	return column.MinWatermark
}

// bits is a set of group numbers.
type bits []uint64

func (s *bits) set(groups []uint32) {
	for _, g := range groups {
		w := int(g >> 6)
		for w >= len(*s) {
			*s = append(*s, 0)
		}
		(*s)[w] |= 1 << (g & 63)
	}
}

// list appends the members in order.
func (s bits) list(dst []uint32) []uint32 {
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			dst = append(dst, uint32(w<<6+mathbits.TrailingZeros64(word)))
		}
	}
	return dst
}

// has reports whether g is a member.
func (s bits) has(g uint32) bool {
	w := int(g >> 6)
	return w < len(s) && s[w]&(1<<(g&63)) != 0
}

// within reports whether all members are below n.
func (s bits) within(n int) bool {
	full := n >> 6
	for w, word := range s {
		if w > full && word != 0 || w == full && word>>(n&63) != 0 {
			return false
		}
	}
	return true
}
