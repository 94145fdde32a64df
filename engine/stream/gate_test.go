package stream_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
	"github.com/millrace-io/millrace/engine/stream/memory"
)

// limited is a gate with Kinesis's limits, which counts what passed.
type limited struct {
	*capacity.Limiter
	stored, delivered atomic.Int64
}

func (l *limited) Admit(parts []stream.Part) error {
	var all []capacity.Part
	for _, p := range parts {
		all = append(all, capacity.Part{Shard: p.Shard, Records: p.Batch.Len(), Bytes: int64(p.Batch.Size())})
	}
	return l.WriteAll(time.Now(), all)
}

func (l *limited) Stored(_ record.ShardID, b *record.Batch) { l.stored.Add(int64(b.Len())) }

func (l *limited) AdmitRead(id record.ShardID) error { return l.Read(time.Now(), id) }

func (l *limited) Delivered(id record.ShardID, bytes int64) {
	l.delivered.Add(bytes)
	l.Charge(id, bytes)
}

func TestThrottledWriteWaitsAndTryWriteSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back, err := memory.Open(memory.NewStore(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer back.Close()
		s, err := stream.Open(t.Context(), back, stream.Spec{Name: "s", Shards: 2})
		if err != nil {
			t.Fatal(err)
		}
		gate := &limited{Limiter: capacity.NewLimiter("s", capacity.Kinesis())}
		s.SetGate(gate)
		batch := &record.Batch{}
		for i := range 1500 {
			batch.Add(fmt.Append(nil, i), []byte("x"), 0)
		}
		start := time.Now()
		if err := s.TryWrite(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		var throttled *capacity.ThrottledError
		if err := s.TryWrite(t.Context(), batch); !errors.As(err, &throttled) || throttled.RetryAfter <= 0 {
			t.Errorf("a second's worth more: %v", err)
		}
		if err := s.Write(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 300*time.Millisecond || took > 3*time.Second {
			t.Errorf("3,000 records into two shards of 1,000 a second took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := s.Write(ctx, batch); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &throttled) {
			t.Errorf("without time to wait: %v", err)
		}
		records, _ := s.Bounds()
		if n := gate.stored.Load(); n != records || n < 3000 {
			t.Errorf("the gate saw %d records of %d", n, records)
		}
		if now, _ := s.Bounds(); now != records {
			t.Errorf("%d records were stored without being counted", now-records)
		}
		s.SetGate(nil)
		if err := s.TryWrite(t.Context(), batch); err != nil {
			t.Errorf("without a gate: %v", err)
		}
	})
}
