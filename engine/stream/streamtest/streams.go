package streamtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

func (b *Backend) stream(t *testing.T, spec stream.Spec) *stream.Stream {
	t.Helper()
	spec.Name = "orders"
	s, err := stream.Open(context.Background(), b, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustWrite(t *testing.T, s *stream.Stream, b *record.Batch) {
	t.Helper()
	if err := s.Write(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}

// keyed is a batch with n records of as many keys, at the positions behind from.
func keyed(producer uint64, from int64, n int) *record.Batch {
	b := &record.Batch{Producer: record.Producer{ID: producer}, End: from + int64(n)}
	for i := range n {
		key := fmt.Appendf(nil, "key%d", from+int64(i))
		b.Add(key, key, from+int64(i)+1)
	}
	return b
}

// all reads the data of all shards.
func all(t *testing.T, s *stream.Stream) []string {
	t.Helper()
	var got []string
	for _, sh := range s.Shards() {
		got = append(got, texts(t, s.Log(sh.ID), 0)...)
	}
	slices.Sort(got)
	return got
}

func streamRoutesByHashKey(t *testing.T, b *Backend) {
	for _, n := range []int{1, 3, 20} {
		s, err := stream.Open(context.Background(), b, stream.Spec{Name: fmt.Sprint("s", n), Shards: n})
		if err != nil {
			t.Fatal(err)
		}
		batch := keyed(0, 0, 500)
		ends := record.EvenRanges(n)
		for i, r := range ends {
			batch.AddExplicit([]byte("x"), r.Start, fmt.Appendf(nil, "start%d", i), 0)
			batch.AddExplicit([]byte("x"), r.End, fmt.Appendf(nil, "end%d", i), 0)
		}
		mustWrite(t, s, batch)
		count := 0
		for i, sh := range s.Shards() {
			for _, text := range texts(t, s.Log(sh.ID), 0) {
				count++
				var of int
				if _, err := fmt.Sscanf(strings.TrimPrefix(strings.TrimPrefix(text, "start"), "end"), "%d", &of); err == nil && of != i {
					t.Errorf("%d shards: %s is in shard %d", n, text, i)
				}
				if strings.HasPrefix(text, "key") && !sh.Range.Contains(record.Hash([]byte(text))) {
					t.Errorf("%d shards: %s is in shard %d", n, text, i)
				}
			}
		}
		if records, bytes := s.Bounds(); count != 500+2*n || records != int64(count) || bytes == 0 {
			t.Errorf("%d shards: %d records read, the stream says %d in %d bytes", n, count, records, bytes)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func streamKeepsItsIdentity(t *testing.T, b *Backend) {
	s := b.stream(t, stream.Spec{Shards: 3})
	mustWrite(t, s, keyed(0, 0, 10))
	b.reopen()
	again := b.stream(t, stream.Spec{})
	if s.Incarnation() != again.Incarnation() || len(again.Shards()) != 3 || len(all(t, again)) != 10 {
		t.Errorf("incarnation %s became %s, %d shards", s.Incarnation(), again.Incarnation(), len(again.Shards()))
	}
	var count *stream.ShardCountError
	_, err := stream.Open(context.Background(), b, stream.Spec{Name: "orders", Shards: 4})
	if !errors.As(err, &count) || count.Have != 3 || count.Ask != 4 {
		t.Errorf("open with another number of shards: %v", err)
	}
	if _, err := stream.Open(context.Background(), b, stream.Spec{Name: "../x"}); err == nil {
		t.Error("a stream named ../x was opened")
	}
}

func producerResumes(t *testing.T, b *Backend) {
	s := b.stream(t, stream.Spec{Shards: 4})
	if _, ok := s.Position(6); ok {
		t.Error("a new producer has a position")
	}
	mustWrite(t, s, keyed(6, 0, 100))
	if pos, ok := s.Position(6); !ok || pos != 100 {
		t.Errorf("position %d %v after 100 records over all shards", pos, ok)
	}
	mustWrite(t, s, keyed(6, 100, 1)) // one shard
	if pos, _ := s.Position(6); pos != 100 {
		t.Errorf("position %d, three shards stand at 100", pos)
	}
	b.reopen()
	s = b.stream(t, stream.Spec{})
	pos, _ := s.Position(6)
	mustWrite(t, s, keyed(6, pos-50, 100))
	if got := all(t, s); len(got) != 150 || len(slices.Compact(got)) != 150 {
		t.Errorf("%d records after a repeat, want 150", len(got))
	}
	if err := s.Flush(context.Background(), record.Producer{ID: 6}, 1000); err != nil {
		t.Fatal(err)
	}
	if pos, _ := s.Position(6); pos != 1000 {
		t.Errorf("position %d after Flush to 1000", pos)
	}
}

func producerIsMarkedInIdleShards(t *testing.T, b *Backend) {
	s := b.stream(t, stream.Spec{Shards: 3})
	var pos int64
	for i := range 100 {
		one := &record.Batch{Producer: record.Producer{ID: 6}, End: int64(i + 1)}
		one.Add([]byte("the same key"), []byte("x"), one.End)
		mustWrite(t, s, one)
		if p, ok := s.Position(6); ok {
			pos = p
		}
	}
	if pos < 50 || pos > 100 {
		t.Errorf("after 100 batches into one shard, all shards hold position %d", pos)
	}
	if records, _ := s.Bounds(); records != 100 {
		t.Errorf("%d records", records)
	}
}

func fullStreamMakesWritesWait(t *testing.T, b *Backend) {
	s := b.stream(t, stream.Spec{Shards: 2, MaxDisk: 10_000})
	for _, sh := range s.Shards() {
		s.Log(sh.ID).SetHold(0)
	}
	batch := &record.Batch{}
	for i := range 20 {
		batch.Add(fmt.Append(nil, i), make([]byte, 1000), 0)
	}
	mustWrite(t, s, batch)
	wantError(t, "TryWrite to a full stream", s.TryWrite(context.Background(), batch), stream.ErrFull)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := s.Write(ctx, batch)
	wantError(t, "Write to a full stream", err, stream.ErrFull)
	wantError(t, "Write to a full stream", err, context.DeadlineExceeded)

	written := make(chan error, 1)
	go func() { written <- s.Write(context.Background(), batch) }()
	for _, sh := range s.Shards() {
		s.Log(sh.ID).SetHold(s.Log(sh.ID).Bounds().Next)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	if got := len(all(t, s)); got != 40 {
		t.Errorf("%d records, want 40", got)
	}
}

func positionsMustRise(t *testing.T, b *Backend) {
	s := b.stream(t, stream.Spec{Shards: 2})
	falling := keyed(6, 0, 3)
	falling.Add([]byte("k"), nil, 2)
	short := keyed(6, 0, 3)
	short.End = 2
	for _, batch := range []*record.Batch{falling, short} {
		if err := s.Write(context.Background(), batch); err == nil {
			t.Errorf("a batch whose positions end at %d, with End %d, was stored", batch.Position(batch.Len()-1), batch.End)
		}
	}
	if err := s.Flush(context.Background(), record.Producer{}, 5); err == nil {
		t.Error("a position without a producer was flushed")
	}
	if got := all(t, s); len(got) > 0 {
		t.Errorf("stored %v", got)
	}
}

func streamTellsOfAnyShard(t *testing.T, b *Backend) {
	s := b.stream(t, stream.Spec{Shards: 3})
	for i := range 50 {
		more := s.Updated()
		mustWrite(t, s, keyed(0, int64(i), 1))
		<-more
	}
	more := s.Updated()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-more
	<-s.Updated()
}

func deletedStreamBeginsAnew(t *testing.T, b *Backend) {
	ctx := context.Background()
	s := b.stream(t, stream.Spec{Shards: 2})
	mustWrite(t, s, keyed(0, 0, 10))
	if err := stream.Delete(ctx, b, "orders"); err != nil {
		t.Fatal(err)
	}
	wantError(t, "delete again", stream.Delete(ctx, b, "orders"), stream.ErrNotFound)
	again := b.stream(t, stream.Spec{Shards: 3})
	if again.Incarnation() == s.Incarnation() || len(all(t, again)) != 0 {
		t.Errorf("incarnation %s after %s, records %v", again.Incarnation(), s.Incarnation(), all(t, again))
	}
}
