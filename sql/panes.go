package sql

import (
	"cmp"
	"math"
	mathbits "math/bits"
	"slices"

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
	// mark is the number of the current batch if touch is the place in panes.touched.
	mark  int64
	touch int
}

// touched is a bucket that the current batch has rows for.
type touched struct {
	bucket *bucket
	rows   []int32
}

// panes runs a windowPlan whose windows are made of panes. Each shard has buckets of its own: the
// rows of a shard arrive in order, so its sums depend on nothing else; Emit adds the shards up in
// the order of their ids.
type panes struct {
	stage
	// shards has the buckets by ascending pane and first window.
	shards map[record.ShardID][]*bucket
	// closed is the end of what was emitted: windows that end by then take no rows any more.
	closed int64
	// shown is the last multiple of EMIT EVERY at which windows were shown; stale is set when one
	// changed since.
	shown int64
	stale bool
	// due is when the next window closes.
	due int64

	keep Parts
	room int64
	// limit is after how many rows Emit leaves the rest for the next one: the window that ends at barred
	// goes on with section next.
	limit  int
	barred int64
	next   int
	// divided is set once runs were made, byValue if these are divided by different values.
	divided, byValue bool

	batches int64
	touched []touched
	groups  []uint32
	key     agg.Batch
	// encoded is memory that pieces are encoded in.
	encoded []byte
}

func newPanes(p *windowPlan) *panes {
	return &panes{stage: newStage(p), shards: make(map[record.ShardID][]*bucket), closed: math.MinInt64, shown: math.MinInt64, due: math.MaxInt64, barred: math.MinInt64}
}

// Add folds the selected rows of b into the panes of their shard.
func (o *panes) Add(b *column.Batch) (Taken, error) {
	var taken Taken
	event, err := o.admit(b, &taken)
	if err != nil || event == nil {
		return taken, err
	}
	o.place(b, event, &taken)
	for i := range o.touched {
		if err := o.load(o.touched[i].bucket); err != nil {
			return taken, err
		}
	}
	o.plan.layout.Prepare(&o.key, o.keyCols, o.view.Selection, b.Rows)
	for i := range o.touched {
		t := &o.touched[i]
		o.groups = t.bucket.table.Find(&o.key, t.rows, o.groups[:0])
		t.bucket.table.Add(o.groups, o.argCols, t.rows)
		if o.keep != nil {
			t.bucket.dirty.set(o.groups)
		}
		if o.plan.early() {
			t.bucket.fresh.set(o.groups)
			o.stale = true
		}
		taken.Aggregated += int64(len(t.rows))
	}
	return taken, nil
}

// place sorts the rows of o.view into o.touched by pane.
func (o *panes) place(b *column.Batch, event *column.Column, taken *Taken) {
	o.batches++
	o.touched = o.touched[:0]
	marks, times, closed, lateness := b.Watermarks, event.Int64s, max(o.closed, o.barred), o.plan.lateness
	// The pane of the last row, its place in touched or -1, and its rows so far.
	var pane window.Span
	first, limit, at := int64(0), int64(0), -1
	var rows []int32
	for _, r := range o.view.Selection {
		if event.Valid != nil && !event.Valid.Get(int(r)) {
			taken.Filtered++
			continue
		}
		if ts := times[r]; ts < pane.Start || ts >= pane.End {
			if at >= 0 {
				o.touched[at].rows = rows
				at = -1
			}
			var fits bool
			if pane, first, fits = o.locate(ts); !fits {
				pane = window.Span{}
				taken.Filtered++
				continue
			}
			limit = plus(first, lateness)
		}
		if first <= closed || marks != nil && limit <= marks[r] {
			if at := o.late(b, pane, r); at >= 0 {
				o.touched[at].rows = append(o.touched[at].rows, r)
			} else {
				taken.Late = append(taken.Late, r)
			}
			continue
		}
		if at < 0 {
			at = o.touch(b.Origin.Shard, pane, first)
			rows = o.touched[at].rows
		}
		rows = append(rows, r)
	}
	if at >= 0 {
		o.touched[at].rows = rows
	}
}

// locate finds the pane of a time and the end of its first window.
func (o *panes) locate(ts int64) (window.Span, int64, bool) {
	pane, ok := o.plan.windows.Pane(ts)
	if !ok {
		return pane, 0, false
	}
	w, ok := o.plan.windows.After(pane, math.MinInt64)
	return pane, w.End, ok
}

// late finds the place for a row of which some windows are closed; -1 if all are.
func (o *panes) late(b *column.Batch, pane window.Span, r int32) int {
	end := max(o.closed, o.barred)
	if b.Watermarks != nil {
		end = max(end, minus(b.Watermarks[r], o.plan.lateness))
	}
	w, ok := o.plan.windows.After(pane, end)
	if !ok {
		return -1
	}
	return o.touch(b.Origin.Shard, pane, w.End)
}

// touch is the place in o.touched of a bucket, which is made if need be.
func (o *panes) touch(shard record.ShardID, pane window.Span, first int64) int {
	buckets := o.shards[shard]
	i, found := slices.BinarySearchFunc(buckets, bucket{pane: pane, first: first}, func(a *bucket, b bucket) int {
		return cmp.Or(cmp.Compare(a.pane.Start, b.pane.Start), cmp.Compare(a.first, b.first))
	})
	if !found {
		buckets = slices.Insert(buckets, i, &bucket{pane: pane, first: first, table: o.plan.layout.New()})
		o.shards[shard] = buckets
		o.due = min(o.due, first)
	}
	b := buckets[i]
	if b.mark != o.batches {
		b.mark, b.touch = o.batches, len(o.touched)
		if b.touch < cap(o.touched) {
			o.touched = o.touched[:b.touch+1]
			o.touched[b.touch].rows = o.touched[b.touch].rows[:0]
		} else {
			o.touched = append(o.touched, touched{})
		}
		o.touched[b.touch].bucket = b
	}
	return b.touch
}

// untouch lets go of closed buckets in memory that is used again.
func (o *panes) untouch() {
	for i := range o.touched[:cap(o.touched)] {
		o.touched[:cap(o.touched)][i].bucket = nil
	}
	o.touched = o.touched[:0]
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
