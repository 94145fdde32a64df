package flow_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/stream"
)

func TestTasksShareAStreamInOrder(t *testing.T) {
	for tasks := 1; tasks <= 5; tasks++ {
		p := grown(t)
		c := p.consumer(site{tasks: tasks, rows: 4})
		if err := c.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.complete(fmt.Sprint(tasks, " tasks"))
		s := c.Status()
		if !c.Drained() || s.State != "done" || s.Parallelism != tasks {
			t.Errorf("%d tasks: drained %t, state %q, parallelism %d", tasks, c.Drained(), s.State, s.Parallelism)
		}
		if want := (checkpoint.Counts{In: keys*12 + keys*2, Passed: keys * 12, Bad: keys * 2}); s.Steps[0].Counts != want || s.Delivered.Rows != keys*12 {
			t.Errorf("%d tasks: status counts %+v and %d delivered, want %+v", tasks, s.Steps[0].Counts, s.Delivered.Rows, want)
		}
	}
}

// Each run has another number of tasks, and dies at some effect but for the last.
func TestRowsArriveOnceWithEveryNumberOfTasksWhereverACrashHits(t *testing.T) {
	const seeds = 60
	var crashes atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for seed := range uint64(seeds) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				crashes.Add(mortal(t, rand.New(rand.NewPCG(seed, 7))))
			})
		}
	})
	if n := crashes.Load(); n < seeds {
		t.Errorf("%d runs died, too few to prove anything", n)
	}
}

// mortal runs a consumer several times and returns how often it died.
func mortal(t *testing.T, r *rand.Rand) (crashes int64) {
	const runs = 4
	p := grown(t)
	story := ""
	for run := range runs {
		tasks := 1 + r.IntN(4)
		ctx, kill := context.WithCancel(t.Context())
		p.fuse = fuse{}
		if run < runs-1 {
			p.fuse = fuse{at: 1 + r.IntN(60), after: r.IntN(2) == 0, kill: kill}
		}
		story += fmt.Sprintf(" %d tasks die at %d (%t),", tasks, p.fuse.at, p.fuse.after)
		p.vacate()
		err := p.consumer(site{tasks: tasks, rows: 1 + r.Int64N(9)}).Run(ctx)
		died := ctx.Err() != nil
		kill()
		if err != nil && !died {
			t.Fatalf("%s: %v", story, err)
		}
		if died {
			crashes++
		}
	}
	p.complete(story)
	return crashes
}

// start runs a consumer until it ends by itself or is stopped.
func start(t *testing.T, c *flow.Consumer) (wait func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- c.Run(t.Context()) }()
	return func() {
		t.Helper()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// virtually runs a test whose time passes only while all wait, so that no lease runs out because the machine is slow.
func virtually(t *testing.T, test func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		// Virtual time begins in 2000, and rows of a far future are rejected.
		<-time.After(time.Until(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)))
		test(t)
	})
}

// until waits for something to become true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (p *plant) delivered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.order)
}

func TestTasksAreHandedOverAndTakenBackWithoutRepeating(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := newPlant(t, 4)
		p.write(2)
		stop := make(chan struct{})
		first := p.consumer(site{tasks: 4, rows: 1 << 30, expiry: 300 * time.Millisecond, stop: stop})
		firstDone := start(t, first)
		until(t, "the first worker to have all shards", func() bool { return len(first.Status().Shards) == 4 })
		second := p.consumer(site{tasks: 4, rows: 3, expiry: 300 * time.Millisecond})
		secondDone := start(t, second)
		until(t, "an even share", func() bool {
			p.write(1)
			return len(first.Status().Shards) == 2 && len(second.Status().Shards) == 2
		})
		if n := first.Status().Cuts["handover"]; n == 0 {
			t.Error("the first worker gave tasks away and committed nothing for it")
		}
		p.reshard()
		p.write(3)
		close(stop)
		firstDone()
		if first.Drained() {
			t.Error("a stopped consumer claims that all was delivered")
		}
		until(t, "the second worker to have all tasks", func() bool { return len(second.Status().Shards) == len(p.in.Shards()) })
		p.write(3)
		close(p.ended)
		secondDone()
		p.complete("hand-over")
		if !second.Drained() {
			t.Error("the second worker ended before all was delivered")
		}
	})
}

// A process that stands still, as with SIGSTOP, comes back when others have its tasks.
func TestCommitOfAWorkerThatWasAwayIsRefused(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := newPlant(t, 2)
		p.write(3)
		var mu sync.Mutex
		asleep, awake := make(chan struct{}, 4), make(chan struct{})
		slept := map[int]bool{}
		p.pause = func(id flow.Identity) {
			mu.Lock()
			first := !slept[id.Task]
			slept[id.Task] = true
			mu.Unlock()
			if first {
				asleep <- struct{}{}
				<-awake
			}
		}
		zombie := p.consumer(site{tasks: 2, rows: 5, expiry: time.Hour})
		zombieDone := start(t, zombie)
		<-asleep
		<-asleep
		heir := p.consumer(site{tasks: 2, rows: 5, expiry: 200 * time.Millisecond})
		heirDone := start(t, heir)
		until(t, "the heir to redo and go on", func() bool { return heir.Status().Delivered.Rows >= 10 })
		p.write(3)
		close(awake)
		close(p.ended)
		zombieDone()
		heirDone()
		p.complete("zombie")
		if n := zombie.Status().Cuts; len(n) != 0 {
			t.Errorf("the worker that was away published chunks: %v", n)
		}
	})
}

func TestLostLeaseEndsTheTask(t *testing.T) {
	virtually(t, func(t *testing.T) {
		p := newPlant(t, 1)
		p.write(1)
		called := make(chan struct{}, 1)
		resume := make(chan struct{})
		var calls atomic.Int64
		p.pause = func(flow.Identity) {
			if calls.Add(1) == 1 {
				called <- struct{}{}
				<-resume
			}
		}
		loser := p.consumer(site{tasks: 1, rows: 5, expiry: 400 * time.Millisecond})
		loserDone := start(t, loser)
		<-called
		// The loser's renewals fail from here on, and its lease runs out on its own clock.
		p.vacate()
		heir := p.consumer(site{tasks: 1, rows: 5, expiry: 400 * time.Millisecond})
		heirDone := start(t, heir)
		until(t, "the heir to deliver", func() bool { return p.delivered() >= 5 })
		close(resume)
		p.write(1)
		close(p.ended)
		loserDone()
		heirDone()
		p.complete("lost lease")
	})
}

// Each task's delivery waits for the other's: they finish only if they run at the same time.
func TestTasksRunAtTheSameTime(t *testing.T) {
	p := newPlant(t, 2)
	p.write(1)
	close(p.ended)
	var both sync.WaitGroup
	both.Add(2)
	seen := map[int]bool{}
	var mu sync.Mutex
	p.pause = func(id flow.Identity) {
		mu.Lock()
		first := !seen[id.Task]
		seen[id.Task] = true
		mu.Unlock()
		if first {
			both.Done()
		}
		both.Wait()
	}
	if err := p.consumer(site{tasks: 2, rows: 1}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.complete("at the same time")
}

func TestFailedTaskStopsTheOthersInOrder(t *testing.T) {
	p := newPlant(t, 2)
	p.write(4)
	p.fuse = fuse{at: 12}
	c := p.consumer(site{tasks: 2, rows: 3})
	err := c.Run(t.Context())
	if !errors.Is(err, errCrash) || !strings.Contains(err.Error(), `lake`) && !strings.Contains(err.Error(), "crash") {
		t.Errorf("run returned %v", err)
	}
	if s := c.Status(); s.State != "failed" || s.Error == "" || c.Drained() {
		t.Errorf("state %q, error %q, drained %t", s.State, s.Error, c.Drained())
	}
}

func TestFewerTasksKeepTheSumsOfThoseThatWent(t *testing.T) {
	p := newPlant(t, 4)
	p.write(5)
	stop := make(chan struct{})
	c := p.consumer(site{tasks: 4, rows: 2, stop: stop})
	done := start(t, c)
	until(t, "all rows", func() bool { return c.Status().Steps[0].Passed == keys*5 })
	close(stop)
	done()
	close(p.ended)
	p.write(5)
	c = p.consumer(site{tasks: 1, rows: 2})
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.complete("fewer tasks")
	s := c.Status()
	if s.Steps[0].Passed != keys*10 || s.Before[0].Passed != keys*5 || s.Delivered.Rows != keys*10 || s.DeliveredBefore.Rows != keys*5 {
		t.Errorf("passed %d, before %d, delivered %d, before %d", s.Steps[0].Passed, s.Before[0].Passed, s.Delivered.Rows, s.DeliveredBefore.Rows)
	}
}

func TestRedoOnlyDeliversWhatWasPlannedAndNoMore(t *testing.T) {
	w := newWorld(t)
	w.write(row(0), row(1), row(2))
	c := w.config(&sink{w: w})
	c.RedoOnly = true
	if err := flow.NewTask(c).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := checkpoint.Read(t.Context(), w.backend.Meta(), flow.Key(c.Identity)); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("redoing nothing made a document: %v", err)
	}
	close(w.ended)
	w.breaks = breaks{at: 3} // 1 opens the document, 2 plans, 3 puts
	if err := flow.NewTask(w.config(&sink{w: w})).Run(t.Context()); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	w.breaks = breaks{}
	w.write(row(3))
	c = w.config(&sink{w: w})
	c.RedoOnly = true
	if err := flow.NewTask(c).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.delivered(); !slices.Equal(got, wantRows(3)) {
		t.Errorf("delivered %q", got)
	}
	doc, err := checkpoint.Read(t.Context(), w.backend.Meta(), flow.Key(c.Identity))
	if err != nil || doc.Pending != nil || doc.Chunk != 1 {
		t.Errorf("the document is at chunk %d, pending %v: %v", doc.Chunk, doc.Pending, err)
	}
}
