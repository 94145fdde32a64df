package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// Consumer reads shards for a Worker: its Handle is a Handler. A crash or a lost lease repeats what
// was processed since the last checkpoint; a hand-over, Stop and a split repeat nothing.
type Consumer struct {
	// Log is the log of a shard, nil when there is none.
	Log func(record.ShardID) stream.Log
	// Process deals with frames of one shard. They begin at lease.Position or where the last call
	// ended, and are valid until it returns. When it returns nil the records count as dealt with.
	// One shard's calls follow each other, different shards' run at the same time.
	Process func(ctx context.Context, lease *Lease, frames []stream.Frame) error
	// Expired is told of records that retention took before they were read; nil ignores them.
	Expired func(lease *Lease, records int64)
	// Every is how often to checkpoint while there is more to read. Zero means after each call
	// of Process.
	Every time.Duration
	// Max is how many bytes one call of Process gets at most, see stream.Buffer.
	Max int
}

// Handle works on one shard until its end or until the lease is over.
func (c Consumer) Handle(ctx context.Context, l *Lease) error {
	log := c.Log(l.Shard())
	if log == nil {
		return fmt.Errorf("consume %s: shard: %w", l.Shard(), stream.ErrNotFound)
	}
	r := &shardReader{Consumer: c, lease: l, log: log, next: l.Position(), saved: time.Now()}
	r.buffer.Max = c.Max
	err := r.run(ctx)
	if r.next != l.Position() && l.err() == nil {
		// What was processed is dealt with, whatever ended the work.
		err = errors.Join(err, l.Checkpoint(ctx, r.next))
	}
	return err
}

type shardReader struct {
	Consumer
	lease  *Lease
	log    stream.Log
	next   record.Ordinal
	saved  time.Time
	buffer stream.Buffer
}

func (r *shardReader) run(ctx context.Context) error {
	for ctx.Err() == nil && !isClosed(r.lease.Asked()) {
		more := r.log.Updated()
		n, err := r.read(ctx)
		switch {
		case err != nil:
			return err
		case n > 0:
			continue
		}
		if b := r.log.Bounds(); b.Closed && r.next >= b.Next {
			return r.finish(ctx)
		}
		if err := r.save(ctx); err != nil {
			return err
		}
		if err := r.wait(ctx, more); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// read processes what the log has next and returns how many records that were.
func (r *shardReader) read(ctx context.Context) (int64, error) {
	frames, err := r.log.Read(ctx, r.next, &r.buffer)
	if errors.Is(err, stream.ErrTrimmed) {
		return r.expire(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("read %s at %d: %w", r.lease.Shard(), r.next, err)
	}
	frames, err = from(frames, r.next)
	if err != nil || len(frames) == 0 {
		return 0, err
	}
	if err := r.Process(ctx, r.lease, frames); err != nil {
		return 0, err
	}
	start := r.next
	r.next = frames[len(frames)-1].Next()
	if time.Since(r.saved) < r.Every {
		return int64(r.next - start), nil
	}
	return int64(r.next - start), r.save(ctx)
}

// expire goes on at the oldest record that is left.
func (r *shardReader) expire() int64 {
	oldest := r.log.Bounds().Oldest
	lost := int64(oldest - r.next)
	if lost <= 0 {
		return 0
	}
	r.next = oldest
	if r.Expired != nil {
		r.Expired(r.lease, lost)
	}
	return lost
}

func (r *shardReader) save(ctx context.Context) error {
	r.saved = time.Now()
	if r.next == r.lease.Position() {
		return nil
	}
	return r.lease.Checkpoint(ctx, r.next)
}

func (r *shardReader) finish(ctx context.Context) error {
	if err := r.save(ctx); err != nil {
		return err
	}
	return r.lease.Finish(ctx)
}

func (r *shardReader) wait(ctx context.Context, more <-chan struct{}) error {
	select {
	case <-ctx.Done():
	case <-r.lease.Asked():
	case <-more:
		b := r.log.Bounds()
		if b.Next <= r.next && !b.Closed && isClosed(r.log.Updated()) {
			// A log that tells of news and has none has been closed under its readers.
			return fmt.Errorf("read %s at %d: %w", r.lease.Shard(), r.next, stream.ErrClosed)
		}
	}
	return nil
}

// from leaves out the records before an ordinal, which the first frame may begin with.
func from(frames []stream.Frame, next record.Ordinal) ([]stream.Frame, error) {
	for len(frames) > 0 && frames[0].Next() <= next {
		frames = frames[1:]
	}
	if len(frames) == 0 {
		return nil, nil
	}
	f := &frames[0]
	for f.First < next {
		_, rest, err := record.Next(f.Body)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", f.First, err)
		}
		f.Body, f.First, f.Count = rest, f.First+1, f.Count-1
	}
	return frames, nil
}
