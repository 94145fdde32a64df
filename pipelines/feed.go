package pipelines

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/record"
	streams "github.com/millrace-io/millrace/engine/stream"
)

// feed is a stream of the running pipeline, with who still writes to it.
type feed struct {
	stream *streams.Stream
	ended  chan struct{}

	mu      sync.Mutex // guards what follows
	writers int
	// holds are the oldest ordinals that consumers still need, per shard.
	holds map[record.ShardID][]record.Ordinal
}

func newFeed(s *streams.Stream) *feed {
	return &feed{stream: s, ended: make(chan struct{}), holds: map[record.ShardID][]record.Ordinal{}}
}

// holder returns what a new consumer of a shard reports its needs with. The shard keeps what any
// of its consumers needs; one that has not reported yet needs everything.
func (f *feed) holder(id record.ShardID) func(from record.Ordinal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := len(f.holds[id])
	f.holds[id] = append(f.holds[id], 0)
	log := f.stream.Log(id)
	return func(from record.Ordinal) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.holds[id][i] = from
		log.SetHold(slices.Min(f.holds[id]))
	}
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

// records is how many were ever stored, and the bytes kept.
func (f *feed) records() (records, bytes int64) {
	for _, sh := range f.stream.Shards() {
		b := f.stream.Log(sh.ID).Bounds()
		records += int64(b.Next)
		bytes += b.Bytes
	}
	return records, bytes
}

// counter is a stream as a source sees it; it counts what the source wrote.
type counter struct {
	*streams.Stream
	written atomic.Int64
}

func (c *counter) Write(ctx context.Context, b *record.Batch) error {
	n := int64(b.Len())
	err := c.Stream.Write(ctx, b)
	if err == nil {
		c.written.Add(n)
	}
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
