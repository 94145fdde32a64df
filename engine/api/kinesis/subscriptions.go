package kinesis

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// subscriptions are those that are open: one for each consumer and shard.
type subscriptions struct {
	mu   sync.Mutex // guards what follows
	list map[subscriptionKey]*subscription
	// closed says that no more may begin.
	closed bool
}

type subscriptionKey struct {
	stream, consumer string
	shard            record.ShardID
}

type subscription struct {
	since time.Time
	// stop ends the subscription; the client is told the cause.
	stop context.CancelCauseFunc
}

// errOver ends a subscription of which nothing more need be said: it is old, or the server stops.
var errOver = errors.New("the subscription is over")

// begin takes the place of a consumer and shard. An older subscription ends; a young one keeps it.
func (x *subscriptions) begin(k subscriptionKey, s *subscription, taken error) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		s.stop(errOver)
		return true
	}
	if old := x.list[k]; old != nil {
		if s.since.Sub(old.since) < takeover {
			return false
		}
		old.stop(taken)
	}
	x.list[k] = s
	return true
}

// leave gives the place back, unless another one took it.
func (x *subscriptions) leave(k subscriptionKey, s *subscription) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.list[k] == s {
		delete(x.list, k)
	}
}

// end ends those that match.
func (x *subscriptions) end(why error, match func(subscriptionKey) bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for k, s := range x.list {
		if match(k) {
			s.stop(why)
		}
	}
}

// EndSubscriptions ends those that are open and lets none begin: a server that stops need not wait for them. Their
// clients subscribe again elsewhere.
func (s *Service) EndSubscriptions() {
	s.subscriptions.mu.Lock()
	s.subscriptions.closed = true
	s.subscriptions.mu.Unlock()
	s.subscriptions.end(errOver, func(subscriptionKey) bool { return true })
}
