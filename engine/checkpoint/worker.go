package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

const (
	defaultExpiry   = 10 * time.Second
	defaultMaxSteal = 1
	// looksPerExpiry is how often within the expiry a worker renews and looks (KCL).
	looksPerExpiry = 3
	maxWorkerName  = 64
)

// LeaseConfig says which group on which stream a worker joins.
type LeaseConfig struct {
	Meta stream.Meta
	// Stream and Incarnation name the stream. One that was deleted and created again has another
	// incarnation, and its groups begin anew.
	Stream, Incarnation string
	// Group is the consumers that share the stream: every record goes to one of them.
	Group string
	// Worker is a name for people, up to 64 characters. A random part is added, so that no two
	// workers are ever taken for one another.
	Worker string
	// Lineage returns the stream's shards. It may lag behind, and is called from the worker's
	// goroutine each time it looks at the leases.
	Lineage func() []ShardInfo
	// Start is asked once in the life of a group for the first record to read of each shard. The
	// shards it leaves out are not read at all; those that come later are read from their first
	// record. Nil reads every shard from its first record.
	Start func(ctx context.Context, shards []ShardInfo) (map[record.ShardID]record.Ordinal, error)
	// Expiry is after how long without a sign of life a worker's leases go to others. Every third
	// of it costs one write for each lease and one read of all. Zero means 10 s. All workers of
	// a group must have the same.
	Expiry time.Duration
	// HandOver is how long a handler may take to give up a shard that another worker asked for,
	// before its context ends. Zero means three times the expiry.
	HandOver time.Duration
	// MaxSteal is how many leases a worker asks others for at one time. Zero means 1.
	MaxSteal int
	// Log gets what goes wrong and comes right; nil means nobody does.
	Log *slog.Logger
}

// Handler works on one shard from lease.Position on. It returns after Finish at the end of a
// closed shard, when lease.Asked is closed, or when ctx ends: with ErrLeaseLost or ErrHandOver as
// its cause, or because the worker stops. An error while ctx lasts ends the worker. Returning nil
// before the end leaves the shard to other workers for as long as the expiry.
type Handler func(ctx context.Context, lease *Lease) error

// Worker holds leases of a group and runs a handler for each.
type Worker struct {
	id       string
	table    *table
	expiry   time.Duration
	handOver time.Duration
	maxSteal int
	log      *slog.Logger

	running  atomic.Bool
	stop     chan struct{}
	stopOnce sync.Once
	// wake asks for a look at the leases before it is time.
	wake     chan struct{}
	failed   chan error
	handlers sync.WaitGroup

	shards sync.Mutex
	busy   map[record.ShardID]*Lease
	// resting are shards that a handler gave up before their end, until when.
	resting map[record.ShardID]time.Time
	target  int
	leases  int
	// trouble is why the last look at the leases did not come to its end, and looked is set once one did.
	trouble error
	looked  bool
	// childless is set while a shard has ended whose children are not known yet. It belongs to
	// Run, like hurry, the time until the next look then.
	childless bool
	hurry     time.Duration
}

// NewWorker checks the configuration. It neither reads nor writes.
func NewWorker(c LeaseConfig) (*Worker, error) {
	prefix, err := leasePrefix(c.Stream, c.Incarnation, c.Group)
	if err != nil {
		return nil, fmt.Errorf("consumer group: %w", err)
	}
	if c.Worker != "" && (!validName.MatchString(c.Worker) || len(c.Worker) > maxWorkerName) {
		return nil, fmt.Errorf("consumer group %s: worker %q: want up to %d of a-z, A-Z, 0-9, '_', '-' and '.'", c.Group, c.Worker, maxWorkerName)
	}
	if c.Meta == nil || c.Lineage == nil {
		return nil, fmt.Errorf("consumer group %s: Meta and Lineage are needed", c.Group)
	}
	if c.Expiry < 0 || c.HandOver < 0 || c.MaxSteal < 0 {
		return nil, fmt.Errorf("consumer group %s: Expiry, HandOver and MaxSteal must not be negative", c.Group)
	}
	if c.Expiry == 0 {
		c.Expiry = defaultExpiry
	}
	if c.HandOver == 0 {
		c.HandOver = looksPerExpiry * c.Expiry
	}
	if c.MaxSteal == 0 {
		c.MaxSteal = defaultMaxSteal
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	id := fmt.Sprintf("%016x", rand.Uint64())
	if c.Worker != "" {
		id = c.Worker + "-" + id
	}
	w := &Worker{
		id: id, expiry: c.Expiry, handOver: c.HandOver, maxSteal: c.MaxSteal,
		log:  c.Log.With("group", c.Group, "stream", c.Stream, "worker", id),
		stop: make(chan struct{}), wake: make(chan struct{}, 1), failed: make(chan error, 1),
		busy: map[record.ShardID]*Lease{}, resting: map[record.ShardID]time.Time{},
	}
	w.table = &table{
		meta: c.Meta, prefix: prefix, stream: c.Stream, group: c.Group, worker: id, expiry: c.Expiry,
		lineage: c.Lineage, start: c.Start, now: time.Now, rand: seeded(id), seen: map[record.ShardID]sighting{},
	}
	return w, nil
}

// seeded gives every worker its own order of doing things.
func seeded(id string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(id))
	return rand.New(rand.NewPCG(h.Sum64(), 0))
}

// ID is the worker's name as it stands in leases.
func (w *Worker) ID() string { return w.id }

// Run joins the group and works until Stop, and then returns nil, or until ctx ends. It returns
// once all handlers have ended and their leases are given back. Other errors are a handler's, and
// what trying again cannot cure: *LeaseTableError, stream.ErrClosed. It is called once.
func (w *Worker) Run(ctx context.Context, handle Handler) error {
	if w.running.Swap(true) {
		return errors.New("a worker runs once")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	err := w.loop(ctx, handle)
	cancel(err)
	w.handlers.Wait()
	if err != nil {
		return fmt.Errorf("consumer group %s on stream %q: %w", w.table.group, w.table.stream, err)
	}
	return nil
}

// Stop makes Run take no more leases, ask the handlers to finish what they have begun, and return.
func (w *Worker) Stop() { w.stopOnce.Do(func() { close(w.stop) }) }

func (w *Worker) loop(ctx context.Context, handle Handler) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.stop:
			return w.drain(ctx)
		case err := <-w.failed:
			return err
		case <-w.wake:
		case <-timer.C:
		}
		if err := w.round(ctx, func(l *Lease) { w.begin(ctx, l, handle) }); err != nil && ctx.Err() == nil {
			if permanent(err) {
				return err
			}
			w.table.counts.errors.Add(1)
			// Whoever works under a lease says itself that the disk is full.
			if w.note(err) && (!vfs.IsFull(err) || len(w.held()) == 0) {
				w.log.Warn("look after leases", "error", err)
			}
		} else {
			w.note(nil)
		}
		timer.Reset(w.nextRound())
	}
}

// note keeps what the last look ended with, and returns whether that is another error than before.
func (w *Worker) note(err error) bool {
	w.shards.Lock()
	defer w.shards.Unlock()
	news := err != nil && (w.trouble == nil || w.trouble.Error() != err.Error())
	w.trouble, w.looked = err, w.looked || err == nil
	return news
}

// Looked reports whether the worker has looked after its leases, so that it works on those that it could get.
func (w *Worker) Looked() bool {
	w.shards.Lock()
	defer w.shards.Unlock()
	return w.looked && w.trouble == nil
}

// Trouble is why the worker could not look after its leases the last time; nil if it could. It tries
// again until it can.
func (w *Worker) Trouble() error {
	w.shards.Lock()
	defer w.shards.Unlock()
	return w.trouble
}

// nextRound spreads the workers, which may have been started together. A shard is sealed just
// before its children are there, so these are looked for soon, and ever less soon.
func (w *Worker) nextRound() time.Duration {
	every := w.expiry / looksPerExpiry
	wait := every - time.Duration(w.table.rand.Int64N(int64(every)/4+1))
	if !w.childless {
		w.hurry = every / 128
		return wait
	}
	w.hurry *= 2
	return min(wait, w.hurry)
}

// permanent reports what another round would run into again.
func permanent(err error) bool {
	var table *LeaseTableError
	return errors.As(err, &table) || errors.Is(err, stream.ErrClosed)
}

// drain ends the handlers gently.
func (w *Worker) drain(ctx context.Context) error {
	for _, l := range w.held() {
		l.yield()
	}
	w.handlers.Wait()
	select {
	case err := <-w.failed:
		return err
	default:
		return context.Cause(ctx)
	}
}

// round looks at the leases once, takes or asks for some, and begins with those it took.
func (w *Worker) round(ctx context.Context, begin func(*Lease)) error {
	snapshot, err := w.table.look(ctx)
	if err != nil {
		return err
	}
	w.childless = snapshot.childless()
	s := w.situation(snapshot.entries())
	m := s.plan()
	w.shards.Lock()
	w.target, w.leases = m.target, len(s.entries)
	w.shards.Unlock()
	for _, e := range m.take {
		if ctx.Err() != nil || isClosed(w.stop) {
			return nil
		}
		l, err := w.table.take(ctx, e)
		if err != nil {
			return err
		}
		if l != nil {
			w.shards.Lock()
			w.busy[l.shard] = l
			w.shards.Unlock()
			begin(l)
		}
	}
	for _, e := range m.ask {
		if err := w.table.ask(ctx, e); err != nil {
			return err
		}
	}
	return w.table.tidy(ctx, snapshot)
}

func (w *Worker) situation(entries []entry) situation {
	w.shards.Lock()
	defer w.shards.Unlock()
	s := situation{
		me: w.id, entries: entries, maxSteal: w.maxSteal, rand: w.table.rand,
		busy: map[record.ShardID]bool{}, resting: map[record.ShardID]bool{},
	}
	for id := range w.busy {
		s.busy[id] = true
	}
	for id, until := range w.resting {
		if s.resting[id] = w.table.now().Before(until); !s.resting[id] {
			delete(w.resting, id)
		}
	}
	return s
}

func (w *Worker) held() []*Lease {
	w.shards.Lock()
	defer w.shards.Unlock()
	held := make([]*Lease, 0, len(w.busy))
	for _, l := range w.busy {
		held = append(held, l)
	}
	return held
}

// begin starts a handler under a new lease.
func (w *Worker) begin(ctx context.Context, l *Lease, handle Handler) {
	ctx, cancel := context.WithCancelCause(ctx)
	l.start(cancel)
	w.log.Info("lease taken", "shard", l.shard.String(), "fence", l.Fence(), "position", int64(l.Position()))
	w.handlers.Go(func() {
		defer cancel(nil)
		err := w.keep(ctx, l, handle, cancel)
		l.lapse.Stop()
		w.finish(ctx, l, err)
	})
}

// keep runs the handler and renews its lease until it returns.
func (w *Worker) keep(ctx context.Context, l *Lease, handle Handler, end context.CancelCauseFunc) error {
	done := make(chan error, 1)
	go func() { done <- handle(ctx, l) }()
	every := w.expiry / looksPerExpiry
	renew := time.NewTimer(every)
	defer renew.Stop()
	asked := l.Asked()
	var patience <-chan time.Time
	for {
		select {
		case err := <-done:
			return err
		case <-asked:
			asked, patience = nil, time.After(w.handOver)
		case <-patience:
			// Without renewals the lease expires even if the handler never returns.
			end(ErrHandOver)
			return <-done
		case <-renew.C:
			wait := l.renewIn(every)
			if wait <= 0 {
				w.renew(ctx, l)
				wait = every
			}
			renew.Reset(wait)
		}
	}
}

func (w *Worker) renew(ctx context.Context, l *Lease) {
	if l.err() != nil {
		return
	}
	err := l.renew(ctx)
	if err != nil {
		w.table.counts.errors.Add(1)
	}
	if vfs.IsFull(err) {
		l.outlast()
	}
	if err != nil && !vfs.IsFull(err) {
		w.log.Warn("renew lease", "shard", l.shard.String(), "error", err)
	}
}

// finish gives the lease back and decides what a handler's return means.
func (w *Worker) finish(ctx context.Context, l *Lease, err error) {
	ended, lost, asked := l.document().Ended, l.err(), isClosed(l.asked)
	if lost == nil {
		if rerr := l.release(ctx); rerr != nil {
			w.log.Warn("lease not given back; others wait for its expiry", "shard", l.shard.String(), "error", rerr)
		}
	}
	w.shards.Lock()
	delete(w.busy, l.shard)
	early := err == nil && ctx.Err() == nil && !ended && !asked
	if early {
		w.resting[l.shard] = w.table.now().Add(w.expiry)
	}
	w.shards.Unlock()
	switch {
	case err != nil && ctx.Err() == nil:
		w.fail(fmt.Errorf("%s: %w", l.shard, err))
	case ended:
		w.log.Info("shard worked on to its end", "shard", l.shard.String())
	case lost == nil:
		w.log.Info("lease given back", "shard", l.shard.String(), "position", int64(l.Position()))
	default:
		w.log.Warn("lease lost", "shard", l.shard.String(), "error", lost)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Worker) fail(err error) {
	select {
	case w.failed <- err:
	default:
		w.log.Error("another shard failed too", "error", err)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
