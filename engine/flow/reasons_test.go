package flow_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/flow"
)

// heavy is a sink whose rows take a kilobyte each. It keeps why chunks were cut.
type heavy struct {
	sink
	reasons []string
}

func (h *heavy) Open() flow.Open {
	o := h.sink.Open()
	o.Memory = o.Rows << 10
	return o
}

func (h *heavy) Plan(ctx context.Context, cut flow.Cut) (flow.Plan, error) {
	h.reasons = append(h.reasons, cut.Reason)
	return h.sink.Plan(ctx, cut)
}

func TestStatusTellsChunksThatMemoryCutFromThoseOfAShutdown(t *testing.T) {
	w := newWorld(t)
	w.write(row(0), row(1), row(2))
	h := &heavy{sink: sink{w: w}}
	c := w.config(h)
	c.Trigger, c.Memory = flow.Trigger{}, 2<<10
	task := flow.NewTask(c)
	done := make(chan error)
	go func() { done <- task.Run(t.Context()) }()
	until(t, "the memory to be short", func() bool { return task.Status().Cuts["memory"] == 1 })
	w.write(row(3))
	until(t, "the last row to be read", func() bool { return task.Status().Steps[0].In == 4 })
	close(w.stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s := task.Status()
	rows := map[string]int64{}
	for reason, d := range s.DeliveredBy {
		rows[reason] = d.Rows
	}
	if d := cmp.Diff(map[string]int64{"memory": 1, "shutdown": 1}, s.Cuts); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]int64{"memory": 3, "shutdown": 1}, rows); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"memory", "shutdown"}, h.reasons); d != "" {
		t.Error(d)
	}
	if s.Delivered != (checkpoint.Delivered{Objects: 2, Rows: 4}) {
		t.Errorf("%+v", s.Delivered)
	}
}

// stalled is a sink whose store does not answer until it is told to.
type stalled struct {
	sink
	called, answer chan struct{}
}

func (s *stalled) Put(ctx context.Context, plan flow.Plan) error {
	s.called <- struct{}{}
	<-s.answer
	return s.sink.Put(ctx, plan)
}

func TestAgeOfTheUndeliveredGrowsWhileTheStoreStallsAndFallsAfterwards(t *testing.T) {
	w := newWorld(t)
	w.write(row(0))
	h := &stalled{sink: sink{w: w}, called: make(chan struct{}), answer: make(chan struct{})}
	c := w.config(h)
	c.Trigger = flow.Trigger{Rows: 1}
	task, later, done := w.running(c)
	<-h.called
	for hours := range 3 {
		later.Store(int64(hours) * int64(time.Hour))
		if age := task.Status().OldestUndelivered - float64(hours*3600); age < 0 || age > 100 {
			t.Errorf("after %d hours the oldest row is older by %v s", hours, age)
		}
	}
	h.answer <- struct{}{}
	until(t, "the age to fall", func() bool { return task.Status().OldestUndelivered == 0 })
	if got := len(w.delivered()); got != 1 {
		t.Errorf("%d rows are delivered", got)
	}
	close(w.stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
