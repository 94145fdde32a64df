package pipelines

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	streams "github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/memory"
)

// A consumer that is busy for longer than the retention finds what was written to shards that it
// has not seen yet.
func TestShardsThatNoConsumerHasSeenAreHeld(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	b, err := memory.Open(memory.NewStore(), clock)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := streams.Open(t.Context(), b, streams.Spec{Name: "clicks", Retention: time.Hour, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	f := newFeed(s)
	put := func() {
		t.Helper()
		batch := &record.Batch{}
		batch.Add([]byte("ann"), []byte("x"), 0) // in the lower half
		if err := s.Write(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	put()
	first, second := f.holder(), f.holder()
	first(0, 1)
	second(0, 0)
	if err := s.Split(t.Context(), 0, record.AllKeys().Middle()); err != nil {
		t.Fatal(err)
	}
	put()
	now = now.Add(2 * time.Hour)
	if at := s.Log(1).Bounds().Oldest; at != 1 {
		t.Errorf("the child begins at record %d before anybody holds it", at)
	}
	f.holdAll()
	for id := range record.ShardID(2) {
		if at := s.Log(id).Bounds().Oldest; at != 0 {
			t.Errorf("%s begins at record %d, a consumer needs 0", id, at)
		}
	}
	first(1, 1)
	second(1, 1)
	if at := s.Log(1).Bounds().Oldest; at != 1 {
		t.Errorf("the child begins at record %d, nobody needs it", at)
	}
	second(99, 5) // a shard that has expired meanwhile
}
