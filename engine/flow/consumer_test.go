package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

// plant is a stream on the disk backend whose consumers have several tasks, and a lake that they
// deliver to. It outlives consumers.
type plant struct {
	t       *testing.T
	backend *disk.Backend
	in      *stream.Stream
	dead    *stream.Stream
	ended   chan struct{}
	written map[string]int

	mu   sync.Mutex // guards what follows
	lake map[string][]string
	// order is the rows as they came to the lake.
	order []string
	fuse  fuse
	// pause, if set, is called by every Put before it has its effect.
	pause func(identity flow.Identity)
}

// fuse is a process that dies at an effect: from there on nothing it does has an effect.
type fuse struct {
	at    int
	after bool
	seen  int
	// kill ends the rest of the process.
	kill context.CancelFunc
}

func (p *plant) effect(do func() error) error {
	p.mu.Lock()
	p.fuse.seen++
	dead, last := p.fuse.at > 0 && p.fuse.seen > p.fuse.at, p.fuse.at > 0 && p.fuse.seen == p.fuse.at
	after, kill := p.fuse.after, p.fuse.kill
	p.mu.Unlock()
	if last && kill != nil {
		defer kill()
	}
	if dead || last && !after {
		return flow.Permanent(errCrash)
	}
	if err := do(); err != nil {
		return err
	}
	if last {
		return flow.Permanent(errCrash)
	}
	return nil
}

func newPlant(t *testing.T, shards int) *plant {
	b, err := disk.Open(vfs.NewMem(), "data", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &plant{t: t, backend: b, ended: make(chan struct{}), written: map[string]int{}, lake: map[string][]string{}}
	open := func(name string, shards int) *stream.Stream {
		s, err := stream.Open(t.Context(), b, stream.Spec{Name: name, Shards: shards})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p.in, p.dead = open("clicks", shards), open("p.dead-letters", 1)
	t.Cleanup(func() {
		for _, err := range []error{p.in.Close(), p.dead.Close(), b.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

const keys = 8

// write stores n more rows of each key, numbered within it, and now and then what is no row.
func (p *plant) write(n int) {
	p.t.Helper()
	for range n {
		for k := range keys {
			key := fmt.Sprint("key-", k)
			var b record.Batch
			b.Add([]byte(key), fmt.Appendf(nil, `{"at":"2026-01-01T00:00:00Z","key":%q,"n":%d}`, key, p.written[key]), 0)
			if p.written[key]++; p.written[key]%5 == 0 {
				b.Add([]byte(key), []byte("{"), 0)
			}
			if err := p.in.Write(p.t.Context(), &b); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// reshard splits one open shard and merges two others, if there are some.
func (p *plant) reshard() {
	p.t.Helper()
	var open []stream.Shard
	for _, s := range p.in.Shards() {
		if s.State == stream.ShardOpen {
			open = append(open, s)
		}
	}
	if err := p.in.Split(p.t.Context(), open[0].ID, open[0].Range.Middle()); err != nil {
		p.t.Fatal(err)
	}
	if len(open) > 2 {
		if err := p.in.Merge(p.t.Context(), open[1].ID, open[2].ID); err != nil {
			p.t.Fatal(err)
		}
	}
}

var keyedSchema = &column.Schema{Fields: []column.Field{
	{Name: "at", Type: column.Type{Kind: column.Timestamp}},
	{Name: "key", Type: column.Type{Kind: column.String}},
	{Name: "n", Type: column.Type{Kind: column.BigInt}},
}}

// plantMeta is a process's way to the documents.
type plantMeta struct {
	stream.Meta
	p *plant
}

func (m plantMeta) CAS(ctx context.Context, key string, value []byte, revision uint64) (next uint64, err error) {
	err = m.p.effect(func() error {
		next, err = m.Meta.CAS(ctx, key, value, revision)
		return err
	})
	return next, err
}

func (m plantMeta) Delete(ctx context.Context, key string, revision uint64) error {
	return m.p.effect(func() error { return m.Meta.Delete(ctx, key, revision) })
}

// site is a place where the consumer runs: a process.
type site struct {
	tasks  int
	rows   int64
	expiry time.Duration
	stop   chan struct{}
}

func (p *plant) consumer(s site) *flow.Consumer {
	p.t.Helper()
	meta := plantMeta{p.backend.Meta(), p}
	c, err := flow.NewConsumer(flow.ConsumerConfig{
		Tasks: s.tasks, Expiry: s.expiry,
		Open: func(task int) (flow.Config, error) {
			id := flow.Identity{Pipeline: "p", Name: "lake", Incarnation: p.in.Incarnation(), Task: task}
			return flow.Config{
				Identity: id, Kind: "sink", Type: "test",
				Feeds: []flow.Feed{{
					Input: flow.Input{Name: "clicks", Stream: p.in.Name(), Incarnation: p.in.Incarnation(), Updated: p.in.Updated, Ended: p.ended, Schema: keyedSchema, EventTime: "at", Shards: p.shards},
					Needs: keyedSchema.Names(), Start: p.start,
				}},
				Processor: &pool{p: p, id: id}, Trigger: flow.Trigger{Rows: s.rows}, Meta: meta,
				DeadLetters: &flow.DeadLetters{Pipeline: "p", Write: func(ctx context.Context, b *record.Batch) error {
					return p.effect(func() error { return p.dead.Write(ctx, b) })
				}},
				Stop: s.stop, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			}, nil
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// start is the first record of each shard.
func (p *plant) start() (map[record.ShardID]record.Ordinal, error) {
	positions := map[record.ShardID]record.Ordinal{}
	for _, sh := range p.in.Shards() {
		positions[sh.ID] = 0
	}
	return positions, nil
}

func (p *plant) shards() []flow.Shard {
	var shards []flow.Shard
	for _, sh := range p.in.Shards() {
		shards = append(shards, flow.Shard{ID: sh.ID, Parents: sh.Parents, Keys: sh.Range, Log: p.in.Log(sh.ID)})
	}
	return shards
}

// pool is a sink that creates an object a chunk in the lake.
type pool struct {
	p    *plant
	id   flow.Identity
	rows []string
}

func (s *pool) Start(context.Context, json.RawMessage) error { s.rows = nil; return nil }

func (s *pool) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	for i := range b.Rows {
		if b.Selection == nil || slices.Contains(b.Selection, int32(i)) {
			s.rows = append(s.rows, fmt.Sprintf("%s %d", string(b.Columns[1].Text(i)), b.Columns[2].Int64s[i]))
		}
	}
	return flow.Outcome{Counts: flow.Counts{Passed: int64(b.Selected())}}, nil
}

func (s *pool) Open() flow.Open { return flow.Open{Rows: int64(len(s.rows))} }

func (s *pool) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	plan := flow.Plan{Cut: cut}
	if len(s.rows) > 0 {
		sorted := slices.Sorted(slices.Values(s.rows))
		plan.Objects = []flow.Object{{Key: fmt.Sprintf("%d-%d", s.id.Task, cut.Chunk), Rows: int64(len(sorted)), Hash: strings.Join(sorted, ",")}}
	}
	return plan, nil
}

func (s *pool) Put(_ context.Context, plan flow.Plan) error {
	s.p.mu.Lock()
	pause := s.p.pause
	s.p.mu.Unlock()
	if pause != nil {
		pause(s.id)
	}
	return s.p.effect(func() error {
		s.p.mu.Lock()
		defer s.p.mu.Unlock()
		for _, o := range plan.Objects {
			if old, ok := s.p.lake[o.Key]; ok {
				if !slices.Equal(slices.Sorted(slices.Values(old)), slices.Sorted(slices.Values(s.rows))) {
					return flow.Permanent(fmt.Errorf("%s exists with other rows", o.Key))
				}
				continue
			}
			s.p.lake[o.Key] = slices.Clone(s.rows)
			s.p.order = append(s.p.order, s.rows...)
		}
		return nil
	})
}

func (s *pool) Published(flow.Plan) { s.rows = nil }
func (s *pool) Close() error        { return nil }

// complete checks that each row is in the lake once, each key's in order, and that the documents'
// ledgers account for all of them.
func (p *plant) complete(story string) {
	p.t.Helper()
	next := map[string]int{}
	for _, row := range p.order {
		var key string
		var n int
		if _, err := fmt.Sscanf(row, "%s %d", &key, &n); err != nil {
			p.t.Fatal(err)
		}
		if n != next[key] {
			p.t.Fatalf("%s: row %d of %s came where %d was due:\n%v", story, n, key, next[key], p.order)
		}
		next[key]++
	}
	rows, bad := 0, 0
	for key, n := range p.written {
		if next[key] != n {
			p.t.Fatalf("%s: %d rows of %s were delivered, %d written", story, next[key], key, n)
		}
		rows += n
		bad += n / 5
	}
	docs, err := checkpoint.ReadTasks(p.t.Context(), p.backend.Meta(), "tasks/p/lake")
	if err != nil {
		p.t.Fatal(err)
	}
	var counts checkpoint.Counts
	for _, d := range docs {
		if len(d.Ledger) > 0 {
			counts.Add(d.Ledger[0].Counts)
		}
	}
	if want := (checkpoint.Counts{In: int64(rows + bad), Passed: int64(rows), Bad: int64(bad)}); counts != want {
		p.t.Fatalf("%s: the ledgers sum up to %+v, want %+v", story, counts, want)
	}
	if b := p.dead.Log(0).Bounds(); int(b.Next) != bad {
		p.t.Fatalf("%s: %d dead letters, want %d", story, b.Next, bad)
	}
}

// grown is a plant whose stream was written to and resharded several times.
func grown(t *testing.T) *plant {
	p := newPlant(t, 3)
	for range 3 {
		p.write(3)
		p.reshard()
	}
	p.write(3)
	close(p.ended)
	return p
}

func (p *plant) vacate() {
	p.t.Helper()
	if _, err := checkpoint.Vacate(p.t.Context(), p.backend.Meta()); err != nil {
		p.t.Fatal(err)
	}
}

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

func TestAgesOfWhatIsNotReadAndNotDelivered(t *testing.T) {
	w := newWorld(t)
	w.write(row(0))
	var later atomic.Int64
	c := w.config(&sink{w: w})
	c.Trigger = flow.Trigger{}
	c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	stop := make(chan struct{})
	c.Stop = stop
	task := flow.NewTask(c)
	done := make(chan error)
	go func() { done <- task.Run(t.Context()) }()
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
	close(stop)
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
	var later atomic.Int64
	h := &stuck{sink: sink{w: w}, in: make(chan struct{}), out: make(chan struct{})}
	c := w.config(h)
	c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	task := flow.NewTask(c)
	done := make(chan error)
	go func() { done <- task.Run(t.Context()) }()
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
