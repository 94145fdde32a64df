package flow_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// spread opens a stream of many shards and stores records of a size in each.
func (p *pair) spread(shards, each int, line func(n, size int) string, size int) *stream.Stream {
	p.t.Helper()
	s, err := stream.Open(p.t.Context(), p.backend, stream.Spec{Name: "spread", Shards: shards, Settings: stream.Settings{Sync: stream.SyncNever}})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			p.t.Error(err)
		}
	})
	for n := range each {
		var b record.Batch
		for _, sh := range s.Shards() {
			b.AddExplicit([]byte("k"), sh.Range.Start, []byte(line(n, size)), 0)
		}
		if err := s.Write(p.t.Context(), &b); err != nil {
			p.t.Fatal(err)
		}
	}
	close(p.ended)
	return s
}

func liveHeap() int64 {
	// Pools let go of what they hold in the second collection.
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// belated finds every row late.
type belated struct{ sink }

func (s *belated) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	var o flow.Outcome
	o.Counts.Late = int64(b.Selected())
	for row := range b.Rows {
		o.Rejects = append(o.Rejects, flow.Reject{Row: row, Code: "late"})
	}
	return o, nil
}

func TestRejectedRowsOfManyShardsStayWithinTheMemory(t *testing.T) {
	const (
		memory        = 1 << 20
		shards, each  = 24, 12
		size          = 50_000
		read, batches = 2 << 20, 2 << 20
	)
	for name, line := range map[string]func(n, size int) string{
		"dead letters": func(n, size int) string { return fmt.Sprintf(`{"n":"%d %s"}`, n, strings.Repeat("x", size)) },
		"late rows":    func(n, size int) string { return fmt.Sprintf(`{"n":%d,"password":%q}`, n, strings.Repeat("x", size)) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			s := p.spread(shards, each, line, size)
			c := p.config(&belated{sink: sink{w: p.world}})
			c.Feeds, c.Trigger, c.Memory = []flow.Feed{p.feed(s)}, flow.Trigger{}, memory
			before, most, rows := liveHeap(), int64(0), 0
			keep := func(_ context.Context, b *record.Batch) error {
				rows += b.Len()
				most = max(most, liveHeap()-before)
				return nil
			}
			c.DeadLetters = &flow.DeadLetters{Pipeline: "p", Write: keep}
			c.Late = keep
			if err := flow.NewTask(c).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if rows != shards*each {
				t.Errorf("%d rows were kept of %d", rows, shards*each)
			}
			if t.Logf("%.1f MiB", float64(most)/(1<<20)); most > 2*memory+read+batches {
				t.Errorf("%d bytes held, with a memory of %d for rejected rows", most, memory)
			}
		})
	}
}

// lenders notes the buffers that shards are read into.
type lenders struct {
	mu      sync.Mutex
	buffers map[*stream.Buffer]bool
}

type lending struct {
	stream.Log
	to *lenders
}

func (l lending) Read(ctx context.Context, from record.Ordinal, b *stream.Buffer) ([]stream.Frame, error) {
	l.to.mu.Lock()
	l.to.buffers[b] = true
	l.to.mu.Unlock()
	return l.Log.Read(ctx, from, b)
}

func TestTasksOfAProcessReadIntoAFewBuffers(t *testing.T) {
	p := newPair(t)
	for i := range 20 {
		p.write(row(i))
	}
	close(p.ended)
	buffers, seen := flow.NewBuffers(2), &lenders{buffers: map[*stream.Buffer]bool{}}
	var tasks sync.WaitGroup
	for i := range 5 {
		c := p.config(&sink{w: &world{t: t, dest: map[string][]string{}}})
		f := p.feed(p.in)
		shards := f.Input.Shards
		f.Input.Shards = func() []flow.Shard {
			all := shards()
			for i := range all {
				all[i].Log = lending{all[i].Log, seen}
			}
			return all
		}
		c.Feeds, c.Buffers, c.Identity.Name, c.Meta = []flow.Feed{f}, buffers, fmt.Sprint("lake", i), p.backend.Meta()
		task := flow.NewTask(c)
		tasks.Go(func() {
			if err := task.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	tasks.Wait()
	if len(seen.buffers) > 2 {
		t.Errorf("%d buffers for 5 tasks, want 2", len(seen.buffers))
	}
}
