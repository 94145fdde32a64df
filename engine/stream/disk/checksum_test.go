package disk

import (
	"bytes"
	"context"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

func TestJoinedChecksumIsThatOfTheWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		a, b := make([]byte, r.IntN(100)), make([]byte, r.IntN(1<<r.IntN(18)))
		for _, p := range [][]byte{a, b} {
			for i := range p {
				p[i] = byte(r.Uint32())
			}
		}
		seed := r.Uint32()
		first := crc32.Update(seed, castagnoli, a)
		if got, want := joined(first, crc32.Checksum(b, castagnoli), len(b)), crc32.Update(first, castagnoli, b); got != want {
			t.Fatalf("%d and %d bytes: %08x, want %08x", len(a), len(b), got, want)
		}
	}
}

// large is a batch that the writer sums up and the committer writes from where it is.
func large(n int, fill byte) *record.Batch {
	b := &record.Batch{Producer: record.Producer{ID: 5}}
	for i := range n {
		b.Add([]byte("key"), bytes.Repeat([]byte{fill}, 9000), int64(i+1))
	}
	b.End = int64(n)
	return b
}

func TestLargeBatchesAreReadBackByAnotherProcess(t *testing.T) {
	r := newRig(t, Options{})
	ctx := context.Background()
	small := &record.Batch{}
	small.Add([]byte("key"), []byte("small"), 0)
	waits := []func() (stream.Appended, error){}
	// The second repeats a part of the first, so that what was summed up is not what is stored.
	for _, b := range []*record.Batch{small, large(20, 'a'), small, large(30, 'b'), small} {
		wait, err := r.log.Enqueue(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, wait)
	}
	for _, wait := range waits {
		if _, err := wait(); err != nil {
			t.Fatal(err)
		}
	}
	r.kill()
	var buf stream.Buffer
	count, at := 0, record.Ordinal(0)
	for {
		frames, err := r.log.Read(ctx, at, &buf)
		if err != nil {
			t.Fatal(err)
		}
		if len(frames) == 0 {
			break
		}
		for _, f := range frames {
			at = f.Next()
			count += f.Count
		}
	}
	if count != 33 {
		t.Errorf("%d records are there, 33 were stored", count)
	}
}

func TestIdleShardsNeedNoGoroutine(t *testing.T) {
	r := newRig(t, Options{})
	ctx := context.Background()
	before := runtime.NumGoroutine()
	for id := record.ShardID(1); id <= 200; id++ {
		log, err := r.back.Shard(ctx, "s", id, stream.ShardOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var b record.Batch
		b.Add([]byte("key"), []byte("data"), 0)
		if _, err := log.Append(ctx, &b); err != nil {
			t.Fatal(err)
		}
		if id%2 == 0 {
			if err := log.Seal(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A committer ends a moment after it has answered, a long one on a busy machine.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		<-tick.C
	}
	t.Errorf("200 idle shards have %d goroutines", runtime.NumGoroutine()-before)
}
