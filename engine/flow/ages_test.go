package flow_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
)

// running is a task at work whose clock goes ahead by later, and a channel that its end comes from.
func (w *world) running(c flow.Config) (task *flow.Task, later *atomic.Int64, done <-chan error) {
	later = new(atomic.Int64)
	c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	task = flow.NewTask(c)
	end := make(chan error, 1)
	go func() { end <- task.Run(w.t.Context()) }()
	return task, later, end
}

func TestAgesOfWhatIsNotReadAndNotDelivered(t *testing.T) {
	w := newWorld(t)
	w.write(row(0))
	c := w.config(&sink{w: w})
	c.Trigger = flow.Trigger{}
	task, later, done := w.running(c)
	until(t, "the row to be read", func() bool { return task.Status().Steps[0].In == 1 })
	later.Store(int64(time.Hour))
	s := task.Status()
	if s.OldestUndelivered < 3600 || s.OldestUndelivered > 3700 {
		t.Errorf("a row that was read an hour ago and not delivered is %v s old", s.OldestUndelivered)
	}
	for _, sh := range s.Shards {
		if sh.Lag != 0 || sh.Behind != 0 {
			t.Errorf("all is read, and %s is %d records and %v s behind", sh.Shard, sh.Lag, sh.Behind)
		}
	}
	close(w.stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s := task.Status(); s.OldestUndelivered != 0 {
		t.Errorf("all is delivered, and the oldest is %v s old", s.OldestUndelivered)
	}
}

// stuck is a sink that takes no rows for a while.
type stuck struct {
	sink
	in, out chan struct{}
}

func (s *stuck) Add(ctx context.Context, b *column.Batch) (flow.Outcome, error) {
	s.in <- struct{}{}
	<-s.out
	return s.sink.Add(ctx, b)
}

func TestLagInTimeIsTheAgeOfTheFirstUnreadRecord(t *testing.T) {
	w := newWorld(t)
	w.write(row(0))
	h := &stuck{sink: sink{w: w}, in: make(chan struct{}), out: make(chan struct{})}
	task, later, done := w.running(w.config(h))
	<-h.in
	h.out <- struct{}{}
	until(t, "the row to be read", func() bool { return task.Status().Steps[1].In == 1 })
	w.write(row(1))
	<-h.in
	for i := range 20 {
		w.write(row(2 + i))
	}
	later.Store(int64(time.Hour))
	var lag int64
	var behind float64
	for _, sh := range task.Status().Shards {
		lag, behind = lag+sh.Lag, max(behind, sh.Behind)
	}
	if lag == 0 || behind < 3600 || behind > 3700 {
		t.Errorf("%d records are unread, the first for %v s", lag, behind)
	}
	close(w.ended)
	go func() {
		for range h.in {
			h.out <- struct{}{}
		}
	}()
	h.out <- struct{}{}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	close(h.in)
}
