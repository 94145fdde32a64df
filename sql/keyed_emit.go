package sql

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/build"
)

// Ready reports whether rows that wait, or windows, are due at the watermark. Rows that only make open
// windows grow are left until there are rowsHeld of them.
func (o *keyed) Ready(watermark int64) bool {
	through := minus(watermark, o.plan.lateness)
	passed := o.wait.n > 0 && o.wait.low < through
	switch {
	case through == column.MaxWatermark:
		return o.wait.n > 0 || len(o.windows) > o.gone
	case passed && (!o.timed() || o.wait.n >= rowsHeld || o.wait.low+o.plan.reach() <= through):
		return true
	case o.timed() && len(o.ends) > 0 && o.ends[0].at <= through:
		return true
	}
	return o.shows(watermark, passed)
}

// shows reports whether open windows are to be shown.
func (o *keyed) shows(watermark int64, passed bool) bool {
	switch {
	case !o.plan.early() || !passed && len(o.fresh) == 0:
		return false
	case o.plan.changes:
		return true
	}
	return watermark != column.MinWatermark && o.plan.tick(watermark) > o.shown
}

// Emit takes the rows that the watermark has passed and returns those of the windows that are
// complete, by their end, start and first row, and behind them open windows that are to be shown.
func (o *keyed) Emit(watermark int64) (*column.Batch, error) {
	if !o.Ready(watermark) {
		return nil, nil
	}
	through := minus(watermark, o.plan.lateness)
	shows := o.shows(watermark, o.wait.n > 0 && o.wait.low < through)
	o.take(o.wait.release(through))
	o.expire(through)
	o.order(o.complete)
	middle := o.middle()
	o.results(o.complete, true, middle)
	if shows {
		o.show(watermark, middle)
	}
	out, err := o.project(middle)
	if err != nil {
		return nil, err
	}
	if watermark == column.MaxWatermark {
		for _, i := range o.complete {
			through = o.end(&o.windows[i])
			o.closed = max(o.closed, through)
		}
	} else {
		o.closed = max(o.closed, through)
	}
	o.gone += len(o.complete)
	o.complete = o.complete[:0]
	if o.gone > 1024 && 2*o.gone > len(o.windows) || o.gone == len(o.windows) {
		o.compact()
	}
	return out, nil
}

// expire ends the windows that are over at a watermark.
func (o *keyed) expire(through int64) {
	if through == column.MaxWatermark {
		for key := range o.open {
			for len(o.open[key]) > 0 {
				o.finish(uint32(key))
			}
		}
		return
	}
	for len(o.ends) > 0 && o.ends[0].at <= through {
		e := o.ends.pop()
		w := &o.windows[e.window]
		switch end := o.end(w); {
		case w.done:
		case end <= through:
			o.finish(w.key)
		default:
			o.ends.push(ending{at: end, window: e.window})
		}
	}
}

// order sorts windows by end and start. Windows are numbered in the order of their first rows.
func (o *keyed) order(windows []uint32) {
	slices.SortFunc(windows, func(a, b uint32) int {
		x, y := &o.windows[a], &o.windows[b]
		return cmp.Or(cmp.Compare(o.end(x), o.end(y)), cmp.Compare(x.start, y.start), cmp.Compare(a, b))
	})
}

// show appends the open windows that changed.
func (o *keyed) show(watermark int64, middle []*build.Column) {
	changed := slices.DeleteFunc(o.fresh.list(nil), func(i uint32) bool { return o.windows[i].done })
	o.order(changed)
	o.results(changed, false, middle)
	o.fresh = nil
	if o.plan.every > 0 {
		o.shown = max(o.shown, o.plan.tick(watermark))
	}
}

// results appends windows to the middle columns.
func (o *keyed) results(windows []uint32, final bool, middle []*build.Column) {
	keys, groups := make([]int, len(windows)), make([]int, len(windows))
	for n, i := range windows {
		w := &o.windows[i]
		keys[n], groups[n] = int(w.key), int(i)
		middle[windowStart].Int(w.start)
		middle[windowEnd].Int(o.end(w))
		middle[windowFinal].Int(int64(flag(final)))
	}
	for i := range o.plan.keys {
		o.known.Key(i, keys, middle[firstKey+i])
	}
	for i := range o.plan.layout.Aggs {
		o.sums.Result(i, groups, middle[firstKey+len(o.plan.keys)+i])
	}
}

// Snapshot encodes the rows that wait and the open windows.
func (o *keyed) Snapshot() ([]byte, error) {
	o.compact()
	out := o.plan.header()
	out = binary.AppendVarint(out, o.closed)
	out = binary.AppendVarint(out, o.shown)
	out = binary.AppendVarint(out, o.next)
	out = binary.AppendUvarint(out, uint64(len(o.windows)))
	for i := range o.windows {
		w := &o.windows[i]
		out = binary.AppendUvarint(out, uint64(w.key))
		out = binary.AppendVarint(out, w.start)
		out = binary.AppendUvarint(out, uint64(w.last-w.start))
		out = binary.AppendUvarint(out, uint64(w.rows))
		out = append(out, flag(o.fresh.has(uint32(i))))
	}
	out = o.sums.Append(o.known.Append(out))
	return o.wait.append(out), nil
}

// Restore sets the state to a snapshot; see panes.Restore.
func (o *keyed) Restore(snapshot []byte) error {
	fresh := newKeyed(o.plan)
	if len(snapshot) > 0 {
		if err := fresh.read(snapshot); err != nil {
			return fmt.Errorf("restore the windows of a query: %w", err)
		}
	}
	*o = *fresh
	return nil
}

func (o *keyed) read(snapshot []byte) error {
	r := agg.NewReader(snapshot)
	if err := o.plan.readHeader(r); err != nil {
		return err
	}
	o.closed, o.shown, o.next = r.Varint("closed"), r.Varint("shown"), r.Varint("number")
	var windows []instance
	for i := range r.Count("windows") {
		w := instance{key: uint32(min(r.Uvarint("key"), math.MaxUint32)), start: r.Varint("start")}
		w.last = plus(w.start, int64(min(r.Uvarint("last"), math.MaxInt64)))
		w.rows = int64(min(r.Uvarint("rows"), math.MaxInt64))
		if b := r.Bytes(1, "changed"); len(b) == 1 && b[0] == 1 {
			o.fresh.set([]uint32{uint32(i)})
		}
		windows = append(windows, w)
	}
	o.known = o.plan.tables.keys.Read(r)
	o.sums = o.plan.tables.sums.Read(r)
	if err := r.Err(); err != nil {
		return err
	}
	if o.sums.Len() != len(windows) {
		return fmt.Errorf("%d windows have %d results: %w", len(windows), o.sums.Len(), agg.ErrSnapshot)
	}
	for _, w := range windows {
		if int(w.key) >= o.known.Len() {
			return fmt.Errorf("a window is of key %d: %w", w.key, agg.ErrSnapshot)
		}
	}
	o.settle(windows)
	if err := o.wait.read(r); err != nil {
		return err
	}
	return ended(r)
}
