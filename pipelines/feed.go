package pipelines

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	streams "github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
	"github.com/millrace-io/millrace/engine/stream/governor"
)

// feed is a stream of the running pipeline, with who still writes to it.
type feed struct {
	stream *streams.Stream
	// governor is nil for streams of the pipeline's own, which have no limits.
	governor *governor.Governor
	ended    chan struct{}

	mu      sync.Mutex // guards what follows
	writers int
	// holds are the oldest ordinals that each consumer still needs, per shard.
	holds []map[record.ShardID]record.Ordinal
	// stored is how many records each shard got, also those that have expired since.
	stored map[record.ShardID]int64
}

func newFeed(s *streams.Stream) *feed {
	return &feed{stream: s, ended: make(chan struct{}), stored: map[record.ShardID]int64{}}
}

// holder returns what a new consumer reports its needs with. A shard keeps what any consumer
// needs; one that has not reported on it yet needs everything.
func (f *feed) holder() func(shard record.ShardID, from record.Ordinal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	mine := map[record.ShardID]record.Ordinal{}
	f.holds = append(f.holds, mine)
	return func(shard record.ShardID, from record.Ordinal) {
		f.mu.Lock()
		defer f.mu.Unlock()
		mine[shard] = from
		f.hold(shard)
	}
}

// holdAll holds what consumers need also in shards that came by a split or merge, which a busy
// consumer has not seen yet. It comes before expired records are removed.
func (f *feed) holdAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.holds) == 0 {
		return
	}
	for _, sh := range f.stream.Shards() {
		f.hold(sh.ID)
	}
}

// hold tells a shard what its consumers need. feed.mu must be held.
func (f *feed) hold(shard record.ShardID) {
	log := f.stream.Log(shard)
	if log == nil {
		return // it has expired
	}
	low := streams.NoHold
	for _, needs := range f.holds {
		low = min(low, needs[shard])
	}
	log.SetHold(low)
}

// shards are those of the stream as tasks read them.
func (f *feed) shards() []flow.Shard {
	shards := f.stream.Shards()
	out := make([]flow.Shard, 0, len(shards))
	for _, sh := range shards {
		// One without a log has expired meanwhile.
		if log := f.stream.Log(sh.ID); log != nil {
			out = append(out, flow.Shard{ID: sh.ID, Parents: sh.Parents, Keys: sh.Range, Log: log})
		}
	}
	return out
}

// join announces a writer. All join before any of them ends.
func (f *feed) join() { f.writers++ }

// seal ends the feed at once if nobody writes to it.
func (f *feed) seal() {
	if f.writers == 0 {
		close(f.ended)
	}
}

// leave tells that a writer's input has ended; the last one ends the feed.
func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.writers--; f.writers == 0 {
		close(f.ended)
	}
}

// records is how many were ever stored, as far as this run knows, and the bytes kept.
func (f *feed) records() (records, bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, sh := range f.stream.Shards() {
		if log := f.stream.Log(sh.ID); log != nil {
			b := log.Bounds()
			f.stored[sh.ID] = int64(b.Next)
			bytes += b.Bytes
		}
	}
	for _, n := range f.stored {
		records += n
	}
	return records, bytes
}

// counter is a stream as a source sees it; it counts what the source wrote, and tells when the
// stream is full.
type counter struct {
	*streams.Stream
	fault   func(error)
	written atomic.Int64
}

func (c *counter) Write(ctx context.Context, b *record.Batch) error {
	n := int64(b.Len())
	err := c.patient(ctx, b)
	if err == nil {
		c.written.Add(n)
	}
	return err
}

// patient waits while the stream is full, and says so, or while its limits are reached, which is no
// fault. What a first attempt stored of a batch
// without positions would be stored again by a second, so there is only one.
func (c *counter) patient(ctx context.Context, b *record.Batch) error {
	if b.Producer.ID == 0 {
		return c.Stream.Write(ctx, b)
	}
	err := c.Stream.TryWrite(ctx, b)
	var limit *capacity.ThrottledError
	if errors.As(err, &limit) {
		return c.Stream.Write(ctx, b)
	}
	if !errors.Is(err, streams.ErrFull) {
		return err
	}
	c.fault(err)
	err = c.Stream.Write(ctx, b)
	c.fault(nil)
	return err
}

func (c *counter) TryWrite(ctx context.Context, b *record.Batch) error {
	n := int64(b.Len())
	err := c.Stream.TryWrite(ctx, b)
	if err == nil {
		c.written.Add(n)
	}
	return err
}
