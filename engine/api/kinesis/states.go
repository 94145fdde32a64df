package kinesis

import (
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/stream"
)

// state is that of a stream which is being changed, or was a moment ago.
type state struct {
	status stream.Status
	// until is when it is over; zero while the change goes on.
	until time.Time
	// gone is what a stream was that is being deleted.
	gone *stream.Description
}

// states keep the moments in which a stream is not ACTIVE, so that clients see them as they see those of the
// service, and so that one change waits for another.
type states struct {
	now    func() time.Time
	settle time.Duration

	mu   sync.Mutex // guards list
	list map[string]state
}

// of is the state of a stream; ok is false when it is at rest.
func (s *states) of(name string) (st state, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.look(name)
}

func (s *states) look(name string) (st state, ok bool) {
	st, ok = s.list[name]
	if ok && !st.until.IsZero() && !s.now().Before(st.until) {
		delete(s.list, name)
		return state{}, false
	}
	return st, ok
}

// begin begins a change, unless another one is not over: then ok is false and the state is its.
func (s *states) begin(name string, st state) (other state, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, ok := s.look(name); ok {
		return other, false
	}
	s.list[name] = st
	return st, true
}

// end ends a change: at once when it failed, else after the moment in which it is seen.
func (s *states) end(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Those whose moment is over and that nobody asks for must not pile up.
	for other := range s.list {
		s.look(other)
	}
	st := s.list[name]
	if err != nil || s.settle <= 0 {
		delete(s.list, name)
		return
	}
	st.until = s.now().Add(s.settle)
	s.list[name] = st
}

// creating counts the streams that are CREATING.
func (s *states) creating() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.list {
		if st, ok := s.look(name); ok && st.status == stream.Creating {
			n++
		}
	}
	return n
}

// deleting are the names of streams that are gone and still seen.
func (s *states) deleting() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.list {
		if st, ok := s.look(name); ok && st.gone != nil {
			names = append(names, name)
		}
	}
	return names
}
