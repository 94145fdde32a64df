package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// Split divides an open shard in front of a hash key (Kinesis API, SplitShard). When it returns nil
// the shard is closed, its children take its records, and Shards lists them. Writes to it wait
// meanwhile. A crash leaves it done or undone, once the stream was opened again. Errors:
// ErrInvalid, ErrNotFound, ErrLimit.
func (s *Stream) Split(ctx context.Context, id record.ShardID, at record.HashKey) error {
	err := s.change(ctx, func(d *document) error {
		if err := d.checkSplit(id, at); err != nil {
			return err
		}
		return d.split(id, at, s.now())
	})
	if err != nil {
		return fmt.Errorf("split %s of stream %q: %w", id, s.name, err)
	}
	return nil
}

// Merge joins two open shards whose hash keys adjoin (Kinesis API, MergeShards), like Split.
func (s *Stream) Merge(ctx context.Context, a, b record.ShardID) error {
	err := s.change(ctx, func(d *document) error { return d.merge(a, b, s.now()) })
	if err != nil {
		return fmt.Errorf("merge %s and %s of stream %q: %w", a, b, s.name, err)
	}
	return nil
}

// Reshard splits and merges until n open shards have even ranges (Kinesis API, UpdateShardCount). A
// range that is even but for a few thousand of its keys stays, so that doubling splits each shard once. An
// error or a crash may leave it half done: the stream works, and Reshard again goes on.
func (s *Stream) Reshard(ctx context.Context, n int) error {
	if n < 1 || n > maxShards {
		return fmt.Errorf("reshard stream %q to %d shards: %w: want 1 to %d", s.name, n, ErrInvalid, maxShards)
	}
	width := reshardWidth(max(n, len(s.shards.Load().open)))
	for more := true; more; {
		err := s.change(ctx, func(d *document) (err error) {
			more, err = d.reshape(evenRanges(d.ranges(), n), width, s.now())
			if err == nil && !more {
				err = errNoChange
			}
			return err
		})
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("reshard stream %q to %d shards: %w", s.name, n, err)
		}
	}
	return nil
}

// SetRetention changes how long records stay; Forever keeps them. A shorter retention hides older
// records at once. A longer one does not bring back what was hidden (Kinesis API,
// IncreaseStreamRetentionPeriod).
func (s *Stream) SetRetention(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return fmt.Errorf("retention of stream %q: %w: zero", s.name, ErrInvalid)
	}
	return s.Configure(ctx, Settings{Retention: d})
}

// Configure changes the settings that are not zero, for what is written and read from now on.
func (s *Stream) Configure(ctx context.Context, o Settings) error {
	err := s.change(ctx, func(d *document) error { return d.configure(o, s.now()) })
	if err != nil {
		return fmt.Errorf("configure stream %q: %w", s.name, err)
	}
	return nil
}

// Tag sets some tags and removes others.
func (s *Stream) Tag(ctx context.Context, set map[string]string, remove ...string) error {
	err := s.change(ctx, func(d *document) (err error) {
		d.Tags, err = ChangeTags(d.Tags, set, remove)
		return err
	})
	if err != nil {
		return fmt.Errorf("tag stream %q: %w", s.name, err)
	}
	return nil
}

// Tidy drops the closed shards that have expired: as long as the retention passed since they were
// closed, and nobody holds records in them. Their records go with them. It also finishes a split or
// merge that an error interrupted. The runtime calls it every now and then, like Backend.Tidy, after
// it has set the holds of its consumers.
func (s *Stream) Tidy(ctx context.Context) error {
	m := s.shards.Load()
	expired := map[record.ShardID]bool{}
	for _, sh := range m.listed {
		if sh.State == ShardClosed && m.doc.past(sh, s.now()) {
			b := m.logs[sh.ID].Bounds()
			expired[sh.ID] = b.Closed && b.Oldest >= b.Next
		}
	}
	any := false
	for _, e := range expired {
		any = any || e
	}
	if !any && !s.reshaping.Load() {
		return nil
	}
	err := s.change(ctx, func(d *document) error {
		if !any {
			return errNoChange
		}
		for i := range d.Shards {
			if sh := &d.Shards[i]; sh.State == ShardClosed && expired[sh.ID] {
				sh.State = ShardExpired
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("tidy stream %q: %w", s.name, err)
	}
	return nil
}

// past reports whether the retention has passed since a shard was closed.
func (d *document) past(s Shard, now time.Time) bool {
	return d.Settings.Retention > 0 && s.Closed.Add(d.Settings.Retention).Before(now)
}

// configure changes settings. What the old retention hides now stays hidden.
func (d *document) configure(o Settings, now time.Time) error {
	if err := o.check(); err != nil {
		return err
	}
	if old := d.Settings.Retention; old > 0 && o.Retention != 0 {
		d.Hidden = max(d.Hidden, now.Add(-old).UnixMilli())
	}
	s := d.Settings.merge(o)
	if err := s.fits(o); err != nil {
		return err
	}
	if s.Mode != OnDemand {
		s.MaxShards = AutoShards
	}
	d.Settings = s
	return nil
}

// lock takes the right to change the document; the caller gives it back.
func (s *Stream) lock(ctx context.Context) error {
	select {
	case s.changing <- struct{}{}:
		return nil
	default:
	}
	select {
	case s.changing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Stream) unlock() { <-s.changing }

// errNoChange is what an edit returns that left the document as it was.
var errNoChange = errors.New("nothing to change")

// change edits the document of a stream at rest, and carries out what it then says. Once the
// document is stored the change goes on even if ctx is done. If it fails half-way, the next
// change, or the next write that finds a shard sealed, goes on with it.
func (s *Stream) change(ctx context.Context, edit func(d *document) error) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	for {
		m, err := s.settle(ctx)
		if err != nil {
			return err
		}
		d := m.doc.clone()
		err = edit(&d)
		if errors.Is(err, errNoChange) {
			return nil
		}
		if err != nil {
			return err
		}
		d.Format = documentFormat
		// After an error the document may be stored, too.
		s.reshaping.Store(d.State == Updating)
		_, err = store(ctx, s.backend, s.name, d, m.revision)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = s.settle(context.WithoutCancel(ctx))
		return err
	}
}
