package checkpoint_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const expiry = 10 * time.Second

var errCut = errors.New("connection cut")

// link is one worker's way to the documents. It can be cut.
type link struct {
	stream.Meta
	cut atomic.Bool
}

func (l *link) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if l.cut.Load() {
		return nil, 0, errCut
	}
	return l.Meta.Get(ctx, key)
}

func (l *link) List(ctx context.Context, prefix string) ([]string, error) {
	if l.cut.Load() {
		return nil, errCut
	}
	return l.Meta.List(ctx, prefix)
}

func (l *link) CAS(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if l.cut.Load() {
		return 0, errCut
	}
	return l.Meta.CAS(ctx, key, value, revision)
}

// group is a consumer group under test.
type group struct {
	t    *testing.T
	meta stream.Meta

	mu     sync.Mutex
	shards []checkpoint.ShardInfo
}

func groupOf(t *testing.T, shards int) *group {
	g := &group{t: t, meta: newMeta()}
	for i := range shards {
		g.shards = append(g.shards, checkpoint.ShardInfo{ID: record.ShardID(i)})
	}
	return g
}

func (g *group) lineage() []checkpoint.ShardInfo {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.shards)
}

// child adds a shard and closes its parents.
func (g *group) child(id record.ShardID, parents ...record.ShardID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.shards {
		g.shards[i].Closed = g.shards[i].Closed || slices.Contains(parents, g.shards[i].ID)
	}
	g.shards = append(g.shards, checkpoint.ShardInfo{ID: id, Parents: parents})
}

// forget removes a shard as retention does.
func (g *group) forget(id record.ShardID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shards = slices.DeleteFunc(g.shards, func(s checkpoint.ShardInfo) bool { return s.ID == id })
}

func (g *group) leases() []checkpoint.ShardLease {
	g.t.Helper()
	leases, err := checkpoint.ReadLeases(g.t.Context(), g.meta, "events", "1", "lake")
	if err != nil {
		g.t.Fatal(err)
	}
	return leases
}

func (g *group) lease(id record.ShardID) checkpoint.ShardLease {
	g.t.Helper()
	for _, l := range g.leases() {
		if l.Shard == id {
			return l
		}
	}
	g.t.Fatalf("%s has no lease", id)
	return checkpoint.ShardLease{}
}

// running is a worker of a group at work.
type running struct {
	*checkpoint.Worker
	t      *testing.T
	link   *link
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

// join starts a worker; it is stopped when the test ends.
func (g *group) join(name string, handle checkpoint.Handler, options ...func(*checkpoint.LeaseConfig)) *running {
	g.t.Helper()
	r := &running{t: g.t, link: &link{Meta: g.meta}, ended: make(chan struct{})}
	c := checkpoint.LeaseConfig{Meta: r.link, Stream: "events", Incarnation: "1", Group: "lake", Worker: name, Lineage: g.lineage, Expiry: expiry}
	for _, o := range options {
		o(&c)
	}
	var err error
	if r.Worker, err = checkpoint.NewWorker(c); err != nil {
		g.t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(g.t.Context())
	go func() {
		r.err = r.Run(ctx, handle)
		close(r.ended)
	}()
	g.t.Cleanup(func() { r.cancel(); <-r.ended })
	return r
}

// leave stops the worker gently.
func (r *running) leave() {
	r.t.Helper()
	synctest.Wait()
	r.Stop()
	if err := r.wait(); err != nil {
		r.t.Errorf("%s stopped: %v", r.ID(), err)
	}
}

// die ends the worker so that it can tell nobody.
func (r *running) die() {
	synctest.Wait()
	r.link.cut.Store(true)
	r.cancel()
	<-r.ended
}

func (r *running) wait() error {
	<-r.ended
	return r.err
}

func (r *running) held() []record.ShardID {
	var ids []record.ShardID
	for _, l := range r.Stats().Shards {
		ids = append(ids, l.Shard)
	}
	return ids
}

// idle holds a shard and does nothing.
func idle(ctx context.Context, l *checkpoint.Lease) error {
	select {
	case <-ctx.Done():
	case <-l.Asked():
	}
	return nil
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// spread are the numbers of leases held, ascending.
func spread(workers []*running) []int {
	var held []int
	for _, w := range workers {
		held = append(held, len(w.held()))
	}
	slices.Sort(held)
	return held
}

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
		pass(expiry / 2)
		if got := len(b.held()); got != 2 {
			t.Errorf("%d leases held half an expiry after the other worker's death", got)
		}
		pass(expiry * 3 / 2)
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

func TestTableThatCannotBeReadStopsTheWorkerAndIsLeftAlone(t *testing.T) {
	for name, c := range map[string]struct{ key, value, want string }{
		"another version": {"shardId-000000000001", `{"version":2,"leader":"x"}`, "version 2; this program reads version 1"},
		"not JSON":        {"shardId-000000000001", `{"version":1,`, "unexpected EOF"},
		"not a lease":     {"shardId-000000000001", `{"version":1,"counter":1,"fence":0,"owner":"x","position":0}`, "under no fence"},
		"another group":   {"group", `{"version":7}`, "version 7"},
		"another key":     {"leader", `{"version":1}`, `"leader" is no shard`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, m := groupOf(t, 2), newMeta()
				g.meta = m
				g.join("a", idle).leave()
				key := "leases/events/1/lake/" + c.key
				m.docs[key] = []byte(c.value)
				m.revs[key]++
				revision := m.revs[key]
				err := g.join("b", idle).wait()
				var table *checkpoint.LeaseTableError
				if !errors.As(err, &table) || table.Key != key || !strings.Contains(err.Error(), c.want) {
					t.Errorf("run: %v", err)
				}
				if m.revs[key] != revision {
					t.Error("the document was overwritten")
				}
			})
		})
	}
}

func TestMissingGroupDocumentIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, m := groupOf(t, 2), newMeta()
		g.meta = m
		g.join("a", idle).leave()
		delete(m.docs, "leases/events/1/lake/group")
		delete(m.revs, "leases/events/1/lake/group")
		if err := g.join("b", idle).wait(); err == nil || !strings.Contains(err.Error(), "missing") {
			t.Errorf("run: %v", err)
		}
	})
}

func TestVacatedLeasesAreTakenAtOnceUnderAHigherFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 3)
		leases := make(chan *checkpoint.Lease, 3)
		g.join("a", func(ctx context.Context, l *checkpoint.Lease) error {
			leases <- l
			<-ctx.Done()
			return nil
		}).die()
		zombie := <-leases
		n, err := checkpoint.Vacate(t.Context(), g.meta)
		if err != nil || n != 3 {
			t.Fatalf("vacated %d: %v", n, err)
		}
		b := g.join("b", idle)
		synctest.Wait()
		if got := len(b.held()); got != 3 {
			t.Errorf("the new owner holds %d", got)
		}
		if l := g.lease(zombie.Shard()); l.Fence <= zombie.Fence() {
			t.Errorf("fence %d after %d", l.Fence, zombie.Fence())
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

func TestGroupsDoNotKnowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := groupOf(t, 2)
		a := g.join("a", idle)
		b := g.join("a", idle, func(c *checkpoint.LeaseConfig) { c.Group = "other" })
		c := g.join("a", idle, func(c *checkpoint.LeaseConfig) { c.Incarnation = "2" })
		pass(3 * expiry)
		if got := spread([]*running{a, b, c}); !slices.Equal(got, []int{2, 2, 2}) {
			t.Errorf("they hold %v", got)
		}
		groups, err := checkpoint.Groups(t.Context(), g.meta, "events", "1")
		if err != nil || !slices.Equal(groups, []string{"lake", "other"}) {
			t.Errorf("groups %v, %v", groups, err)
		}
		b.leave()
		if err := checkpoint.RemoveGroup(t.Context(), g.meta, "events", "1", "other"); err != nil {
			t.Fatal(err)
		}
		if groups, _ := checkpoint.Groups(t.Context(), g.meta, "events", "1"); !slices.Equal(groups, []string{"lake"}) {
			t.Errorf("groups left: %v", groups)
		}
		if _, err := checkpoint.ReadLeases(t.Context(), g.meta, "events", "1", "other"); !errors.Is(err, stream.ErrNotFound) {
			t.Errorf("reading the removed group: %v", err)
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
