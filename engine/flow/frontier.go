package flow

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
)

// Frontier is what a query says of the rows that it has yet to give: none has an event time before some moment. The
// query's task tells it, and tasks that read its output ask, so that they do not take a query for idle that has open
// windows. See docs/decisions/0024. Any goroutine may use it. A task that has nobody to tell has a nil one.
type Frontier struct {
	query string

	mu sync.Mutex // guards what follows
	// told is what the query said last, nil if nothing is to be waited for.
	told *promise
	// epoch is that of the last promise.
	epoch int64
	// stuck is since when the query does not get on, zero while it does.
	stuck time.Time
}

// NewFrontier makes that of a query, which has not begun.
func NewFrontier(query string) *Frontier { return &Frontier{query: query} }

// promise is what a query says at one time. It does not change.
type promise struct {
	// at is the least event time of rows that are not committed to the output yet. It holds under the condition if that
	// is not nil, else low does.
	at, low   int64
	condition *condition
	// idle is set if none of the inputs brings rows, and rests if it has nothing open either: there is nothing to wait
	// for, under the condition.
	idle, rests bool
	// epoch is the same while the condition is.
	epoch int64
}

// condition is that the query has read all there is. What it said by the clock holds no more once there are records
// that it has not seen.
type condition struct {
	places map[record.ShardID]record.Ordinal
	feeds  []*feed
	// asked are what the queries behind the feeds had said, nil where nothing was to be waited for.
	asked []*promise
}

// promiser is a processor that knows how early its rows can be.
type promiser interface {
	// Ready reports whether there are rows to give at a watermark.
	Ready(watermark int64) bool
	// Frontier is the least event time of rows that leave after a watermark, if none is Ready at it.
	Frontier(watermark int64) int64
	// Rests reports whether there is nothing that could leave without new rows.
	Rests() bool
}

func (f *Frontier) tell(p *promise) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stuck = time.Time{}
	if f.told == nil || !p.condition.equal(f.told.condition) {
		f.epoch++
	}
	p.epoch, f.told = f.epoch, p
}

// equal reports whether nothing was read between two conditions. It is false if there are none.
func (c *condition) equal(d *condition) bool {
	if c == nil || d == nil {
		return false
	}
	return maps.Equal(c.places, d.places) && slices.EqualFunc(c.asked, d.asked, func(p, q *promise) bool {
		switch {
		case p == nil || q == nil:
			return p == q
		case p.condition == nil || q.condition == nil:
			return p.condition == q.condition
		}
		return p.epoch == q.epoch
	})
}

// falter notes that the query does not get on, which others wait for no longer than for an idle shard.
func (f *Frontier) falter(now time.Time) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stuck.IsZero() {
		f.stuck = now
	}
}

// recover notes that the query gets on again.
func (f *Frontier) recover() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stuck = time.Time{}
}

// finish notes that all rows of the query are in its output.
func (f *Frontier) finish() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = nil
}

// ask returns what the query said last, nil if it is not to be waited for.
func (f *Frontier) ask(now time.Time) *promise {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stuck.IsZero() && now.Sub(f.stuck) >= idleAfter {
		return nil
	}
	return f.told
}

// holds reports whether the condition of what the query said is still met. Whoever asked may have read records since
// that the query had not seen.
func (f *Frontier) holds(p *promise, now time.Time) bool {
	c := p.condition
	if c == nil {
		return true
	}
	if last := f.ask(now); last == nil || last.epoch != p.epoch {
		return false
	}
	for i, in := range c.feeds {
		for _, s := range in.Input.Shards() {
			next, known := c.places[checkpoint.JoinShard(in.number, s.ID)]
			if !known || next < s.Log.Bounds().Next {
				return false
			}
		}
		switch said := c.asked[i]; {
		case said == nil && in.Upstream.ask(now) != nil:
			return false
		case said != nil && !in.Upstream.holds(said, now):
			return false
		}
	}
	return true
}

// hold is what the query behind an input does to the watermark of the task that reads it.
type hold struct {
	// said is what it says, nil if nothing is to be waited for.
	said *promise
	// on is set if idle shards are held at a time.
	on bool
	at int64
	// behind is set if they are not idle: there is more in them than was read.
	behind bool
}

// low is the least event time of rows that may come at any time, as the query says; seen is what the shard says.
func (h hold) low(seen int64) int64 {
	switch {
	case h.said == nil:
		return seen
	case h.said.condition == nil:
		return h.said.at
	}
	return h.said.low
}

// ask takes down what the queries behind the inputs say. It comes before a round of reading, which so finds all
// rows that they have given by then.
func (t *Task) ask() {
	now := t.Now()
	t.pass(now)
	for _, f := range t.feeds {
		if f.asked = nil; f.event >= 0 && !f.Input.Arrival {
			f.asked = f.Upstream.ask(now)
		}
	}
}

// pass keeps what time has passed to while only queries that go by the clock themselves hold the watermark back.
func (t *Task) pass(now time.Time) {
	on := false
	for _, f := range t.feeds {
		if f.hold.on && !f.hold.said.idle {
			return
		}
		on = on || f.hold.on
	}
	if !on {
		return
	}
	if l := t.level(); l.held && l.clock >= t.passed {
		t.passed, t.passedAt = l.clock, now
	}
}

// weigh decides, after a round of reading, how the queries behind the inputs hold the watermark back.
func (t *Task) weigh() {
	now := t.Now()
	for _, f := range t.feeds {
		p := f.asked
		if f.hold = (hold{said: p}); p == nil {
			continue
		}
		met := f.Upstream.holds(p, now)
		if f.hold.on, f.hold.at = !met || !p.rests, p.at; !met {
			f.hold.at = p.low
		}
		f.hold.behind = f.hold.on && t.isBehind(f)
	}
	if t.passed != column.MinWatermark && t.streaming(now) {
		t.passed = column.MinWatermark
	}
}

// isBehind reports whether there is more in the shards of a feed than was read.
func (t *Task) isBehind(f *feed) bool {
	return slices.ContainsFunc(t.readers, func(r *reader) bool { return r.feed == f && r.next < r.log.Bounds().Next })
}

// streaming reports whether a shard brings rows that is not of a query's output.
func (t *Task) streaming(now time.Time) bool {
	return slices.ContainsFunc(t.readers, func(r *reader) bool {
		return r.feed.Upstream == nil && r.feed.timed() && t.counts(r) && now.Sub(r.active) < r.feed.idleAfter()
	})
}

// promise tells what the task has yet to give. It comes when nothing is read or committed any more in a turn.
func (t *Task) promise() {
	p, ok := t.Processor.(promiser)
	if t.Frontier == nil || !ok {
		return
	}
	said, l := &promise{}, t.level()
	switch {
	case p.Ready(l.mark):
		// While rows wait to be committed, what was said before they came still holds.
		said.at, said.low = t.sure, t.sure
	case l.active:
		said.at, said.low = p.Frontier(l.mark), p.Frontier(l.sure)
	case !p.Rests():
		said.idle, said.at, said.low = true, p.Frontier(l.mark), p.Frontier(min(l.mark, l.sure))
	case l.bounded:
		// Only rows that are yet to come can leave, and how early these are the queries behind the inputs say.
		said.idle, said.at, said.low = true, p.Frontier(l.low), p.Frontier(l.sure)
	default:
		said.low = p.Frontier(l.sure)
		said.idle, said.rests, said.at = true, true, said.low
	}
	if t.sure = said.at; said.idle || said.low < said.at {
		t.sure, said.condition = said.low, t.condition()
	}
	t.Frontier.tell(said)
}

// condition is that the task has read all that there is by now.
func (t *Task) condition() *condition {
	c := &condition{places: make(map[record.ShardID]record.Ordinal, len(t.readers)), feeds: t.feeds}
	for _, r := range t.readers {
		c.places[r.id] = r.next
	}
	for _, f := range t.feeds {
		c.asked = append(c.asked, f.asked)
	}
	return c
}

// promiseEnd tells that the task has ended.
func (t *Task) promiseEnd() {
	if t.Drained() {
		t.Frontier.finish()
		return
	}
	t.Frontier.falter(t.Now())
}
