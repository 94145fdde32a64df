package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// table is one worker's view of a group's leases, and the changes it makes to leases that it does
// not hold. It starts no goroutine; one goroutine uses it.
type table struct {
	meta    stream.Meta
	prefix  string
	stream  string
	group   string
	worker  string
	expiry  time.Duration
	lineage func() []ShardInfo
	start   func(ctx context.Context, shards []ShardInfo) (map[record.ShardID]record.Ordinal, error)
	// now is the worker's own clock; only differences of its times count.
	now  func() time.Time
	rand *rand.Rand
	seen map[record.ShardID]sighting

	// counts is used by leases too, from their goroutines.
	counts counts
}

// sighting is since when a lease has looked as it does.
type sighting struct {
	fence, counter uint64
	since          time.Time
}

// counts are what a worker did; see LeaseStats.
type counts struct {
	taken, asked, handedOver, lost, expired atomic.Int64
	renewals, checkpoints, conflicts        atomic.Int64
	errors                                  atomic.Int64
}

type storedLease struct {
	doc      leaseDocument
	revision uint64
	// gone: it was listed and then deleted, which happens to leases that are done with only.
	gone bool
	// expired on this worker's clock.
	expired bool
}

// snapshot is what a look at the table found.
type snapshot struct {
	leases        map[record.ShardID]storedLease
	group         groupDocument
	groupRevision uint64
	lineage       lineage
}

// look reads the table. The order matters: a lease that is tidied away is done in the group's
// document before it goes, so that one which is not listed any more is found there.
func (t *table) look(ctx context.Context) (snapshot, error) {
	before := t.now()
	leases, err := readLeases(ctx, t.meta, t.prefix)
	if err != nil {
		return snapshot{}, err
	}
	t.sight(leases, before, t.now())
	s := snapshot{leases: leases}
	s.group, s.groupRevision, err = readGroup(ctx, t.meta, t.prefix)
	if errors.Is(err, stream.ErrNotFound) {
		if len(leases) > 0 {
			return snapshot{}, &LeaseTableError{Key: t.prefix + groupKey, Err: errors.New("it is missing, and the group has leases")}
		}
		s.group, s.groupRevision, err = t.createGroup(ctx)
	}
	s.lineage = newLineage(t.lineage())
	return s, err
}

// sight notes which leases look different from the last time, and which have looked the same for
// the expiry. What was the same in two looks was the same from the end of the first to the
// beginning of the second at least.
func (t *table) sight(leases map[record.ShardID]storedLease, before, after time.Time) {
	for id := range t.seen {
		if _, ok := leases[id]; !ok {
			delete(t.seen, id)
		}
	}
	for id, l := range leases {
		old, ok := t.seen[id]
		if !ok || old.fence != l.doc.Fence || old.counter != l.doc.Counter {
			t.seen[id] = sighting{fence: l.doc.Fence, counter: l.doc.Counter, since: after}
			continue
		}
		l.expired = l.doc.Owner != "" && before.Sub(old.since) >= t.expiry
		leases[id] = l
	}
}

// createGroup decides where the group's shards begin, for all of them at once and for good.
func (t *table) createGroup(ctx context.Context) (groupDocument, uint64, error) {
	shards := t.lineage()
	d := groupDocument{Version: LeaseVersion}
	if t.start != nil {
		start, err := t.start(ctx, shards)
		if err != nil {
			return d, 0, fmt.Errorf("choose where group %s starts: %w", t.group, err)
		}
		d.Start = maps.Clone(start)
		for _, s := range shards {
			if _, ok := start[s.ID]; !ok {
				d.finish(s.ID)
			}
		}
	}
	revision, err := t.casGroup(ctx, d, 0)
	if errors.Is(err, stream.ErrConflict) {
		return readGroup(ctx, t.meta, t.prefix)
	}
	return d, revision, err
}

// entries are the shards that can be worked on now: their parents are done and they are not.
func (s snapshot) entries() []entry {
	var entries []entry
	for _, shard := range s.lineage.shards {
		if s.done(shard.ID) || !s.parentsDone(shard) {
			continue
		}
		e := entry{shard: shard.ID}
		if l, ok := s.leases[shard.ID]; ok {
			e.doc, e.revision, e.expired = l.doc, l.revision, l.expired
		} else {
			e.doc = leaseDocument{Version: LeaseVersion, Position: s.position(shard.ID)}
		}
		entries = append(entries, e)
	}
	return entries
}

// position is the next record of a shard to work on.
func (s snapshot) position(id record.ShardID) record.Ordinal {
	if l, ok := s.leases[id]; ok {
		return l.doc.Position
	}
	return s.group.Start[id]
}

// done reports whether a shard needs no more work.
func (s snapshot) done(id record.ShardID) bool {
	l := s.leases[id]
	return l.gone || l.doc.Ended || s.group.done(id)
}

// parentsDone also holds when a parent is gone, records and all.
func (s snapshot) parentsDone(shard ShardInfo) bool {
	for _, p := range shard.Parents {
		if s.lineage.has(p) && !s.done(p) {
			return false
		}
	}
	return true
}

// take makes the worker the owner. It returns nil without an error when somebody else was faster.
func (t *table) take(ctx context.Context, e entry) (*Lease, error) {
	doc := e.doc
	doc.Owner, doc.AskedBy = t.worker, ""
	doc.Fence++
	doc.Counter++
	before := t.now()
	revision, err := t.cas(ctx, e.shard, doc, e.revision)
	if errors.Is(err, stream.ErrConflict) {
		t.counts.conflicts.Add(1)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take %s of %s: %w", e.shard, t.group, err)
	}
	if e.revision == 0 {
		// The look at the table may be old: the shard may have been taken, ended and tidied away
		// since. It is done then, and this lease is tidied away by the next round of any worker.
		group, _, err := readGroup(ctx, t.meta, t.prefix)
		if err != nil || group.done(e.shard) {
			return nil, err
		}
	}
	t.counts.taken.Add(1)
	if e.expired {
		t.counts.expired.Add(1)
	}
	return &Lease{
		table: t, shard: e.shard, key: t.key(e.shard), asked: make(chan struct{}),
		doc: doc, revision: revision, written: before,
	}, nil
}

// ask requests a lease from its owner. The counter stays: it is the owner's sign of life.
func (t *table) ask(ctx context.Context, e entry) error {
	doc := e.doc
	doc.AskedBy = t.worker
	_, err := t.cas(ctx, e.shard, doc, e.revision)
	if errors.Is(err, stream.ErrConflict) {
		t.counts.conflicts.Add(1)
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask for %s of %s: %w", e.shard, t.group, err)
	}
	t.counts.asked.Add(1)
	return nil
}

// tidy removes leases that nobody needs any more: of shards that ended and whose children have
// begun, of shards that are gone, and those of a worker that did not know that they are.
func (t *table) tidy(ctx context.Context, s snapshot) error {
	group := s.group
	var remove []record.ShardID
	for id, l := range s.leases {
		switch {
		case l.gone:
		case group.done(id):
			remove = append(remove, id)
		case l.doc.Ended && s.childrenBegan(id), s.lineage.gone(id) && (l.doc.Owner == "" || l.expired):
			group.finish(id)
			remove = append(remove, id)
		}
	}
	if len(remove) == 0 {
		return nil
	}
	_, err := t.casGroup(ctx, group, s.groupRevision)
	for _, id := range remove {
		if err == nil {
			err = t.meta.Delete(ctx, t.key(id), s.leases[id].revision)
		}
	}
	if err == nil || errors.Is(err, stream.ErrConflict) || errors.Is(err, stream.ErrNotFound) {
		// The next look finds what is left.
		return nil
	}
	return fmt.Errorf("tidy the leases of %s: %w", t.group, err)
}

func (s snapshot) childrenBegan(id record.ShardID) bool {
	children := s.lineage.children[id]
	for _, c := range children {
		if _, begun := s.leases[c]; !begun && !s.group.done(c) {
			return false
		}
	}
	return len(children) > 0
}

// childless reports whether a shard has ended and its children are not known yet.
func (s snapshot) childless() bool {
	for id, l := range s.leases {
		if l.doc.Ended && s.lineage.has(id) && len(s.lineage.children[id]) == 0 {
			return true
		}
	}
	return false
}

func (t *table) key(id record.ShardID) string { return t.prefix + id.String() }

func (t *table) cas(ctx context.Context, id record.ShardID, doc leaseDocument, revision uint64) (uint64, error) {
	value, err := json.Marshal(doc)
	if err != nil {
		return 0, err
	}
	return t.meta.CAS(ctx, t.key(id), value, revision)
}

func (t *table) casGroup(ctx context.Context, doc groupDocument, revision uint64) (uint64, error) {
	value, err := json.Marshal(doc)
	if err != nil {
		return 0, err
	}
	return t.meta.CAS(ctx, t.prefix+groupKey, value, revision)
}

// readLeases reads all leases of a group.
func readLeases(ctx context.Context, meta stream.Meta, prefix string) (map[record.ShardID]storedLease, error) {
	keys, err := meta.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list leases %s: %w", prefix, err)
	}
	leases := make(map[record.ShardID]storedLease, len(keys))
	for _, key := range keys {
		if key == prefix+groupKey {
			continue
		}
		id, err := shardOfKey(key)
		if err != nil {
			return nil, &LeaseTableError{Key: key, Err: err}
		}
		value, revision, err := meta.Get(ctx, key)
		switch {
		case errors.Is(err, stream.ErrNotFound):
			leases[id] = storedLease{gone: true}
			continue
		case err != nil:
			return nil, fmt.Errorf("read lease %s: %w", key, err)
		}
		doc, err := decodeLease(value)
		if err != nil {
			return nil, &LeaseTableError{Key: key, Err: err}
		}
		leases[id] = storedLease{doc: doc, revision: revision}
	}
	return leases, nil
}

func readGroup(ctx context.Context, meta stream.Meta, prefix string) (groupDocument, uint64, error) {
	key := prefix + groupKey
	value, revision, err := meta.Get(ctx, key)
	if err != nil {
		return groupDocument{}, 0, fmt.Errorf("read group %s: %w", key, err)
	}
	d, err := decodeGroup(value)
	if err != nil {
		return groupDocument{}, 0, &LeaseTableError{Key: key, Err: err}
	}
	return d, revision, nil
}
