package checkpoint_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

// dataDirectory opens a backend on the real disk; it is closed when the test ends.
func dataDirectory(t *testing.T, dir string) *disk.Backend {
	t.Helper()
	b, err := disk.Open(vfs.OS{}, dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func openStream(t *testing.T, b *disk.Backend, shards int) *stream.Stream {
	t.Helper()
	s, err := stream.Open(t.Context(), b, stream.Spec{Name: "events", Shards: shards})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// onDisk is a group on a stream of a real backend.
func onDisk(t *testing.T, b *disk.Backend) *group {
	return &group{t: t, meta: b.Meta()}
}

func of(s *stream.Stream) func(*checkpoint.LeaseConfig) {
	return func(c *checkpoint.LeaseConfig) {
		c.Incarnation, c.Lineage = s.Incarnation(), checkpoint.LineageOf(s.Shards)
	}
}

func write(t *testing.T, s *stream.Stream, from, to int) {
	t.Helper()
	var b record.Batch
	for i := from; i < to; i++ {
		b.Add(fmt.Appendf(nil, "key %d", i%97), fmt.Append(nil, i), 0)
	}
	if err := s.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
}

// output keeps records once the checkpoint past them is durable, as a sink does that commits both
// together.
type output struct {
	mu   sync.Mutex
	data map[string]int
}

func (o *output) process(ctx context.Context, l *checkpoint.Lease, frames []stream.Frame) error {
	var data []string
	for _, f := range frames {
		for body := f.Body; len(body) > 0; {
			r, rest, err := record.Next(body)
			if err != nil {
				return err
			}
			data, body = append(data, string(r.Data)), rest
		}
	}
	if err := l.Checkpoint(ctx, frames[len(frames)-1].Next()); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range data {
		o.data[d]++
	}
	return nil
}

func (o *output) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.data)
}

func TestStreamOnDiskIsConsumedOnceAcrossSplitsMergesAndDeaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := dataDirectory(t, t.TempDir())
		s, g, out := openStream(t, b, 4), onDisk(t, b), &output{data: map[string]int{}}
		c := checkpoint.Consumer{Log: s.Log, Process: out.process, Max: 4 << 10}
		names := 0
		join := func() *running {
			names++
			return g.join(fmt.Sprint("w", names), c.Handle, of(s))
		}
		workers := []*running{join(), join(), join()}
		written := 0
		more := func() {
			for range 10 {
				write(t, s, written, written+50)
				written += 50
				pass(time.Second)
			}
		}
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		more()
		check(s.Split(t.Context(), 1, s.Shards()[1].Range.Middle()))
		more()
		workers[0].die()
		workers[0] = join()
		more()
		check(s.Merge(t.Context(), 2, 3))
		workers[1].die()
		workers[1] = join()
		more()
		check(s.Reshard(t.Context(), 7))
		more()
		workers[2].die()
		workers[2] = join()
		more()
		pass(10 * expiry)
		once := 0
		for i := range written {
			if n := out.data[fmt.Sprint(i)]; n == 1 {
				once++
			} else if n > 1 {
				t.Errorf("record %d came out %d times", i, n)
			}
		}
		if once != written || out.count() != written {
			t.Errorf("%d of %d records came out once", once, written)
		}
		if held := spread(workers); held[0]+held[1]+held[2] != 7 || held[2]-held[0] > 1 {
			t.Errorf("the workers hold %v of 7 shards", held)
		}
		leases, err := checkpoint.ReadLeases(t.Context(), b.Meta(), "events", s.Incarnation(), "lake")
		if err != nil || len(leases) != 7 {
			t.Errorf("leases left: %+v, %v", leases, err)
		}
		holds, err := checkpoint.Holds(t.Context(), b.Meta(), "events", s.Incarnation(), checkpoint.LineageOf(s.Shards)())
		check(err)
		for id, from := range holds {
			if next := s.Log(id).Bounds().Next; from != next {
				t.Errorf("%s: held from %d, and all of %d records are done", id, from, next)
			}
		}
		if len(holds) != 7 {
			t.Errorf("holds %v", holds)
		}
	})
}

func TestChildrenOfASealedShardBeginSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := dataDirectory(t, t.TempDir())
		s, g, out := openStream(t, b, 1), onDisk(t, b), &output{data: map[string]int{}}
		known := make(chan struct{})
		c := checkpoint.Consumer{Log: s.Log, Process: out.process}
		all := checkpoint.LineageOf(s.Shards)
		g.join("a", c.Handle, of(s), func(c *checkpoint.LeaseConfig) {
			// The parent is worked on to its end before the children are known.
			before := all()
			c.Lineage = func() []checkpoint.ShardInfo {
				select {
				case <-known:
					return all()
				default:
					return before
				}
			}
		})
		write(t, s, 0, 10)
		pass(time.Second)
		if err := s.Split(t.Context(), 0, s.Shards()[0].Range.Middle()); err != nil {
			t.Fatal(err)
		}
		write(t, s, 10, 20)
		pass(100 * time.Millisecond)
		close(known)
		pass(300 * time.Millisecond)
		if got := out.count(); got != 20 {
			t.Errorf("%d of 20 records 0.3 s after the children were known", got)
		}
	})
}

func TestGroupGoesOnWhereItWasAfterARestart(t *testing.T) {
	dir, out := t.TempDir(), &output{data: map[string]int{}}
	for run := range 3 {
		synctest.Test(t, func(t *testing.T) {
			b := dataDirectory(t, dir)
			freed, err := checkpoint.Vacate(t.Context(), b.Meta())
			if err != nil || freed != 2*min(run, 1) {
				t.Fatalf("run %d: freed %d leases, %v", run, freed, err)
			}
			s, g := openStream(t, b, 2), onDisk(t, b)
			c := checkpoint.Consumer{Log: s.Log, Process: out.process}
			w := g.join("a", c.Handle, of(s))
			write(t, s, 100*run, 100*run+100)
			synctest.Wait()
			if got := out.count(); got != 100*(run+1) {
				t.Errorf("run %d: %d records", run, got)
			}
			w.die()
			_ = s.Close()
		})
	}
	for data, n := range out.data {
		if n != 1 {
			t.Errorf("record %s came out %d times", data, n)
		}
	}
}

func TestDamagedLeaseFileStopsTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := dataDirectory(t, t.TempDir())
		s, g := openStream(t, b, 1), onDisk(t, b)
		g.join("a", idle, of(s)).leave()
		key := "leases/events/" + s.Incarnation() + "/lake/shardId-000000000000"
		_, revision, err := b.Meta().Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Meta().CAS(t.Context(), key, []byte(`{"version":9}`), revision); err != nil {
			t.Fatal(err)
		}
		var table *checkpoint.LeaseTableError
		if err := g.join("b", idle, of(s)).wait(); !errors.As(err, &table) || table.Key != key {
			t.Errorf("run: %v", err)
		}
		if _, err := checkpoint.Vacate(t.Context(), b.Meta()); !errors.As(err, &table) {
			t.Errorf("vacate: %v", err)
		}
		if err := checkpoint.RemoveGroup(t.Context(), b.Meta(), "events", s.Incarnation(), "lake"); err != nil {
			t.Errorf("remove: %v", err)
		}
		if keys, err := b.Meta().List(t.Context(), "leases/"); err != nil || !slices.Equal(keys, nil) {
			t.Errorf("left: %v, %v", keys, err)
		}
	})
}
