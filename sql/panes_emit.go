package sql

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/temporal"
	"github.com/millrace-io/millrace/sql/window"
)

// Ready reports whether a window closes at the watermark, or open ones are to be shown.
func (o *panes) Ready(watermark int64) bool {
	return len(o.shards) > 0 && o.closes() <= minus(watermark, o.plan.lateness) || o.shows(watermark)
}

// shows reports whether open windows are to be shown.
func (o *panes) shows(watermark int64) bool {
	switch {
	case !slices.ContainsFunc(o.folders, func(f *folder) bool { return f.stale }):
		return false
	case o.plan.changes:
		return true
	case o.plan.every == 0 || watermark == column.MinWatermark:
		return false
	}
	return o.plan.tick(watermark) > o.shown
}

// tick is the last multiple of EMIT EVERY up to the watermark.
func (p *windowPlan) tick(watermark int64) int64 {
	at, ok := temporal.Floor(watermark, p.every)
	if !ok {
		return math.MinInt64
	}
	return at
}

// leaving is a window whose rows leave, with its buckets by ascending shard and pane.
type leaving struct {
	window.Span
	buckets []*bucket
}

// groups is how many the window has, or more.
func (w leaving) groups() int64 {
	n := int64(0)
	for _, b := range w.buckets {
		n += b.groups()
	}
	return n
}

// Emit returns the rows of the windows that end by the watermark, by window and then by key, and
// behind them what changed in open windows if those are to be shown. If it is not Ready it changes
// nothing, not even what is late.
func (o *panes) Emit(watermark int64) (*column.Batch, error) {
	if !o.Ready(watermark) {
		return nil, nil
	}
	shows, through := o.shows(watermark), minus(watermark, o.plan.lateness)
	middle := o.middle()
	closed, all := o.closed, true
	leaving := o.leaving(through, shows)
	for i, w := range leaving {
		final := w.End <= through
		done, err := o.emit(w, final, middle)
		if err != nil {
			return nil, err
		}
		if all = done; !all {
			break
		}
		if !final {
			continue
		}
		closed = w.End
		if all = !o.full(middle) || i == len(leaving)-1; !all {
			break
		}
	}
	if all && closed > o.closed && watermark != column.MaxWatermark {
		closed = through
	}
	out, err := o.project(middle)
	if err != nil {
		return nil, err
	}
	o.closed = max(o.closed, closed)
	o.forget()
	if shows && all {
		o.settle(watermark)
	}
	return out, nil
}

// emit appends the groups of a window, in the order of their keys, to the middle columns; those of a
// window that is still open only if they changed. Of very many some are left for the next time: then the
// window is barred for rows that come in between.
func (o *panes) emit(w leaving, final bool, middle []*build.Column) (done bool, err error) {
	order := func(t *agg.Table) []int {
		if final {
			return t.Sorted()
		}
		return o.changed(w, t)
	}
	sectioned, err := o.sectioned(w)
	switch {
	case err != nil:
		return false, err
	case sectioned:
	case final && o.lanes.count() > 1 && w.groups() >= manyGroups:
		return true, o.emitByLanes(w, middle)
	default:
		t, err := o.merged(w, final)
		if err != nil {
			return false, err
		}
		o.results(w.Span, final, t, order(t), middle)
		return true, nil
	}
	from := 0
	if final && w.End == o.barred {
		from = o.next
	}
	next, err := o.inSections(w, from, order, func(t *agg.Table, groups []int) bool {
		o.results(w.Span, final, t, groups, middle)
		return !final || !o.full(middle)
	})
	if err != nil {
		return false, err
	}
	if next < agg.KeyGroups {
		o.barred, o.next = w.End, next
		return false, nil
	}
	if final && w.End == o.barred {
		o.barred, o.next = math.MinInt64, 0
	}
	return true, nil
}

// leavingRow is how many bytes a row that leaves may take, in the mean, before fewer leave at once than the limit
// says. A row may be a list of many.
const leavingRow = 256

// full reports whether as many rows are to leave as may at once.
func (o *panes) full(middle []*build.Column) bool {
	if o.limit == 0 {
		return false
	}
	bytes := int64(0)
	for _, c := range middle {
		bytes += c.Bytes()
	}
	return middle[windowFinal].Len() >= o.limit || bytes >= int64(o.limit)*leavingRow
}

// Limit sets after how many rows Emit leaves the rest for the next one.
func (o *panes) Limit(rows int) { o.limit = rows }

// leaving lists windows by their ends; those that end behind through only if they changed.
func (o *panes) leaving(through int64, shows bool) []leaving {
	places := make(map[window.Span]int)
	var all []leaving
	for _, id := range slices.Sorted(maps.Keys(o.shards)) {
		for _, b := range o.shards[id] {
			w, ok := o.plan.windows.After(b.pane, o.seen(b))
			for ; ok && (shows || w.End <= through); w, ok = o.plan.windows.After(b.pane, w.End) {
				i, known := places[w]
				if !known {
					i = len(all)
					places[w] = i
					all = append(all, leaving{Span: w})
				}
				all[i].buckets = append(all[i].buckets, b)
			}
		}
	}
	all = slices.DeleteFunc(all, func(w leaving) bool {
		return w.End > through && !slices.ContainsFunc(w.buckets, func(b *bucket) bool { return len(b.fresh) > 0 })
	})
	slices.SortFunc(all, func(a, b leaving) int {
		return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(a.Start, b.Start))
	})
	return all
}

// seen is the end of the last window that a bucket has no part in any more.
func (o *panes) seen(b *bucket) int64 { return max(b.first-1, o.closed) }

// merged is the groups of a window. Those of a bucket that is forgotten behind it take in the others instead of
// being copied.
func (o *panes) merged(w leaving, final bool) (*agg.Table, error) {
	first, rest := w.buckets[0], w.buckets[1:]
	out, err := o.groupsOf(first)
	if err != nil || len(rest) == 0 {
		return out, err
	}
	if _, more := o.plan.windows.After(first.pane, w.End); more || !final {
		out, rest = o.plan.layout.New(), w.buckets
	}
	for _, b := range rest {
		t, err := o.groupsOf(b)
		if err != nil {
			return nil, err
		}
		out.Merge(t)
	}
	return out, nil
}

// changed is the groups of a window that changed since they were last shown, by key.
func (o *panes) changed(w leaving, table *agg.Table) []int {
	var of, groups []uint32
	in := make([]bool, table.Len())
	for _, b := range w.buckets {
		of = b.fresh.list(of[:0])
		groups = table.Locate(b.table, of, groups[:0])
		for _, g := range groups {
			if g != agg.NoGroup {
				in[g] = true
			}
		}
	}
	return slices.DeleteFunc(table.Sorted(), func(g int) bool { return !in[g] })
}

// results appends groups of a window to the middle columns.
func (o *panes) results(w window.Span, final bool, t *agg.Table, groups []int, middle []*build.Column) {
	for i, c := range middle {
		o.resultColumn(i, w, final, t, groups, c)
	}
}

// resultColumn appends groups of a window to column i of the middle schema.
func (o *panes) resultColumn(i int, w window.Span, final bool, t *agg.Table, groups []int, to *build.Column) {
	value := int64(flag(final))
	switch {
	case i >= firstKey+len(o.plan.keys):
		t.Result(i-firstKey-len(o.plan.keys), groups, to)
		return
	case i >= firstKey:
		t.Key(i-firstKey, groups, to)
		return
	case i == windowStart:
		value = temporal.Within(w.Start)
	case i == windowEnd:
		value = temporal.Within(w.End)
	}
	for range groups {
		to.Int(value)
	}
}

// forget drops the buckets whose windows are all closed.
func (o *panes) forget() {
	due := int64(math.MaxInt64)
	for id, buckets := range o.shards {
		buckets = slices.DeleteFunc(buckets, func(b *bucket) bool {
			w, ok := o.plan.windows.After(b.pane, o.seen(b))
			if ok {
				due = min(due, w.End)
			}
			return !ok
		})
		if o.shards[id] = buckets; len(buckets) == 0 {
			delete(o.shards, id)
		}
	}
	for _, f := range o.folders {
		f.due = due
		f.untouch()
	}
}

// Open counts the windows that have rows and are not closed.
func (o *panes) Open() Open {
	windows, closes := make(map[window.Span]bool), int64(column.MaxWatermark)
	for _, buckets := range o.shards {
		// The windows of a later pane end later.
		end := int64(math.MinInt64)
		for _, b := range buckets {
			w, ok := o.plan.windows.After(b.pane, max(o.seen(b), end))
			for ; ok; w, ok = o.plan.windows.After(b.pane, w.End) {
				windows[w], end = true, w.End
				closes = min(closes, plus(w.End, o.plan.lateness))
			}
		}
	}
	return Open{Windows: int64(len(windows)), Closes: closes}
}

// settle notes that open windows were shown.
func (o *panes) settle(watermark int64) {
	for _, f := range o.folders {
		f.stale = false
	}
	if o.plan.every > 0 {
		o.shown = max(o.shown, o.plan.tick(watermark))
	}
	for _, buckets := range o.shards {
		for _, b := range buckets {
			b.fresh = nil
		}
	}
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
