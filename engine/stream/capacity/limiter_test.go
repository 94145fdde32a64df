package capacity

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func throttled(t *testing.T, err error, limit Limit) *ThrottledError {
	t.Helper()
	var e *ThrottledError
	if !errors.As(err, &e) || e.Limit != limit || e.Stream != "orders" {
		t.Fatalf("error %v, want %s throttled", err, limit)
	}
	return e
}

func TestShardTakesItsLimitAndThenAsMuchAsTimeBrings(t *testing.T) {
	l := NewLimiter("orders", Kinesis())
	for i := range 1000 {
		if err := l.Write(noon, 3, 1, 1000); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
	e := throttled(t, l.Write(noon, 3, 1, 1000), RecordsIn)
	if e.RetryAfter < time.Millisecond || e.RetryAfter > 2*time.Millisecond || e.Shard != 3 {
		t.Errorf("retry after %v on %s", e.RetryAfter, e.Shard)
	}
	if err := l.Write(noon.Add(e.RetryAfter), 3, 1, 1000); err != nil {
		t.Errorf("after waiting as told: %v", err)
	}
	if err := l.Write(noon, 4, 1000, 1000); err != nil {
		t.Errorf("another shard: %v", err)
	}
	if !strings.Contains(e.Error(), "shardId-000000000003") || !strings.Contains(e.Error(), "1000 records written per second") {
		t.Errorf("message: %v", e)
	}
}

func TestBytesAreLimitedToo(t *testing.T) {
	l := NewLimiter("orders", Kinesis())
	if err := l.Write(noon, 0, 1, 1<<20); err != nil {
		t.Fatal(err)
	}
	if e := throttled(t, l.Write(noon, 0, 1, 1<<19), BytesIn); e.RetryAfter.Round(time.Millisecond) != 500*time.Millisecond {
		t.Errorf("retry after %v, want half a second", e.RetryAfter)
	}
}

func TestRefusedWriteTakesNothing(t *testing.T) {
	l := NewLimiter("orders", Kinesis())
	for range 100 {
		if l.Write(noon, 0, 2000, 2<<20) != nil || l.Write(noon, 0, 1, 1) == nil {
			// The first takes both buckets below zero, all others are refused.
			break
		}
	}
	for range 100 {
		throttled(t, l.Write(noon, 0, 1, 1), BytesIn)
	}
	if err := l.Write(noon.Add(time.Second+time.Millisecond*2), 0, 1, 1); err != nil {
		t.Errorf("the refused writes were charged: %v", err)
	}
}

func TestLargeRecordPassesAFullBucketAndIsPaidFor(t *testing.T) {
	l := NewLimiter("orders", Kinesis())
	if err := l.Write(noon, 0, 1, 10<<20); err != nil {
		t.Fatalf("10 MiB record: %v", err)
	}
	e := throttled(t, l.Write(noon, 0, 1, 1<<20), BytesIn)
	if e.RetryAfter.Round(time.Millisecond) != 10*time.Second {
		t.Errorf("retry after %v, want 10 s", e.RetryAfter)
	}
}

func TestReadsArePaidForAfterwards(t *testing.T) {
	l := NewLimiter("orders", Kinesis())
	if err := l.Read(noon, 0); err != nil {
		t.Fatal(err)
	}
	l.Charge(0, 10<<20)
	e := throttled(t, l.Read(noon, 0), BytesOut)
	if e.RetryAfter < 3900*time.Millisecond || e.RetryAfter > 4100*time.Millisecond {
		t.Errorf("retry after %v, want 4 s", e.RetryAfter)
	}
	for i := range 5 {
		if err := l.Read(noon, 1); err != nil {
			t.Fatalf("read %d: %v", i, err)
		}
	}
	throttled(t, l.Read(noon, 1), ReadsOut)
}

func TestClockSetBackGivesNothing(t *testing.T) {
	l := NewLimiter("orders", Kinesis())
	if err := l.Write(noon, 0, 1000, 1); err != nil {
		t.Fatal(err)
	}
	throttled(t, l.Write(noon.Add(-time.Hour), 0, 1, 1), RecordsIn)
	if err := l.Write(noon.Add(-time.Hour+time.Second), 0, 1, 1); err != nil {
		t.Errorf("a second later on the new clock: %v", err)
	}
}

func TestPartOfARequestPassesInOrder(t *testing.T) {
	l := NewLimiter("orders", Kinesis())
	puts := []Put{{0, 900 << 10}, {1, 10}, {0, 500 << 10}, {0, 10}, {1, 10}}
	refused := make([]error, len(puts))
	if passed := l.Admit(noon, puts, refused); passed != 3 {
		t.Errorf("%d pass, want 3", passed)
	}
	for i, want := range []bool{true, true, false, false, true} {
		if (refused[i] == nil) != want {
			t.Errorf("record %d: %v", i, refused[i])
		}
	}
	// The small one behind the refused one had room, but would have overtaken it.
	throttled(t, refused[3], BytesIn)
}

func TestNoLimitsThrottleNothing(t *testing.T) {
	l := NewLimiter("orders", Limits{})
	for range 10 {
		if err := errors.Join(l.Write(noon, 0, 1<<20, 1<<40), l.Read(noon, 0)); err != nil {
			t.Fatal(err)
		}
		l.Charge(0, 1<<40)
	}
}

func TestManyWritersShareAShardsLimit(t *testing.T) {
	l := NewLimiter("orders", Kinesis())
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if l.Write(noon, 0, 1, 10) == nil {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1000 {
		t.Errorf("%d records passed, want 1000", passed.Load())
	}
}

func BenchmarkWrite(b *testing.B) {
	l := NewLimiter("orders", Limits{BytesIn: 1 << 50, RecordsIn: 1 << 50})
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Write(noon, 0, 1, 1000); err != nil {
			b.Fatal(err)
		}
	}
}
