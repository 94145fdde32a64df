package stream

import (
	"sync"

	"github.com/millrace-io/millrace/engine/record"
)

// watch joins the logs' Updated channels into one.
type watch struct {
	mu      sync.Mutex
	started bool
	closed  bool
	updated chan struct{}
	stop    chan struct{}
	done    sync.WaitGroup
}

// Updated returns a channel that is closed when more can be read from some shard than at the
// call, or the stream is closed. The first call starts a goroutine per shard, which Close ends.
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
	if w.started || w.closed {
		return w.updated
	}
	w.started, w.stop = true, make(chan struct{})
	for _, log := range s.logs {
		next, more := log.Bounds().Next, log.Updated()
		w.done.Go(func() { w.follow(log, next, more) })
	}
	return w.updated
}

// follow tells of a log's news until the log or the stream is closed.
func (w *watch) follow(log Log, next record.Ordinal, more <-chan struct{}) {
	for {
		select {
		case <-w.stop:
			return
		case <-more:
		}
		more = log.Updated()
		if now := log.Bounds().Next; now != next {
			next = now
			w.tell()
			continue
		}
		select {
		case <-more:
			// A channel that is closed from the start, without news, means a closed log.
			if log.Bounds().Next == next {
				w.tell()
				return
			}
		default:
		}
	}
}

func (w *watch) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
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
		if w.started {
			close(w.stop)
		}
	}
	w.mu.Unlock()
	w.done.Wait()
}
