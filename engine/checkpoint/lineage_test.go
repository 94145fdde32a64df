package checkpoint_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
)

// lifetime records when shards are begun and ended.
type lifetime struct {
	mu     sync.Mutex
	events []string
	finish map[record.ShardID]chan struct{}
}

func (l *lifetime) add(event string, id record.ShardID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, fmt.Sprint(event, " ", uint32(id)))
}

// untilTold works on a shard until the test says that it is at its end.
func (l *lifetime) untilTold(ctx context.Context, lease *checkpoint.Lease) error {
	l.add("begin", lease.Shard())
	select {
	case <-ctx.Done():
		return nil
	case <-lease.Asked():
		return nil
	case <-l.finish[lease.Shard()]:
	}
	l.add("end", lease.Shard())
	return lease.Finish(ctx)
}

func (l *lifetime) index(event string, id record.ShardID) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Index(l.events, fmt.Sprint(event, " ", uint32(id)))
}

func TestChildrenBeginWhenAllParentsHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 2)
		l := &lifetime{finish: map[record.ShardID]chan struct{}{}}
		for id := range record.ShardID(6) {
			l.finish[id] = make(chan struct{})
		}
		g.join("a", l.untilTold)
		g.join("b", l.untilTold)
		pass(2 * expiry)
		// 0 is split into 2 and 3, 1 and 3 are merged into 4, and 2 and 4 into 5.
		g.child(2, 0)
		g.child(3, 0)
		g.child(4, 1, 3)
		g.child(5, 2, 4)
		parents := map[record.ShardID][]record.ShardID{2: {0}, 3: {0}, 4: {1, 3}, 5: {2, 4}}
		for _, id := range []record.ShardID{1, 0, 3, 4, 2} {
			pass(2 * expiry)
			close(l.finish[id])
		}
		pass(2 * expiry)
		for child, all := range parents {
			for _, parent := range all {
				if end, begin := l.index("end", parent), l.index("begin", child); end < 0 || begin < end {
					t.Errorf("%d began at %d, its parent %d ended at %d: %v", child, begin, parent, end, l.events)
				}
			}
		}
		if got := g.leases(); len(got) != 1 || got[0].Shard != 5 || got[0].Owner == "" {
			t.Errorf("leases left: %+v, want that of shard 5 only", got)
		}
	})
}

func TestChildBeginsAtOnceWhenItsParentEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 1)
		l := &lifetime{finish: map[record.ShardID]chan struct{}{0: make(chan struct{})}}
		g.join("a", l.untilTold)
		g.child(1, 0)
		synctest.Wait()
		close(l.finish[0])
		synctest.Wait()
		if want := []string{"begin 0", "end 0", "begin 1"}; !slices.Equal(l.events, want) {
			t.Errorf("got %v, want %v", l.events, want)
		}
	})
}

func TestShardThatRetentionTookBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 1)
		g.join("a", idle).leave()
		g.child(1, 0)
		g.forget(0)
		w := g.join("b", idle)
		synctest.Wait()
		if got := w.held(); !slices.Equal(got, []record.ShardID{1}) {
			t.Errorf("holds %v", got)
		}
		if got := g.leases(); len(got) != 1 {
			t.Errorf("leases left: %+v", got)
		}
	})
}

// A worker that has not heard of a split must not begin the parent again once its lease is gone.
func TestWorkerWithAnOldLineageDoesNotBeginAFinishedShardAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 1)
		old := g.lineage()
		l := &lifetime{finish: map[record.ShardID]chan struct{}{0: make(chan struct{})}}
		g.child(1, 0)
		close(l.finish[0])
		g.join("a", l.untilTold)
		pass(expiry)
		if got := g.leases(); len(got) != 1 || got[0].Shard != 1 {
			t.Fatalf("leases after the split: %+v", got)
		}
		late := g.join("b", l.untilTold, func(c *checkpoint.LeaseConfig) {
			c.Lineage = func() []checkpoint.ShardInfo { return old }
		})
		pass(3 * expiry)
		if s := late.Stats(); s.Taken != 0 || s.Leases != 0 {
			t.Errorf("the late worker: %+v; events %v", s, l.events)
		}
	})
}

func TestStartIsDecidedOnceForAllShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 1)
		g.child(1, 0)
		g.child(2, 0)
		calls := 0
		latest := func(c *checkpoint.LeaseConfig) {
			c.Start = func(_ context.Context, shards []checkpoint.ShardInfo) (map[record.ShardID]record.Ordinal, error) {
				calls++
				start := map[record.ShardID]record.Ordinal{}
				for _, s := range shards {
					if !s.Closed {
						start[s.ID] = 100 + record.Ordinal(s.ID)
					}
				}
				return start, nil
			}
		}
		a := g.join("a", idle, latest)
		synctest.Wait()
		a.die()
		g.child(3, 1)
		l := &lifetime{finish: map[record.ShardID]chan struct{}{1: make(chan struct{})}}
		close(l.finish[1])
		g.join("b", l.untilTold, latest)
		pass(3 * expiry)
		got := map[record.ShardID]record.Ordinal{}
		for _, l := range g.leases() {
			got[l.Shard] = l.Position
		}
		if want := map[record.ShardID]record.Ordinal{2: 102, 3: 0}; calls != 1 || !maps.Equal(got, want) {
			t.Errorf("%d calls, positions %v, want %v", calls, got, want)
		}
	})
}
