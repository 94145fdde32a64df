package flow

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// grownLog is a shard of some length.
type grownLog struct {
	stream.Log
	next record.Ordinal
}

func (l *grownLog) Bounds() stream.Bounds { return stream.Bounds{Next: l.next} }

// weighing is a task that reads a stream and the output of a query, which was idle for long.
type weighing struct {
	task   *Task
	query  *Frontier
	output *grownLog
	out    *reader
}

func newWeighing() *weighing {
	now := time.Unix(1_000_000, 0)
	w := &weighing{query: NewFrontier("q"), output: &grownLog{next: 5}}
	s, o := &feed{Feed: &Feed{}}, &feed{Feed: &Feed{Upstream: w.query}}
	w.task = &Task{Config: Config{Now: func() time.Time { return now }}, feeds: []*feed{s, o}, passed: column.MinWatermark}
	w.out = &reader{feed: o, log: w.output, reading: true, next: 5, watermark: 100, active: now.Add(-time.Hour)}
	w.task.readers = []*reader{{feed: s, log: &grownLog{}, reading: true, watermark: 900, active: now}, w.out}
	return w
}

// is compares where the watermark stands after a round.
func (w *weighing) is(t *testing.T, what string, mark int64) {
	t.Helper()
	w.task.weigh()
	if got := w.task.watermark(); got != mark {
		t.Errorf("%s: watermark %d, want %d", what, got, mark)
	}
}

func TestWhatAQuerySaidBeforeTheRoundCounts(t *testing.T) {
	w := newWeighing()
	w.task.ask()
	w.is(t, "it has said nothing", 900)
	w.query.tell(&promise{at: 300})
	w.is(t, "it had not", 900)
	w.task.ask()
	w.query.tell(&promise{at: 600})
	w.is(t, "it had said 300", 300)
	if l := w.task.level(); l.query != w.query {
		t.Errorf("held by %+v", l)
	}
	w.query.finish()
	w.is(t, "it has ended, and what came last is not read", 300)
	w.task.ask()
	w.is(t, "it had ended", 900)
}

func TestRowsThatAreThereAndNotReadHoldTheirShard(t *testing.T) {
	w := newWeighing()
	w.query.tell(&promise{at: 600})
	w.output.next = 6
	w.task.ask()
	w.is(t, "one is not read", 100)
	w.out.next = 6
	w.is(t, "all are read", 600)
}

func TestAQueryThatRestsIsLetGoWhileItHasReadEverything(t *testing.T) {
	w := newWeighing()
	source := &grownLog{next: 7}
	in := &feed{Feed: &Feed{Input: Input{Shards: func() []Shard { return []Shard{{ID: 3, Log: source}} }}}}
	rests := func(read record.Ordinal) *promise {
		return &promise{at: 500, low: 400, idle: true, rests: true, condition: &condition{
			feeds: []*feed{in}, asked: []*promise{nil}, places: map[record.ShardID]record.Ordinal{3: read},
		}}
	}
	w.query.tell(rests(7))
	w.task.ask()
	w.is(t, "all is read", 900)
	w.query.tell(rests(7))
	w.is(t, "it has said so again", 900)
	source.next = 8
	w.is(t, "it has more to read", 400)
	w.query.tell(rests(8))
	w.is(t, "it has read it since, and what it gave is not read", 400)
	w.task.ask()
	w.is(t, "all is read again", 900)
	in.Upstream = NewFrontier("behind")
	in.Upstream.tell(&promise{at: 450})
	w.is(t, "a query behind it is not", 400)
}
