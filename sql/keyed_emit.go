package sql

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/temporal"
)

// pass takes the rows before a time and ends the windows that are over by then.
func (o *keyed) pass(through int64, shows bool, out *gathered) {
	o.take(o.wait.release(through))
	o.expire(through)
	if out != nil {
		for _, i := range o.complete {
			out.last = max(out.last, o.end(&o.windows[i]))
		}
	}
	o.results(o.complete, true, out)
	if shows {
		o.show(out)
	}
	o.gone += len(o.complete)
	o.complete = o.complete[:0]
	if o.gone > 1024 && 2*o.gone > len(o.windows) || o.gone == len(o.windows) {
		o.compact()
	}
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
	for len(o.soon) > 0 && o.soon[0].at <= through {
		e := o.soon.pop()
		w := &o.windows[e.window]
		switch end := o.end(w); {
		case w.done:
		case end <= through:
			o.finish(w.key)
		default:
			o.soon.push(ending{at: end, window: e.window})
		}
	}
}

// show appends the open windows that changed.
func (o *keyed) show(out *gathered) {
	changed := slices.DeleteFunc(o.fresh.list(nil), func(i uint32) bool { return o.windows[i].done })
	o.results(changed, false, out)
	o.fresh = nil
}

// results appends windows to what leaves.
func (o *keyed) results(windows []uint32, final bool, out *gathered) {
	if out == nil {
		return
	}
	middle := out.middle
	keys, groups := make([]int, len(windows)), make([]int, len(windows))
	for n, i := range windows {
		w := &o.windows[i]
		keys[n], groups[n] = int(w.key), int(i)
		out.order = append(out.order, order{open: !final, start: w.start, rank: rank{at: o.end(w), shard: w.shard, arrival: w.arrival}})
		middle[windowStart].Int(w.start)
		middle[windowEnd].Int(temporal.Within(o.end(w)))
		middle[windowFinal].Int(int64(flag(final)))
	}
	for i := range o.plan.keys {
		o.known.Key(i, keys, middle[firstKey+i])
	}
	for i := range o.plan.layout.Aggs {
		o.sums.Result(i, groups, middle[firstKey+len(o.plan.keys)+i])
	}
}

// append encodes the rows that wait and the open windows.
func (o *keyed) append(out []byte) []byte {
	if o.gone > 0 {
		o.compact()
	}
	out = binary.AppendVarint(out, o.next)
	out = binary.AppendUvarint(out, uint64(len(o.windows)))
	for i := range o.windows {
		w := &o.windows[i]
		out = binary.AppendUvarint(out, uint64(w.key))
		out = binary.AppendVarint(out, w.start)
		out = binary.AppendUvarint(out, uint64(w.last-w.start))
		out = binary.AppendUvarint(out, uint64(w.rows))
		out = binary.AppendUvarint(out, uint64(w.shard))
		out = binary.AppendVarint(out, w.arrival)
		out = append(out, flag(o.fresh.has(uint32(i))))
	}
	out = o.sums.Append(o.known.Append(out))
	return o.wait.append(out)
}

func (o *keyed) read(r *agg.Reader) error {
	o.next = r.Varint("number")
	var windows []instance
	for i := range r.Count("windows") {
		w := instance{key: uint32(min(r.Uvarint("key"), math.MaxUint32)), start: r.Varint("start")}
		w.last = plus(w.start, int64(min(r.Uvarint("last"), math.MaxInt64)))
		w.rows = readNumber(r, "rows")
		w.shard, w.arrival = record.ShardID(min(r.Uvarint("shard"), math.MaxUint32)), r.Varint("arrival")
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
	return o.wait.read(r)
}
