package checkpoint_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
)

func TestOneWorkerTakesEveryShardAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 7)
		w := g.join("a", idle)
		synctest.Wait()
		if got := len(w.held()); got != 7 {
			t.Errorf("holds %d of 7 shards", got)
		}
	})
}

func TestWorkersShareEvenlyAndThenLeaveEachOtherAlone(t *testing.T) {
	for workers := 1; workers <= 5; workers++ {
		for shards := 1; shards <= 20; shards++ {
			synctest.Test(t, func(t *testing.T) {
				g := groupOf(t, shards)
				var all []*running
				for i := range workers {
					all = append(all, g.join(fmt.Sprint("w", i), idle))
					pass(time.Second)
				}
				taken := func() (n int64) {
					for _, w := range all {
						n += w.Stats().Taken
					}
					return n
				}
				pass(7 * expiry)
				held, before := spread(all), taken()
				if held[len(held)-1]-held[0] > 1 {
					t.Errorf("%d workers, %d shards: they hold %v", workers, shards, held)
				}
				pass(7 * expiry)
				if after := taken(); after != before {
					t.Errorf("%d workers, %d shards: %d leases moved although the shares %v were even", workers, shards, after-before, held)
				}
				// The first takes all; each lease beyond its share moves, and few of them twice.
				if most := int64(2*shards + workers); before > most {
					t.Errorf("%d workers, %d shards: %d takes until the shares were even, want at most %d", workers, shards, before, most)
				}
			})
		}
	}
}

func TestLeasesOfADeadWorkerExpireAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 4)
		a, b := g.join("a", idle), g.join("b", idle)
		pass(10 * expiry)
		if got := spread([]*running{a, b}); !slices.Equal(got, []int{2, 2}) {
			t.Fatalf("they hold %v", got)
		}
		a.die()
		// Its last sign of life was up to a third of the expiry before its death.
		pass(expiry * 6 / 10)
		if got := len(b.held()); got != 2 {
			t.Errorf("%d leases held before the expiry of those of the dead worker", got)
		}
		pass(expiry * 14 / 10)
		if got := len(b.held()); got != 4 {
			t.Errorf("%d leases held two expiries after the other worker's death", got)
		}
		if s := b.Stats(); s.Expired != 2 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestWorkerThatStopsGivesItsLeasesBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 4)
		a, b := g.join("a", idle), g.join("b", idle)
		pass(10 * expiry)
		a.leave()
		pass(expiry / 2)
		if got := len(b.held()); got != 4 {
			t.Errorf("%d leases held half an expiry after the other worker left", got)
		}
		b.cancel()
		if err := b.wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled worker: %v", err)
		}
		for _, l := range g.leases() {
			if l.Owner != "" {
				t.Errorf("%s still belongs to %s", l.Shard, l.Owner)
			}
		}
	})
}

// counter works a record a second and notes what it did.
type counter struct {
	mu   sync.Mutex
	seen map[record.ShardID][]record.Ordinal
}

func newCounter() *counter { return &counter{seen: map[record.ShardID][]record.Ordinal{}} }

// work checkpoints every fifth record and when it is asked for the shard.
func (c *counter) work(ctx context.Context, l *checkpoint.Lease) error {
	next := l.Position()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.Asked():
			return l.Checkpoint(ctx, next)
		case <-time.After(time.Second):
		}
		c.mu.Lock()
		c.seen[l.Shard()] = append(c.seen[l.Shard()], next)
		c.mu.Unlock()
		if next++; next%5 == 0 {
			if err := l.Checkpoint(ctx, next); err != nil {
				return err
			}
		}
	}
}

func TestHandOverRepeatsAndSkipsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := groupOf(t, 6), newCounter()
		workers := []*running{g.join("a", c.work)}
		pass(3 * expiry)
		workers = append(workers, g.join("b", c.work), g.join("c", c.work))
		pass(20 * expiry)
		if got := spread(workers); !slices.Equal(got, []int{2, 2, 2}) {
			t.Errorf("they hold %v", got)
		}
		workers[1].leave()
		pass(10 * expiry)
		workers[0].leave()
		workers[2].leave()
		for id, seen := range c.seen {
			for i, ordinal := range seen {
				if ordinal != record.Ordinal(i) {
					t.Fatalf("%s: record %d was worked on in place %d", id, ordinal, i)
				}
			}
			if got := g.lease(id).Position; got != record.Ordinal(len(seen)) {
				t.Errorf("%s: position %d after %d records", id, got, len(seen))
			}
		}
		if len(c.seen) != 6 {
			t.Errorf("%d shards were worked on", len(c.seen))
		}
	})
}

func TestHandlerThatDoesNotGiveUpIsEndedAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 2)
		causes := make(chan error, 2)
		a := g.join("a", func(ctx context.Context, l *checkpoint.Lease) error {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return l.Checkpoint(ctx, 17)
		})
		synctest.Wait()
		b := g.join("b", idle)
		pass(2 * expiry)
		if got := spread([]*running{a, b}); !slices.Equal(got, []int{0, 2}) {
			t.Errorf("before the patience ends they hold %v", got)
		}
		pass(3 * expiry)
		if got := spread([]*running{a, b}); !slices.Equal(got, []int{1, 1}) {
			t.Errorf("after the patience ended they hold %v", got)
		}
		if err := <-causes; !errors.Is(err, checkpoint.ErrHandOver) {
			t.Errorf("cause %v", err)
		}
		if l := g.lease(b.held()[0]); l.Position != 17 {
			t.Errorf("the last checkpoint did not come with the shard: %+v", l)
		}
	})
}

func TestHandlerThatNeverReturnsLosesItsShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 2)
		release := make(chan struct{})
		results := make(chan error, 2)
		a := g.join("a", func(ctx context.Context, l *checkpoint.Lease) error {
			<-release
			results <- l.Checkpoint(ctx, 17)
			return nil
		})
		synctest.Wait()
		b := g.join("b", idle)
		pass(6 * expiry)
		if got := len(b.held()); got != 1 {
			t.Errorf("b holds %d", got)
		}
		close(release)
		synctest.Wait()
		if errs := []error{<-results, <-results}; errors.Is(errs[0], checkpoint.ErrLeaseLost) == errors.Is(errs[1], checkpoint.ErrLeaseLost) {
			t.Errorf("checkpoints of the handlers: %v; want one to have lost its lease", errs)
		}
		if l := g.lease(b.held()[0]); l.Position != 0 {
			t.Errorf("the former owner moved the position: %+v", l)
		}
		_ = a
	})
}

func TestOutageShorterThanTheExpiryCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 3)
		w := g.join("a", idle)
		pass(2 * expiry)
		w.link.cut.Store(true)
		pass(expiry / 2)
		w.link.cut.Store(false)
		pass(2 * expiry)
		if s := w.Stats(); s.Held != 3 || s.Lost != 0 || s.Taken != 3 {
			t.Errorf("after a short outage: %+v", s)
		}
	})
}

func TestOutageLongerThanTheExpiryEndsTheHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 3)
		var lost atomic.Int32
		w := g.join("a", func(ctx context.Context, l *checkpoint.Lease) error {
			err := idle(ctx, l)
			if errors.Is(context.Cause(ctx), checkpoint.ErrLeaseLost) {
				lost.Add(1)
			}
			return err
		})
		pass(2 * expiry)
		w.link.cut.Store(true)
		pass(expiry + time.Second)
		if s := w.Stats(); lost.Load() != 3 || s.Held != 0 {
			t.Errorf("%d handlers were told; stats %+v", lost.Load(), s)
		}
		w.link.cut.Store(false)
		pass(expiry)
		if s := w.Stats(); s.Held != 3 {
			t.Errorf("after the outage: %+v", s)
		}
	})
}

func TestHandlersErrorEndsTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, broken := groupOf(t, 3), errors.New("bucket is gone")
		w := g.join("a", func(ctx context.Context, l *checkpoint.Lease) error {
			if l.Shard() == 1 {
				return broken
			}
			return idle(ctx, l)
		})
		err := w.wait()
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), `group lake on stream "events": shardId-000000000001`) {
			t.Errorf("run: %v", err)
		}
		for _, l := range g.leases() {
			if l.Owner != "" {
				t.Errorf("%s was not given back", l.Shard)
			}
		}
	})
}

func TestShardGivenUpEarlyRestsForAnExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		groupOf(t, 1).join("a", func(context.Context, *checkpoint.Lease) error {
			runs.Add(1)
			return nil
		})
		pass(expiry * 9 / 10)
		if got := runs.Load(); got != 1 {
			t.Errorf("%d runs within the expiry", got)
		}
		pass(expiry)
		if got := runs.Load(); got != 2 {
			t.Errorf("%d runs within two expiries", got)
		}
	})
}

func TestZombiesCheckpointIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 1)
		leases := make(chan *checkpoint.Lease, 2)
		keep := func(ctx context.Context, l *checkpoint.Lease) error {
			leases <- l
			return idle(ctx, l)
		}
		a := g.join("a", keep)
		zombie := <-leases
		if err := zombie.Checkpoint(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		a.die()
		g.join("b", keep)
		owner := <-leases
		a.link.cut.Store(false)
		for name, act := range map[string]func() error{
			"checkpoint": func() error { return zombie.Checkpoint(t.Context(), 9) },
			"finish":     func() error { return zombie.Finish(t.Context()) },
		} {
			if err := act(); !errors.Is(err, checkpoint.ErrLeaseLost) {
				t.Errorf("%s: %v, want ErrLeaseLost", name, err)
			}
		}
		if err := owner.Checkpoint(t.Context(), 6); err != nil {
			t.Error(err)
		}
		if err := owner.Checkpoint(t.Context(), 5); err == nil || !strings.Contains(err.Error(), "5 is before 6") {
			t.Errorf("checkpoint backwards: %v", err)
		}
		if l := g.lease(0); l.Position != 6 || l.Fence != owner.Fence() || l.Fence <= zombie.Fence() {
			t.Errorf("lease %+v, fences %d and %d", l, zombie.Fence(), owner.Fence())
		}
	})
}

func TestConfigurationMistakesAreNamed(t *testing.T) {
	good := func() checkpoint.LeaseConfig {
		return checkpoint.LeaseConfig{Meta: newMeta(), Stream: "s", Incarnation: "1", Group: "g", Lineage: groupOf(t, 1).lineage}
	}
	if _, err := checkpoint.NewWorker(good()); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*checkpoint.LeaseConfig){
		`stream ""`:             func(c *checkpoint.LeaseConfig) { c.Stream = "" },
		`incarnation "a/b"`:     func(c *checkpoint.LeaseConfig) { c.Incarnation = "a/b" },
		`group "ä"`:             func(c *checkpoint.LeaseConfig) { c.Group = "ä" },
		"more than 64":          func(c *checkpoint.LeaseConfig) { c.Group = strings.Repeat("g", 65) },
		`worker "a b"`:          func(c *checkpoint.LeaseConfig) { c.Worker = "a b" },
		"Meta and Lineage":      func(c *checkpoint.LeaseConfig) { c.Lineage = nil },
		"must not be negative":  func(c *checkpoint.LeaseConfig) { c.Expiry = -1 },
		"MaxSteal must not be ": func(c *checkpoint.LeaseConfig) { c.MaxSteal = -1 },
	} {
		c := good()
		spoil(&c)
		if _, err := checkpoint.NewWorker(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestStatsDescribeTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := groupOf(t, 2), newCounter()
		w := g.join("a", c.work)
		pass(expiry + time.Millisecond)
		s := w.Stats()
		slices.SortFunc(s.Shards, func(a, b checkpoint.ShardLease) int { return cmp.Compare(a.Shard, b.Shard) })
		if s.Held != 2 || s.Target != 2 || s.Leases != 2 || s.Taken != 2 || s.Group != "lake" || s.Stream != "events" || s.Worker != w.ID() || s.Checkpoints != 4 || s.Shards[1].Position != 10 {
			t.Errorf("stats: %+v", s)
		}
	})
}
