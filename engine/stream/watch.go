package stream

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/engine/record"
)

// watch joins the logs' Updated channels into one.
type watch struct {
	mu      sync.Mutex
	closed  bool
	updated chan struct{}
	// start starts a follower and cancel ends them all; nil until somebody asks for news.
	start  func(f *follower)
	cancel context.CancelFunc
	// followed are the logs with a goroutine.
	followed map[Log]bool
	done     sync.WaitGroup
}

// Updated returns a channel that is closed when more can be read from some shard than at the
// call, a shard is sealed, Shards changes, or the stream is closed. The first call starts a
// goroutine per open shard, which Close ends.
func (s *Stream) Updated() <-chan struct{} {
	w := &s.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.updated == nil {
		w.updated = make(chan struct{})
		if w.closed {
			close(w.updated)
		}
	}
	if w.start == nil && !w.closed {
		ctx, cancel := context.WithCancel(context.Background())
		w.followed, w.cancel = map[Log]bool{}, cancel
		w.start = func(f *follower) { w.done.Go(func() { f.run(ctx) }) }
		w.follow(s, s.shards.Load().logs)
	}
	return w.updated
}

// adopt follows the logs of a new shard map, and tells of it.
func (w *watch) adopt(s *Stream, logs map[record.ShardID]Log) {
	w.mu.Lock()
	if w.start != nil && !w.closed {
		w.follow(s, logs)
	}
	w.mu.Unlock()
	w.tell()
}

// follow starts a goroutine for each log that has none and is not known to have ended. mu must be held.
func (w *watch) follow(s *Stream, logs map[record.ShardID]Log) {
	listed := map[Log]bool{}
	for _, log := range logs {
		listed[log] = true
	}
	maps.DeleteFunc(w.followed, func(log Log, _ bool) bool { return !listed[log] })
	for _, log := range logs {
		// A shard that takes no more has no news. One that was sealed through another Stream has.
		if w.followed[log] || !s.shards.Load().takes(log) {
			continue
		}
		w.followed[log] = true
		f := &follower{stream: s, log: log, more: log.Updated(), seen: log.Bounds()}
		f.seen.Closed = false
		w.start(f)
	}
}

// follower tells of one log's news.
type follower struct {
	stream *Stream
	log    Log
	seen   Bounds
	more   <-chan struct{}
}

// run goes on until the log was sealed, or it or the stream is closed.
func (f *follower) run(ctx context.Context) {
	w := &f.stream.watch
	f.look(ctx)
	for !f.seen.Closed {
		select {
		case <-ctx.Done():
			return
		case <-f.more:
		}
		f.more = f.log.Updated()
		if f.look(ctx) {
			continue
		}
		select {
		case <-f.more:
			// A channel that is closed from the start, without news, means a closed log.
			if !f.look(ctx) {
				w.mu.Lock()
				delete(w.followed, f.log)
				w.mu.Unlock()
				w.tell()
				return
			}
		default:
		}
	}
}

// look tells of what happened since the last look, if anything did.
func (f *follower) look(ctx context.Context) bool {
	now := f.log.Bounds()
	sealed := now.Closed && !f.seen.Closed
	news := sealed || now.Next != f.seen.Next
	f.seen = now
	if m := f.stream.shards.Load(); sealed && m.takes(f.log) {
		// If it is not this Stream that splits or merges the shard, nobody else tells it of the
		// children. An error shows when something is written.
		_, _ = f.stream.moved(ctx, m)
	}
	if news {
		f.stream.watch.tell()
	}
	return news
}

// takes reports whether the log is that of an open shard.
func (m *shardMap) takes(log Log) bool {
	return slices.ContainsFunc(m.open, func(s shard) bool { return s.log == log })
}

func (w *watch) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed && w.updated != nil {
		close(w.updated)
		w.updated = make(chan struct{})
	}
}

func (w *watch) close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		if w.updated != nil {
			close(w.updated)
		}
		if w.cancel != nil {
			w.cancel()
		}
	}
	w.mu.Unlock()
	w.done.Wait()
}
