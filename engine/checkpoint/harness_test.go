package checkpoint_test

import (
	"context"
	"errors"
	"slices"
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
