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
	sum    sum // of the batch's body
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
	r.log, r.batch, r.sum, r.result, r.err = nil, nil, sum{}, stream.Appended{}, nil
	pool.Put(r)
	return result, err
}

func (r *request) finish(err error) {
	if r.err == nil {
		r.err = err
	}
	r.done <- struct{}{}
}

// queue holds the requests that wait for the committer, and starts it. A log to which nothing is
// appended needs no goroutine.
type queue struct {
	// run takes the requests until take says that there are no more.
	run func()

	mu       sync.Mutex
	requests []*request
	bytes    int
	gaps     stream.Gaps
	// due is set when the time for a sync has come.
	due    bool
	closed bool
	// running is set while run is.
	running bool
	// room is closed when the committer takes the requests; nil while nobody waits.
	room chan struct{}
	// idle is closed when run ends; nil while nobody waits.
	idle chan struct{}
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
			q.missed(r)
			return ctx.Err()
		}
	}
	defer q.mu.Unlock()
	if err := q.gaps.Check(r.batch); err != nil {
		return err
	}
	q.requests = append(q.requests, r)
	q.bytes += r.batch.Size()
	q.start()
	return nil
}

// start starts the committer if it does not run. mu must be held. Who closes the queue waits for it.
func (q *queue) start() {
	if !q.running {
		q.running = true
		go q.run()
	}
}

// remind makes the committer sync.
func (q *queue) remind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.due = true
		q.start()
	}
}

// missed notes that r was not queued.
func (q *queue) missed(r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost(r)
}

// lost notes that r is not stored. mu must be held.
func (q *queue) lost(r *request) {
	if id := r.batch.Producer.ID; id != 0 {
		stored, known := r.log.Position(id)
		q.gaps.Missed(r.batch, stored, known)
	}
}

// take exchanges the queued requests for an empty slice. due asks for a sync. more is false when
// there is nothing to do: then the committer must end.
func (q *queue) take(empty []*request) (group []*request, due, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.due || len(q.requests) > 0 {
		due, q.due = q.due, false
		return q.exchange(empty), due, true
	}
	q.running = false
	if q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
	return nil, false, false
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
	for _, r := range append(group, q.exchange(nil)...) {
		q.lost(r)
		r.finish(err)
	}
}

// close refuses further requests, and waits for those that are queued. It reports false if the queue
// was closed before.
func (q *queue) close() bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.closed = true
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
	var idle chan struct{}
	if q.running {
		idle = make(chan struct{})
		q.idle = idle
	}
	q.mu.Unlock()
	if idle != nil {
		<-idle
	}
	return true
}
