package memory

import (
	"runtime"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/stream"
)

func TestClosedShardsHaveNoGoroutine(t *testing.T) {
	b, err := Open(NewStore(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := stream.Open(t.Context(), b, stream.Spec{Name: "s", Shards: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := runtime.NumGoroutine()
	s.Updated() // somebody wants to hear of news
	// Others may end meanwhile: those of what was tested before.
	if n := runtime.NumGoroutine() - before; n < 32 {
		t.Fatalf("64 open shards are followed by %d goroutines", n)
	}
	if err := s.Reshard(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	// A follower ends a moment after it has told that its shard was sealed.
	n := 0
	for range 10_000 {
		if n = runtime.NumGoroutine() - before; n <= 1 {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("a stream of one open shard and %d closed ones has %d goroutines", len(s.Shards())-1, n)
}
