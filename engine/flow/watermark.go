package flow

import (
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/column"
)

// level is where the watermark of a task stands, and why.
type level struct {
	mark int64
	// by is the shard that holds it back, nil when none does; query is set if the query that writes to its stream does.
	by    *reader
	query *Frontier
	// low is the least of what counts; bounded is set if anything does, active if a shard that brings rows is among it.
	low             int64
	bounded, active bool
	// sure is what low is if queries behind the inputs have not seen all there is to read. If no shard brings rows, any may
	// be the first to do so again, from where it stopped: then the least of those that do not count, later, is part of it.
	sure, later int64
	// clock is what time has passed to since the last row; held is set if only queries keep the watermark from that.
	clock int64
	held  bool
}

// watermark is the smallest of the shards' watermarks. A shard that brought nothing for idleAfter does not count, but
// for the query that writes to its stream (Frontier); when none counts, time passes with the clock from the latest of
// them on.
func (t *Task) watermark() int64 { return t.level().mark }

// slowest is the shard that holds the watermark back, nil when none does.
func (t *Task) slowest() *reader { return t.level().by }

func (t *Task) level() level {
	l := level{mark: column.MinWatermark, low: column.MaxWatermark, sure: column.MaxWatermark, later: column.MaxWatermark}
	if !t.timed() {
		return l
	}
	now := t.Now()
	latest := int64(column.MinWatermark)
	var quiet time.Duration = 1<<63 - 1
	for _, r := range t.readers {
		if !t.counts(r) || !r.feed.timed() {
			continue
		}
		idle := now.Sub(r.active)
		latest, quiet = max(latest, r.watermark), min(quiet, idle)
		l.take(r, idle >= r.feed.idleAfter())
	}
	if l.clock = latest; latest != column.MinWatermark {
		l.clock += quiet.Microseconds()
	}
	if l.mark = l.low; l.active {
		return l
	}
	l.sure = min(l.sure, l.later)
	clock := l.clock
	if t.passed != column.MinWatermark {
		clock = max(clock, t.passed+min(now.Sub(t.passedAt), idleAfter).Microseconds())
	}
	if l.held = l.low < clock; !l.held {
		l.mark, l.by, l.query = clock, nil, nil
	}
	return l
}

// take lets a shard count, if it does.
func (l *level) take(r *reader, idle bool) {
	mark, query := r.watermark, (*Frontier)(nil)
	if h := r.feed.hold; idle && !h.behind {
		sure := h.low(r.watermark)
		if !h.on {
			l.later = min(l.later, sure)
			return
		}
		mark, query = h.at, r.feed.Upstream
		l.sure = min(l.sure, sure)
	} else {
		l.sure, l.active = min(l.sure, mark), true
	}
	l.bounded = true
	if l.by == nil || mark < l.low {
		l.low, l.by, l.query = mark, r, query
	}
}

// timed reports whether there are watermarks.
func (t *Task) timed() bool { return slices.ContainsFunc(t.feeds, (*feed).timed) }

// idleAfter is when a shard that brings nothing stops holding the watermark back.
func (f *feed) idleAfter() time.Duration {
	if f.Input.Arrival {
		return arrivalIdle
	}
	return idleAfter
}

// counts reports whether a shard takes part in the watermark: not before it is read, and not once
// it is read to its end and all its children are read.
func (t *Task) counts(r *reader) bool {
	if !r.reading || !r.finished() {
		return r.reading
	}
	return slices.ContainsFunc(t.readers, func(c *reader) bool { return !c.reading && slices.Contains(c.parents, r.id) })
}
