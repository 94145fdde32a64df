package kinesis

import (
	"net/http"
	"sync"
	"time"
)

// maxArriving is how many bodies may be on their way at once. On HTTP/2 a client needs few connections for many of them.
const maxArriving = 1024

// arriving is a request whose body is being read.
type arriving struct {
	w          http.ResponseWriter
	prev, next *arriving
}

// arrivals bound how many bodies are on their way: when there are too many, the one that has been so longest is given up,
// as the door does with connections. Those of others arrive within moments.
type arrivals struct {
	most int

	mu sync.Mutex // guards what follows, and the requests in it
	n  int
	// oldest and youngest are the ends of the list.
	oldest, youngest *arriving
}

// enter begins to read a body.
func (x *arrivals) enter(a *arriving, w http.ResponseWriter) {
	x.mu.Lock()
	defer x.mu.Unlock()
	a.w, a.prev, a.next = w, x.youngest, nil
	if x.youngest == nil {
		x.oldest = a
	} else {
		x.youngest.next = a
	}
	x.youngest = a
	if x.n++; x.n > x.most {
		victim := x.oldest
		// Its reader gets an error. The lock is held, so that the request is not over before.
		_ = http.NewResponseController(victim.w).SetReadDeadline(time.Unix(1, 0))
		x.remove(victim)
	}
}

// leave ends it, and reports whether it was not given up meanwhile.
func (x *arrivals) leave(a *arriving) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if a.w == nil {
		return false
	}
	x.remove(a)
	return true
}

func (x *arrivals) remove(a *arriving) {
	if a.prev == nil {
		x.oldest = a.next
	} else {
		a.prev.next = a.next
	}
	if a.next == nil {
		x.youngest = a.prev
	} else {
		a.next.prev = a.prev
	}
	x.n--
	*a = arriving{}
}
