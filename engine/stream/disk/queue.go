package disk

import (
	"context"
	"sync"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// action is what a request asks for.
type action byte

const (
	// doAppend stores a batch.
	doAppend action = iota
	// doSeal ends the shard.
	doSeal
	// doSync syncs what was written before.
	doSync
	// doRoll begins a new segment, so that retention can remove the last one.
	doRoll
)

// request is a batch on its way, or an order. Requests are used again; wait is bound once.
type request struct {
	log    *Log
	do     action
	batch  *record.Batch
	result stream.Appended
	err    error
	done   chan struct{}
	wait   func() (stream.Appended, error)
}

func newRequest() any {
	r := &request{done: make(chan struct{}, 1)}
	r.wait = r.await
	return r
}

func (r *request) await() (stream.Appended, error) {
	<-r.done
	result, err, pool := r.result, r.err, &r.log.backend.requests
	r.log, r.batch, r.result, r.err = nil, nil, stream.Appended{}, nil
	pool.Put(r)
	return result, err
}

func (r *request) finish(err error) {
	if r.err == nil {
		r.err = err
	}
	r.done <- struct{}{}
}

// queue holds the requests that wait for the committer.
type queue struct {
	mu       sync.Mutex
	requests []*request
	bytes    int
	closed   bool
	// room is closed when the committer takes the requests; nil while nobody waits.
	room chan struct{}
	// wake tells the committer.
	wake chan struct{}
}

// put queues r, and waits while too many bytes are queued.
func (q *queue) put(ctx context.Context, r *request) error {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return stream.ErrClosed
		}
		if q.bytes == 0 || q.bytes+r.batch.Size() <= maxQueued {
			break
		}
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	q.requests = append(q.requests, r)
	q.bytes += r.batch.Size()
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// take exchanges the queued requests for an empty slice. more is false once the queue is closed
// and empty.
func (q *queue) take(empty []*request) (group []*request, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	group = q.exchange(empty)
	return group, !q.closed || len(group) > 0
}

// exchange is take for who holds mu.
func (q *queue) exchange(empty []*request) (group []*request) {
	group, q.requests, q.bytes = q.requests, empty, 0
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
	return group
}

// refuse ends a group and everything that is queued with an error. Nothing is queued in between: who
// was told of the error and tries again does not get the old one.
func (q *queue) refuse(group []*request, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range group {
		r.finish(err)
	}
	for _, r := range q.exchange(nil) {
		r.finish(err)
	}
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
