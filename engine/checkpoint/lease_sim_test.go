package checkpoint

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

var (
	simSeed  = flag.Uint64("leases.seed", 0, "run the lease simulation with this seed only")
	simSeeds = flag.Int("leases.seeds", 100, "how many seeds the lease simulation runs with")
)

const (
	simExpiry = 10 * time.Second
	simSteps  = 4000
)

var errInjected = errors.New("injected")

// sim runs workers as coroutines that may be held up at every operation on the documents, for any
// time. It keeps the documents, checks each change of them, and injects errors, some of them
// after the change was made.
type sim struct {
	t    *testing.T
	rand *rand.Rand
	now  time.Duration
	docs map[string]simDocument
	next uint64

	// lineages are the stream's shards as they changed; the last is the present.
	lineages [][]ShardInfo
	removed  map[record.ShardID]bool
	workers  []*simWorker
	// committed says which lease committed under a fence.
	committed map[string]*Lease
	ended     map[record.ShardID]bool
	calm      bool
	did       map[string]int
}

type simDocument struct {
	value    []byte
	revision uint64
}

// simWorker is a worker on a clock of its own.
type simWorker struct {
	*Worker
	sim    *sim
	leases []*Lease
	// zombies are leases whose handlers have ended and that are used all the same.
	zombies []*Lease
	// acting is the lease whose checkpoint is under way, and from where it worked.
	acting *Lease
	from   record.Ordinal
	offset time.Duration
	rate   float64
	// knows is the lineage it has heard of.
	knows   int
	asleep  time.Duration
	resume  func() (struct{}, bool)
	kill    func()
	yield   func(struct{}) bool
	crashed bool
}

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), docs: map[string]simDocument{}, removed: map[record.ShardID]bool{},
		committed: map[string]*Lease{}, ended: map[record.ShardID]bool{}, did: map[string]int{},
	}
	var shards []ShardInfo
	for i := range 1 + s.rand.IntN(6) {
		shards = append(shards, ShardInfo{ID: record.ShardID(i)})
	}
	s.lineages = [][]ShardInfo{shards}
	for range 1 + s.rand.IntN(5) {
		s.workers = append(s.workers, s.start())
	}
	return s
}

func (s *sim) chance(p float64) bool { return !s.calm && s.rand.Float64() < p }

func (s *sim) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("at %s: "+format, append([]any{s.now}, args...)...)
}

func (s *sim) start() *simWorker {
	w := &simWorker{sim: s, offset: time.Duration(s.rand.Int64N(1 << 50)), rate: 1, knows: s.rand.IntN(len(s.lineages))}
	if s.chance(0.3) {
		w.rate = []float64{0, 0.5, 2, 1000}[s.rand.IntN(4)]
	}
	var err error
	w.Worker, err = NewWorker(LeaseConfig{
		Meta: w, Stream: "events", Incarnation: "1", Group: "lake", Expiry: simExpiry, MaxSteal: 1 + s.rand.IntN(2),
		Lineage: w.lineage,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	w.id = fmt.Sprint("w", s.rand.Uint64())
	w.table.worker, w.table.rand, w.table.now = w.id, s.rand, w.clock
	w.resume, w.kill = iter.Pull(func(yield func(struct{}) bool) {
		w.yield = yield
		for !w.crashed {
			w.act()
			w.pause()
		}
	})
	return w
}

func (w *simWorker) clock() time.Time {
	return time.Unix(0, 0).Add(w.offset + time.Duration(w.rate*float64(w.sim.now)))
}

func (w *simWorker) lineage() []ShardInfo {
	if last := len(w.sim.lineages) - 1; w.sim.calm {
		w.knows = last
	} else {
		w.knows += w.sim.rand.IntN(last - w.knows + 1)
	}
	return w.sim.lineages[w.knows]
}

func (w *simWorker) pause() {
	if !w.crashed && !w.yield(struct{}{}) {
		w.crashed = true
	}
}

// act does one thing of those a worker's goroutines do.
func (w *simWorker) act() {
	ctx := context.Background()
	if len(w.leases) == 0 || w.sim.rand.IntN(4) == 0 {
		w.check(w.round(ctx, func(l *Lease) { w.leases = append(w.leases, l) }))
		return
	}
	if len(w.zombies) > 0 && w.sim.rand.IntN(20) == 0 {
		w.commit(ctx, w.zombies[w.sim.rand.IntN(len(w.zombies))])
		return
	}
	l := w.leases[w.sim.rand.IntN(len(w.leases))]
	switch n := w.sim.rand.IntN(10); {
	case l.err() != nil && n < 5:
		w.drop(l)
	case l.err() == nil && isClosed(l.asked) && n < 5:
		w.check(l.release(ctx))
		w.drop(l)
	case n < 3:
		w.check(l.renew(ctx))
	case n == 9 && w.closed(l.shard) && l.Position() > 0:
		w.check(l.Finish(ctx))
	case n == 8 && w.sim.chance(0.1):
		l.lose(ErrLeaseLost)
	case n == 7 && w.sim.chance(0.1):
		w.drop(l)
	default:
		w.commit(ctx, l)
	}
}

// commit works on some records. What a lease that is over worked on must not count.
func (w *simWorker) commit(ctx context.Context, l *Lease) {
	from := l.Position()
	w.acting, w.from = l, from
	over := l.err() != nil
	err := l.Checkpoint(ctx, from+1+record.Ordinal(w.sim.rand.IntN(9)))
	w.acting = nil
	if err == nil && over {
		w.sim.fail("%s committed after its lease was over", w.id)
	}
	w.check(err)
}

func (w *simWorker) check(err error) {
	switch {
	case err == nil:
	case w.crashed, errors.Is(err, errInjected), errors.Is(err, stream.ErrConflict), errors.Is(err, ErrLeaseLost):
	case errors.Is(err, stream.ErrNotFound) && strings.Contains(err.Error(), "read group"):
		// An injected conflict over a group that nobody has created.
	default:
		w.sim.fail("%s: %v", w.id, err)
	}
	if errors.Is(err, ErrLeaseLost) {
		w.sim.did["lost"]++
	}
}

// drop ends the handler of a lease.
func (w *simWorker) drop(l *Lease) {
	w.leases = slices.DeleteFunc(w.leases, func(o *Lease) bool { return o == l })
	w.zombies = append(w.zombies, l)
	w.shards.Lock()
	delete(w.busy, l.shard)
	w.shards.Unlock()
}

func (w *simWorker) closed(id record.ShardID) bool {
	last := w.sim.lineages[len(w.sim.lineages)-1]
	i := slices.IndexFunc(last, func(s ShardInfo) bool { return s.ID == id })
	return i < 0 || last[i].Closed
}

// around lets time pass before and after an operation, and says whether it is to be made and
// whether it is to be reported as failed.
func (w *simWorker) around(op func()) error {
	w.pause()
	broken := w.crashed || w.sim.chance(0.03)
	if broken && (w.crashed || w.sim.rand.IntN(2) == 0) {
		return errInjected
	}
	op()
	w.pause()
	if broken || w.crashed {
		return errInjected
	}
	return nil
}

func (w *simWorker) Get(_ context.Context, key string) (value []byte, revision uint64, err error) {
	if err := w.around(func() {
		d, ok := w.sim.docs[key]
		if !ok {
			err = stream.ErrNotFound
		}
		value, revision = d.value, d.revision
	}); err != nil {
		return nil, 0, err
	}
	return value, revision, err
}

func (w *simWorker) List(_ context.Context, prefix string) (keys []string, err error) {
	err = w.around(func() {
		for key := range w.sim.docs {
			if strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
	})
	return keys, err
}

func (w *simWorker) CAS(_ context.Context, key string, value []byte, revision uint64) (next uint64, err error) {
	if w.sim.chance(0.02) {
		return 0, stream.ErrConflict
	}
	if err := w.around(func() {
		if w.sim.docs[key].revision != revision {
			err = stream.ErrConflict
			return
		}
		w.verify(key, value)
		w.sim.next++
		next = w.sim.next
		w.sim.docs[key] = simDocument{value: value, revision: next}
	}); err != nil {
		return 0, err
	}
	return next, err
}

func (w *simWorker) Delete(_ context.Context, key string, revision uint64) (err error) {
	if err := w.around(func() {
		if w.sim.docs[key].revision != revision {
			err = stream.ErrConflict
			return
		}
		w.sim.did["tidied"]++
		delete(w.sim.docs, key)
	}); err != nil {
		return err
	}
	return err
}

// verify checks a change of a lease against what must hold whatever the clocks say.
func (w *simWorker) verify(key string, value []byte) {
	s := w.sim
	if strings.HasSuffix(key, groupKey) {
		return
	}
	after, err := decodeLease(value)
	if err != nil {
		s.fail("%s wrote what it cannot read: %v", w.id, err)
	}
	id, _ := shardOfKey(key)
	old, existed := s.docs[key]
	var before leaseDocument
	if existed {
		if before, err = decodeLease(old.value); err != nil {
			s.t.Fatal(err)
		}
	} else {
		w.verifyParents(id)
	}
	switch {
	case after.Fence < before.Fence:
		s.fail("%s: the fence fell from %d to %d", id, before.Fence, after.Fence)
	case after.Owner != before.Owner && after.Owner != "" && after.Fence == before.Fence:
		s.fail("%s went from %q to %q under the same fence", id, before.Owner, after.Owner)
	case after.Position < before.Position:
		s.fail("%s: the position fell from %d to %d", id, before.Position, after.Position)
	case before.Ended && !after.Ended:
		s.fail("%s was ended and is not any more", id)
	}
	if after.Owner != before.Owner && after.Owner != "" {
		s.did["moved"]++
	}
	if after.Position != before.Position {
		w.verifyCommit(id, before, after)
	}
	if after.Ended {
		s.ended[id] = true
	}
}

func (w *simWorker) verifyCommit(id record.ShardID, before, after leaseDocument) {
	s := w.sim
	s.did["committed"]++
	if s.ended[id] {
		s.fail("%s worked on %s after it had ended", w.id, id)
	}
	if before.Owner != w.id || after.Fence != before.Fence {
		s.fail("%s committed to %s, which is %s's under fence %d", w.id, id, before.Owner, before.Fence)
	}
	if w.acting == nil || w.acting.shard != id || before.Position < w.from {
		s.fail("%s moved %s from %d to %d; it had begun at %d", w.id, id, before.Position, after.Position, w.from)
	}
	key := fmt.Sprint(id, "/", after.Fence)
	if other := s.committed[key]; other != nil && other != w.acting {
		s.fail("two leases committed to %s under fence %d", id, after.Fence)
	}
	s.committed[key] = w.acting
}

func (w *simWorker) verifyParents(id record.ShardID) {
	for _, l := range w.sim.lineages {
		for _, shard := range l {
			for _, p := range shard.Parents {
				if shard.ID == id && !w.sim.ended[p] && !w.sim.removed[p] {
					w.sim.fail("%s began before its parent %s had ended", id, p)
				}
			}
		}
	}
}

// change splits, merges or forgets shards.
func (s *sim) change() {
	last := slices.Clone(s.lineages[len(s.lineages)-1])
	var open []int
	top := record.ShardID(0)
	for i, shard := range last {
		top = max(top, shard.ID)
		if !shard.Closed {
			open = append(open, i)
		}
	}
	i := open[s.rand.IntN(len(open))]
	switch s.rand.IntN(3) {
	case 0:
		if len(open) > 12 {
			return
		}
		last[i].Closed = true
		parents := []record.ShardID{last[i].ID}
		last = append(last, ShardInfo{ID: top + 1, Parents: parents}, ShardInfo{ID: top + 2, Parents: parents})
		s.did["split"]++
	case 1:
		j := open[s.rand.IntN(len(open))]
		if i == j {
			return
		}
		last[i].Closed, last[j].Closed = true, true
		last = append(last, ShardInfo{ID: top + 1, Parents: []record.ShardID{last[i].ID, last[j].ID}})
		s.did["merged"]++
	case 2:
		k := s.rand.IntN(len(last))
		if !last[k].Closed || !s.ended[last[k].ID] && s.rand.IntN(4) > 0 {
			return
		}
		s.removed[last[k].ID] = true
		last = slices.Delete(last, k, k+1)
		s.did["forgot"]++
	}
	s.lineages = append(s.lineages, last)
}

// step lets one worker come to its next operation.
func (s *sim) step() {
	s.now += time.Duration(s.rand.Int64N(int64(300 * time.Millisecond)))
	if s.chance(0.01) {
		s.change()
	}
	i := s.rand.IntN(len(s.workers))
	w := s.workers[i]
	switch {
	case w.asleep > s.now:
	case s.chance(0.003):
		w.kill()
		s.workers[i] = s.start()
		s.did["crashed"]++
	case s.chance(0.01):
		w.asleep = s.now + time.Duration(s.rand.Int64N(int64(5*simExpiry)))
		s.did["paused"]++
	default:
		w.resume()
	}
}

// settle lets every worker do its duty until nothing changes any more, and looks at the result.
func (s *sim) settle() {
	s.calm = true
	for _, w := range s.workers {
		w.kill()
	}
	for i := range s.workers {
		s.workers[i] = s.start()
		s.workers[i].yield = func(struct{}) bool { return true }
	}
	quiet := 0
	for round := 0; quiet < 3*looksPerExpiry; round++ {
		moved := s.did["moved"]
		for _, w := range s.workers {
			w.duty()
		}
		s.now += simExpiry / looksPerExpiry
		if quiet++; s.did["moved"] != moved {
			quiet = 0
		}
		if round > 1000 {
			s.fail("leases still move after %d rounds", round)
			return
		}
	}
	s.verifyShares()
}

func (w *simWorker) duty() {
	ctx := context.Background()
	w.check(w.round(ctx, func(l *Lease) { w.leases = append(w.leases, l) }))
	for _, l := range slices.Clone(w.leases) {
		switch {
		case w.closed(l.shard):
			w.check(l.Finish(ctx))
			w.drop(l)
		case isClosed(l.asked):
			w.check(l.release(ctx))
			w.drop(l)
		default:
			w.check(l.renew(ctx))
		}
	}
}

// verifyShares: every open shard is worked on, each by one worker, and evenly.
func (s *sim) verifyShares() {
	held := map[string]int{}
	open := 0
	for _, shard := range s.lineages[len(s.lineages)-1] {
		doc, err := decodeLease(s.docs["leases/events/1/lake/"+shard.ID.String()].value)
		switch {
		case shard.Closed && err == nil && !doc.Ended:
			s.fail("%s is closed and was not worked on to its end: %+v", shard.ID, doc)
		case shard.Closed:
		case err != nil:
			s.fail("%s: %v", shard.ID, err)
		default:
			open++
			held[doc.Owner]++
		}
	}
	low, high, sum := open, 0, 0
	for _, w := range s.workers {
		low, high, sum = min(low, held[w.id]), max(high, held[w.id]), sum+held[w.id]
		if len(w.leases) != held[w.id] {
			s.fail("%s works on %d shards and holds %d", w.id, len(w.leases), held[w.id])
		}
	}
	if sum != open || high-low > 1 {
		s.fail("%d workers hold %v of %d open shards", len(s.workers), held, open)
	}
}

func TestLeasesStaySafeWhateverTheScheduleAndTheClocks(t *testing.T) {
	seeds := []uint64{*simSeed}
	if *simSeed == 0 {
		seeds = nil
		for i := range *simSeeds {
			seeds = append(seeds, uint64(i+1))
		}
	}
	did := map[string]int{}
	for _, seed := range seeds {
		s := newSim(t, seed)
		for range simSteps {
			s.step()
		}
		s.settle()
		for _, w := range s.workers {
			w.kill()
		}
		for what, n := range s.did {
			did[what] += n
		}
		if t.Failed() {
			t.Fatalf("run again with -leases.seed=%d", seed)
		}
	}
	t.Logf("%d schedules of %d steps: %v", len(seeds), simSteps, did)
	for _, what := range []string{"moved", "committed", "lost", "tidied", "split", "merged", "forgot", "crashed", "paused"} {
		if *simSeed == 0 && did[what] == 0 {
			t.Errorf("no schedule had a shard or worker %s; the simulation proves too little", what)
		}
	}
}
