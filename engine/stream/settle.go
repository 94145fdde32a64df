package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/record"
)

// settle reads the document, finishes what it says is under way, and makes the stream what it then
// says. Each step can be done again, so that any process can take over from one that crashed. The
// right to change must be held, except by Open.
//
// The order makes a split or merge safe: (1) the document names the closing parents and the new
// children, (2) the parents are sealed, (3) the children's logs are created with what the parents
// have of each producer, (4) the document says that all is done. Until (2) writes go to the
// parents; from then on they wait for (4).
func (s *Stream) settle(ctx context.Context) (*shardMap, error) {
	for {
		d, rev, err := read(ctx, s.backend, s.name)
		if err != nil {
			return nil, err
		}
		if d.State == Deleting || d.Incarnation != s.incarnation {
			return nil, fmt.Errorf("the stream was deleted: %w", ErrNotFound)
		}
		if d.atRest() {
			return s.install(ctx, d, rev)
		}
		if err := s.finish(ctx, d); err != nil {
			return nil, err
		}
		d.settled(s.now())
		rev, err = store(ctx, s.backend, s.name, d, rev)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return s.install(ctx, d, rev)
	}
}

// finish does what a document that is not at rest says.
func (s *Stream) finish(ctx context.Context, d document) error {
	err := each(d.in(shardClosing), func(sh Shard) error {
		log, err := s.log(ctx, d, sh)
		if err != nil {
			return err
		}
		return log.Seal(ctx)
	})
	if err == nil {
		err = each(d.in(ShardExpired), func(sh Shard) error { return s.backend.DeleteShard(ctx, s.name, sh.ID) })
	}
	if err == nil {
		err = each(d.in(shardCreating), func(sh Shard) error { return s.createChild(ctx, d, sh) })
	}
	if err != nil || d.State != Creating {
		return err
	}
	return each(d.Shards, func(sh Shard) error {
		_, err := s.backend.Shard(ctx, s.name, sh.ID, s.options(d))
		return err
	})
}

// in are the shards in a state.
func (d *document) in(state ShardState) []Shard {
	var shards []Shard
	for _, sh := range d.Shards {
		if sh.State == state {
			shards = append(shards, sh)
		}
	}
	return shards
}

const (
	// fewShards are done one after the other.
	fewShards = 4
	// together is how many of more are done at once, so that they share what the disk does for a sync.
	together = 16
)

// each does something with every shard, many at once, and returns an error that occurred. With fewer
// than all done it can be done again.
func each(shards []Shard, do func(Shard) error) error {
	workers := together
	if len(shards) <= fewShards {
		workers = 1
	}
	var next atomic.Int64
	errs := make([]error, workers)
	var done sync.WaitGroup
	for w := range workers {
		done.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= len(shards) {
					return
				}
				errs[w] = do(shards[i])
			}
		})
	}
	done.Wait()
	return cmp.Or(errs...)
}

// createChild creates a shard's log behind its sealed parents.
func (s *Stream) createChild(ctx context.Context, d document, child Shard) error {
	o := s.options(d)
	var parents []parent
	for _, id := range child.Parents {
		p := d.shard(id)
		if p == nil {
			return fmt.Errorf("%s: the document does not have its parent %s", child.ID, id)
		}
		log, err := s.log(ctx, d, *p)
		if err != nil {
			return err
		}
		o.MinArrival = max(o.MinArrival, log.Bounds().Arrival)
		parents = append(parents, parent{keys: p.Range, producers: log.Producers()})
	}
	o.Inherited = inherit(child.Range, parents)
	_, err := s.backend.Shard(ctx, s.name, child.ID, o)
	return err
}

// log opens the log of a shard that was created before.
func (s *Stream) log(ctx context.Context, d document, sh Shard) (Log, error) {
	o := s.options(d)
	o.MustExist = d.State != Creating && d.Format == documentFormat
	return s.backend.Shard(ctx, s.name, sh.ID, o)
}

func (s *Stream) options(d document) ShardOptions {
	return ShardOptions{
		Retention: max(d.Settings.Retention, 0), Hidden: d.Hidden, Incarnation: s.number,
		MaxDisk: max(d.Settings.MaxDisk, 0), Compression: d.Settings.Compression,
		Sync: d.Settings.Sync, SyncEvery: d.Settings.SyncEvery,
		Key: cmp.Or(s.key, d.Settings.KeyID), Encrypt: d.Settings.encrypted(),
	}
}

// install makes the stream what a document at rest says.
func (s *Stream) install(ctx context.Context, d document, rev uint64) (*shardMap, error) {
	old := s.shards.Load()
	if old != nil && old.revision == rev {
		s.reshaping.Store(false)
		return old, nil
	}
	m := &shardMap{revision: rev, doc: d, listed: d.listed(), logs: map[record.ShardID]Log{}}
	for _, sh := range m.listed {
		log, err := s.installLog(ctx, old, d, sh)
		if err != nil {
			return nil, err
		}
		m.logs[sh.ID] = log
	}
	for _, sh := range d.open() {
		m.open = append(m.open, shard{id: sh.ID, start: sh.Range.Start, log: m.logs[sh.ID]})
	}
	s.shards.Store(m)
	s.reshaping.Store(false)
	s.watch.adopt(s, maps.Clone(m.logs))
	return m, nil
}

func (s *Stream) installLog(ctx context.Context, old *shardMap, d document, sh Shard) (Log, error) {
	if old != nil && old.logs[sh.ID] != nil {
		log := old.logs[sh.ID]
		if old.doc.Settings != d.Settings || old.doc.Hidden != d.Hidden {
			log.Configure(s.options(d))
		}
		return log, nil
	}
	log, err := s.log(ctx, d, sh)
	if err != nil {
		return nil, err
	}
	// Another Stream may have opened the log with older settings.
	log.Configure(s.options(d))
	if sh.State == ShardClosed && !log.Bounds().Closed {
		// Damage took the log's last bytes, with the mark that it is sealed.
		err = log.Seal(ctx)
	}
	return log, err
}

// moved returns the shards that follow those of m, of which one was found sealed.
func (s *Stream) moved(ctx context.Context, m *shardMap) (*shardMap, error) {
	if now := s.shards.Load(); now != m {
		return now, nil
	}
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.unlock()
	if now := s.shards.Load(); now != m {
		return now, nil
	}
	next, err := s.settle(ctx)
	if err == nil && next == m {
		err = fmt.Errorf("the document says that it is open: %w", ErrSealed)
	}
	return next, err
}
