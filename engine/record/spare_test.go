package record

import (
	"bytes"
	"testing"
)

// filled is a batch that takes about so many bytes of memory.
func filled(size int) *Batch {
	b := new(Batch)
	b.Add(nil, bytes.Repeat([]byte("x"), size), 1)
	return b
}

func TestSpareKeepsBatchesUpToItsRoom(t *testing.T) {
	var s Spare
	s.Room(100 << 10)
	a, b, c := filled(60<<10), filled(60<<10), filled(8<<10)
	s.Put(a)
	s.Put(b) // no room
	s.Put(c)
	if got := s.Get(); got != c || got.Len() != 0 || got.Size() != 0 {
		t.Errorf("got a batch of %d records, want the last one that was put, empty", got.Len())
	}
	if s.Get() != a {
		t.Error("the first batch was not kept")
	}
	if got := s.Get(); got == b || got.Capacity() != 0 {
		t.Errorf("a batch of %d bytes was kept without room", got.Capacity())
	}
}

func TestSpareLetsGoWhenItsRoomShrinks(t *testing.T) {
	var s Spare
	s.Room(1 << 20)
	for range 10 {
		s.Put(filled(64 << 10))
	}
	s.Room(150 << 10)
	kept := 0
	for b := s.Get(); b.Capacity() > 0; b = s.Get() {
		kept++
	}
	if kept != 2 {
		t.Errorf("%d batches of 64 KiB are kept in 150 KiB, want 2", kept)
	}
}
