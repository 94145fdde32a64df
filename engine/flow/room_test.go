package flow_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/sql"
)

// small is a data directory on a disk that runs full, with a query that keeps its state there.
type small struct {
	t       *testing.T
	disk    *vfs.Mem
	backend *disk.Backend
	in, out *stream.Stream
	dead    *stream.Stream
	ended   chan struct{}
	text    string
	// memory of the query, in bytes.
	memory int64
	log    bytes.Buffer
}

func newSmall(t *testing.T, text string, memory int64) *small {
	t.Helper()
	w := &small{t: t, disk: vfs.NewMem(), ended: make(chan struct{}), text: text, memory: memory}
	w.open()
	return w
}

func (w *small) open() {
	w.t.Helper()
	var err error
	if w.backend, err = disk.Open(w.disk, "data", disk.Options{}); err != nil {
		w.t.Fatal(err)
	}
	open := func(name string) *stream.Stream {
		s, err := stream.Open(w.t.Context(), w.backend, stream.Spec{Name: name, Shards: 1})
		if err != nil {
			w.t.Fatal(err)
		}
		return s
	}
	w.in, w.out, w.dead = open("events"), open("p.q"), open("p.dead-letters")
}

func (w *small) close() {
	w.t.Helper()
	for _, c := range []interface{ Close() error }{w.in, w.out, w.dead, w.backend} {
		if err := c.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// reopen is the next start of the process on a disk that has room; after a power cut, what was not synced may be gone.
func (w *small) reopen(after *vfs.Mem) {
	w.t.Helper()
	w.disk.SetFault(nil)
	w.close()
	w.disk = after
	w.open()
	if _, err := checkpoint.Vacate(w.t.Context(), w.backend.Meta()); err != nil {
		w.t.Fatal(err)
	}
}

// write stores rows of keys 0 to keys, n in all, and ends the input. A chunk has some 2,000.
func (w *small) write(n, keys int) {
	w.t.Helper()
	var b record.Batch
	pad := strings.Repeat("x", 500)
	for i := range n {
		b.Add([]byte("k"), fmt.Appendf(nil, `{"ts":"1999-12-31T00:00:%02d.%06dZ","k":%d,"pad":"%s"}`, i*50/n, i, i%keys, pad), 0)
	}
	if err := w.in.Write(w.t.Context(), &b); err != nil {
		w.t.Fatal(err)
	}
	close(w.ended)
}

// consumer is the query; it stops when stop is closed.
func (w *small) consumer(stop <-chan struct{}) *flow.Consumer {
	w.t.Helper()
	q, err := sql.CompileQuery(w.text, func(string) (sql.Input, bool) { return sql.Input{Schema: perKey, EventTime: "ts"}, true })
	if err != nil {
		w.t.Fatal(err)
	}
	id := flow.Identity{Pipeline: "p", Name: "q", Incarnation: w.in.Incarnation()}
	log := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	c, err := flow.NewConsumer(flow.ConsumerConfig{Worker: "w", Expiry: time.Minute, Open: func(int) (flow.Config, error) {
		return flow.Config{
			Identity: id, Kind: "query",
			Feeds: []flow.Feed{{
				Input: flow.Input{
					Name: "events", Stream: "events", Incarnation: w.in.Incarnation(), Updated: w.in.Updated, Ended: w.ended, Schema: perKey, EventTime: "ts",
					Shards: func() []flow.Shard { return []flow.Shard{{ID: 0, Log: w.in.Log(0)}} },
				},
				Needs: q.Needs(0),
				Start: func() (map[record.ShardID]record.Ordinal, error) {
					return map[record.ShardID]record.Ordinal{0: 0}, nil
				},
			}},
			Processor: &flow.Query{
				Identity: id, Target: "p.q", New: q.New, Windowed: true, Memory: w.memory, Dir: "data/state/p/q", FS: w.disk, Write: w.out.TryWrite,
			},
			Trigger: flow.Trigger{Rows: 2000}, Meta: w.backend.Meta(),
			DeadLetters: &flow.DeadLetters{Pipeline: "p", Write: w.dead.TryWrite}, Stop: stop, Now: time.Now, Log: log,
		}, nil
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// run runs the query to its end.
func (w *small) run() {
	w.t.Helper()
	c := w.consumer(nil)
	if err := c.Run(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if s := c.Status(); !c.Drained() || s.State != "done" || s.DiskFull || s.Error != "" {
		w.t.Errorf("at the end: %s, %q", s.State, s.Error)
	}
}

// rows are those of the query, sorted.
func (w *small) rows() []string { return (&world{t: w.t}).lines(w.out) }

// takesRoom are the operations that a full disk refuses.
var takesRoom = []string{"create", "write", "sync", "rename", "mkdir", "syncdir"}

// fullAt makes the disk full from its k-th operation that needs room on, for a while, or for that operation alone. It
// returns how many there were.
func (w *small) fullAt(k int, err error, lasts time.Duration) (seen func() int) {
	var mu sync.Mutex // guards what follows
	n, until := 0, time.Time{}
	w.disk.SetFault(func(op vfs.Op) error {
		if !slices.Contains(takesRoom, op.Kind) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if n++; n == k {
			until = time.Now().Add(lasts)
		}
		if n == k || time.Now().Before(until) {
			return err
		}
		return nil
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

const sumPerKey = "SELECT k, COUNT(*) AS n, SUM(k) AS s FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k"

func TestADiskThatIsFullForAWhileAnywhereInACommitChangesNothing(t *testing.T) {
	for _, q := range []struct {
		name, text string
		rows, keys int
		memory     int64
		// leastOps is how many operations there are at least; each step-th is tried.
		leastOps, step int
	}{
		{name: "one piece", text: sumPerKey, rows: 5000, keys: 1500, memory: 64 << 20, leastOps: 40, step: 1},
		{name: "key groups", text: strings.Replace(sumPerKey, "TUMBLE", "SESSION", 1), rows: 15_000, keys: 15_000, memory: 64 << 20, leastOps: 250, step: 71},
		{name: "runs", text: sumPerKey, rows: 5000, keys: 2500, memory: 32 << 10, leastOps: 500, step: 31},
	} {
		t.Run(q.name, func(t *testing.T) {
			var want []string
			// The whole of one run, once without a fault.
			try := func(k int, lasts time.Duration) (ops int) {
				synctest.Test(t, func(t *testing.T) {
					w := newSmall(t, q.text, q.memory)
					defer w.close()
					w.write(q.rows, q.keys)
					full := []error{syscall.ENOSPC, syscall.EDQUOT}[k%2]
					seen := w.fullAt(k, full, lasts)
					w.run()
					ops = seen()
					w.disk.SetFault(nil)
					if got := w.rows(); k == 0 {
						want = got
					} else if !slices.Equal(got, want) {
						t.Errorf("full at operation %d: %d rows, want %d as without a fault", k, len(got), len(want))
					}
					if waits := strings.Count(w.log.String(), "waiting for room"); k > 0 && waits > 1 {
						t.Errorf("full at operation %d: said %d times:\n%s", k, waits, w.log.String())
					}
				})
				return ops
			}
			ops := try(0, 0)
			t.Logf("%d operations", ops)
			if ops < q.leastOps || len(want) != q.keys {
				t.Fatalf("%d operations and %d rows without a fault", ops, len(want))
			}
			for k := 1; k <= ops && !t.Failed(); k += q.step {
				try(k, 0)
				try(k, 5*time.Second)
			}
		})
	}
}

func TestAQueryOnAFullDiskSaysSoOnceAndGoesOnByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSmall(t, sumPerKey, 64<<20)
		defer w.close()
		w.write(5000, 1500)
		// Longer than the lease of a task lasts without being renewed.
		w.fullAt(25, syscall.ENOSPC, 10*time.Minute)
		c := w.consumer(nil)
		done := make(chan error, 1)
		go func() { done <- c.Run(t.Context()) }()
		for range 9 {
			<-time.After(time.Minute)
			s := c.Status()
			if s.State != "retrying" || !s.DiskFull {
				t.Errorf("state %q, disk full: %t", s.State, s.DiskFull)
			}
			for _, part := range []string{"data/", "no space left", "free space there", "by itself"} {
				if !strings.Contains(s.Error, part) {
					t.Errorf("no word of %q: %s", part, s.Error)
				}
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if s := c.Status(); s.State != "done" || s.DiskFull || len(w.rows()) != 1500 {
			t.Errorf("at the end: %s, %d rows", s.State, len(w.rows()))
		}
		if n := strings.Count(w.log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, w.log.String())
		}
	})
}

func TestAQueryThatGetsNoLeaseOnAFullDiskIsNotTakenForDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSmall(t, sumPerKey, 64<<20)
		defer w.close()
		w.write(5000, 1500)
		// A run that is stopped commits all rows and closes no window.
		ended, stop, done := w.ended, make(chan struct{}), make(chan error, 1)
		w.ended = make(chan struct{})
		first := w.consumer(stop)
		go func() { done <- first.Run(t.Context()) }()
		<-time.After(10 * time.Second)
		close(stop)
		if err := <-done; err != nil || len(w.rows()) != 0 {
			t.Fatal(err, len(w.rows()))
		}
		w.ended = ended
		w.fullAt(1, syscall.ENOSPC, 10*time.Minute)
		began := time.Now()
		second := w.consumer(nil)
		go func() { done <- second.Run(t.Context()) }()
		<-time.After(time.Minute)
		if s := second.Status(); s.State != "retrying" || !s.DiskFull || !strings.Contains(s.Error, "waiting for room") {
			t.Errorf("without a lease: %q, %s", s.State, s.Error)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got, took := w.rows(), time.Since(began); len(got) != 1500 || took < 10*time.Minute {
			t.Errorf("%d rows after %s", len(got), took)
		}
	})
}

func TestWaitingForRoomEndsAtOnceWhenAskedAndTheNextRunGoesOn(t *testing.T) {
	for _, killed := range []bool{false, true} {
		for k := 1; k < 41; k += 3 {
			synctest.Test(t, func(t *testing.T) {
				w := newSmall(t, sumPerKey, 64<<20)
				defer w.close()
				w.write(5000, 1500)
				w.fullAt(k, syscall.ENOSPC, time.Hour)
				ctx, kill := context.WithCancel(t.Context())
				stop, done := make(chan struct{}), make(chan error, 1)
				c := w.consumer(stop)
				go func() { done <- c.Run(ctx) }()
				<-time.After(90 * time.Second)
				if s := c.Status(); !s.DiskFull {
					t.Fatalf("full at operation %d: %q, %s", k, s.State, s.Error)
				}
				asked := time.Now()
				if end := kill; killed {
					end()
				} else {
					close(stop)
				}
				if err := <-done; !killed && err != nil {
					t.Fatal(err)
				}
				if took := time.Since(asked); took > 0 {
					t.Errorf("full at operation %d: it took %s to stop", k, took)
				}
				kill()
				after := w.disk
				if killed {
					after = w.disk.Crash(rand.New(rand.NewPCG(uint64(k), 0)))
				}
				w.reopen(after)
				w.run()
				if got := w.rows(); len(got) != 1500 {
					t.Errorf("full at operation %d: %d rows after the next run", k, len(got))
				}
			})
		}
	}
}
