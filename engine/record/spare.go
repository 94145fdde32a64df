package record

import "sync"

// Spare keeps batches that are not needed any more, to be filled again, instead of leaving them to the garbage
// collector or to somebody who may never need them again. The zero Spare keeps none. It may be used from several goroutines.
type Spare struct {
	mu      sync.Mutex // guards all
	batches []*Batch
	// kept is the memory of batches in bytes, and room is how much that may be.
	kept, room int
}

// Room says how many bytes of memory may be kept. What is beyond it goes.
func (s *Spare) Room(bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room = bytes
	for s.kept > s.room {
		s.last()
	}
}

// Get returns an empty batch.
func (s *Spare) Get() *Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.batches) == 0 {
		return new(Batch)
	}
	return s.last()
}

// last takes a batch out. mu must be held.
func (s *Spare) last() *Batch {
	n := len(s.batches) - 1
	b := s.batches[n]
	s.batches[n] = nil
	s.batches = s.batches[:n]
	s.kept -= b.Capacity()
	return b
}

// Put keeps a batch if there is room for it. The caller must not use it any more.
func (s *Spare) Put(b *Batch) {
	b.Reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := b.Capacity(); s.kept+n <= s.room {
		s.batches, s.kept = append(s.batches, b), s.kept+n
	}
}
