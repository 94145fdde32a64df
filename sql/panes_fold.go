package sql

import (
	"cmp"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/window"
)

// folder folds rows into panes. It holds memory that is used again.
type folder struct {
	stage
	of *panes
	// buckets are those of the shard that the current batch is of, which nobody else uses meanwhile.
	buckets []*bucket
	// due is when the next window closes as of the last Emit and of the rows that came this way since; stale is
	// set when one of these changed an open window.
	due   int64
	stale bool

	// batches is the number of the current batch, from which the next one is step away: no two folders
	// have the same.
	batches, step int64
	touched       []touched
	groups        []uint32
	key           agg.Batch
}

// touched is a bucket that the current batch has rows for.
type touched struct {
	bucket *bucket
	rows   []int32
}

func newFolder(o *panes, p *windowPlan) *folder {
	return &folder{stage: newStage(p), of: o, due: math.MaxInt64, step: 1}
}

// Add folds the selected rows of b into the panes of their shard.
func (f *folder) Add(b *column.Batch) (Taken, error) {
	o := f.of
	var taken Taken
	event, err := f.admit(b, &taken)
	if err != nil || event == nil {
		return taken, err
	}
	f.open(b.Origin.Shard)
	f.place(b, event, &taken)
	f.close(b.Origin.Shard)
	for i := range f.touched {
		if err := o.load(f.touched[i].bucket); err != nil {
			return taken, err
		}
	}
	f.plan.layout.Prepare(&f.key, f.keyCols, f.view.Selection, b.Rows)
	for i := range f.touched {
		t := &f.touched[i]
		f.groups = t.bucket.table.Find(&f.key, t.rows, f.groups[:0])
		t.bucket.table.Add(f.groups, f.argCols, t.rows)
		if o.keep != nil {
			t.bucket.dirty.set(f.groups)
		}
		if f.plan.early() {
			t.bucket.fresh.set(f.groups)
			f.stale = true
		}
		taken.Aggregated += int64(len(t.rows))
	}
	return taken, nil
}

// open takes hold of the buckets of a shard, close puts back what became of them.
func (f *folder) open(shard record.ShardID) {
	f.of.lanes.lock()
	defer f.of.lanes.unlock()
	f.buckets = f.of.shards[shard]
}

func (f *folder) close(shard record.ShardID) {
	f.of.lanes.lock()
	defer f.of.lanes.unlock()
	if len(f.buckets) > 0 {
		f.of.shards[shard] = f.buckets
	}
}

// place sorts the rows of f.view into f.touched by pane.
func (f *folder) place(b *column.Batch, event *column.Column, taken *Taken) {
	f.batches += f.step
	f.touched = f.touched[:0]
	marks, times, closed, lateness := b.Watermarks, event.Int64s, max(f.of.closed, f.of.barred), f.plan.lateness
	// The pane of the last row, its place in touched or -1, and its rows so far.
	var pane window.Span
	first, limit, at := int64(0), int64(0), -1
	var rows []int32
	for _, r := range f.view.Selection {
		if event.Valid != nil && !event.Valid.Get(int(r)) {
			taken.noTime(r)
			continue
		}
		if ts := times[r]; ts < pane.Start || ts >= pane.End {
			if at >= 0 {
				f.touched[at].rows = rows
				at = -1
			}
			var fits bool
			if pane, first, fits = f.locate(ts); !fits {
				pane = window.Span{}
				taken.noTime(r)
				continue
			}
			limit = plus(first, lateness)
		}
		if first <= closed || marks != nil && limit <= marks[r] {
			if at := f.late(b, pane, r); at >= 0 {
				f.touched[at].rows = append(f.touched[at].rows, r)
			} else {
				taken.Late = append(taken.Late, r)
			}
			continue
		}
		if at < 0 {
			at = f.touch(pane, first)
			rows = f.touched[at].rows
		}
		rows = append(rows, r)
	}
	if at >= 0 {
		f.touched[at].rows = rows
	}
}

// locate finds the pane of a time and the end of its first window.
func (f *folder) locate(ts int64) (window.Span, int64, bool) {
	pane, ok := f.plan.windows.Pane(ts)
	if !ok {
		return pane, 0, false
	}
	w, ok := f.plan.windows.After(pane, math.MinInt64)
	return pane, w.End, ok
}

// late finds the place for a row of which some windows are closed; -1 if all are.
func (f *folder) late(b *column.Batch, pane window.Span, r int32) int {
	end := max(f.of.closed, f.of.barred)
	if b.Watermarks != nil {
		end = max(end, minus(b.Watermarks[r], f.plan.lateness))
	}
	w, ok := f.plan.windows.After(pane, end)
	if !ok {
		return -1
	}
	return f.touch(pane, w.End)
}

// touch is the place in f.touched of a bucket, which is made if need be.
func (f *folder) touch(pane window.Span, first int64) int {
	i, found := slices.BinarySearchFunc(f.buckets, bucket{pane: pane, first: first}, func(a *bucket, b bucket) int {
		return cmp.Or(cmp.Compare(a.pane.Start, b.pane.Start), cmp.Compare(a.first, b.first))
	})
	if !found {
		f.buckets = slices.Insert(f.buckets, i, &bucket{pane: pane, first: first, table: f.plan.layout.New()})
		f.due = min(f.due, first)
	}
	b := f.buckets[i]
	if b.mark != f.batches {
		b.mark, b.touch = f.batches, len(f.touched)
		if b.touch < cap(f.touched) {
			f.touched = f.touched[:b.touch+1]
			f.touched[b.touch].rows = f.touched[b.touch].rows[:0]
		} else {
			f.touched = append(f.touched, touched{})
		}
		f.touched[b.touch].bucket = b
	}
	return b.touch
}

// untouch lets go of closed buckets in memory that is used again.
func (f *folder) untouch() {
	f.buckets = nil
	for i := range f.touched[:cap(f.touched)] {
		f.touched[:cap(f.touched)][i].bucket = nil
	}
	f.touched = f.touched[:0]
}
