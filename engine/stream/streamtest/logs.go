package streamtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

func readReturnsWhatWasAppended(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	first := mustAppend(t, log, batchOf("a", "b"))
	second := mustAppend(t, log, batchOf("c"))
	if first != (stream.Appended{First: 0, Count: 2}) || second != (stream.Appended{First: 2, Count: 1}) {
		t.Errorf("appended %+v and %+v", first, second)
	}
	wantTexts(t, log, 0, "a", "b", "c")
	wantTexts(t, log, 1, "b", "c")
	wantTexts(t, log, 2, "c")
	if got := log.Bounds(); got.Oldest != 0 || got.Next != 3 || got.Bytes == 0 || got.Closed {
		t.Errorf("bounds %+v", got)
	}
	again := b.shard(t, stream.ShardOptions{})
	if again != log {
		t.Error("the same shard opened twice is not the same log")
	}
}

func emptyLogHasNothingToRead(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	wantTexts(t, log, 0)
	if done := mustAppend(t, log, &record.Batch{}); done.Count != 0 || log.Bounds().Next != 0 {
		t.Errorf("an empty batch appended %+v", done)
	}
	if _, err := log.Read(context.Background(), 1, &stream.Buffer{}); err == nil {
		t.Error("a read behind the end of the log says nothing")
	}
}

func appendedRecordsSurviveReopening(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{Incarnation: 9})
	var want []string
	for i := range 200 {
		want = append(want, fmt.Sprint(i, strings.Repeat("x", i*10)))
		mustAppend(t, log, batchOf(want[i]))
	}
	mustAppend(t, log, positioned(record.Producer{ID: 5, Epoch: 1}, 1, 1))
	want = append(want, "1")
	for range 2 {
		b.reopen()
		log = b.shard(t, stream.ShardOptions{Incarnation: 9})
		wantTexts(t, log, 0, want...)
		wantTexts(t, log, 77, want[77:]...)
		if p, ok := log.Position(5); !ok || p != (stream.Position{Epoch: 1, Value: 1}) {
			t.Errorf("position %+v %v", p, ok)
		}
		mustAppend(t, log, batchOf("more"))
		want = append(want, "more")
	}
}

func enqueueKeepsTheOrderOfItsCalls(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	var waits []func() (stream.Appended, error)
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprint(i))
		wait, err := log.Enqueue(context.Background(), batchOf(want[i]))
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, wait)
	}
	for i, wait := range waits {
		if done, err := wait(); err != nil || done.First != record.Ordinal(i) {
			t.Errorf("batch %d: %+v, %v", i, done, err)
		}
	}
	wantTexts(t, log, 0, want...)
}

func largeBatchesAreReadBackWhole(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	var batch record.Batch
	batch.Producer = record.Producer{ID: 1}
	big := strings.Repeat("0123456789abcdef", 10<<16)
	var want []string
	for i, size := range []int{1, len(big), 70_000, len(big), 3, len(big), 0, 40_000} {
		want = append(want, big[:size])
		batch.Add([]byte("key"), []byte(big[:size]), int64(i+1))
	}
	batch.End = 9
	if done := mustAppend(t, log, &batch); done.Count != len(want) {
		t.Errorf("appended %+v", done)
	}
	if done := mustAppend(t, log, &batch); done.Skipped != len(want) || done.Count != 0 {
		t.Errorf("appended again: %+v", done)
	}
	got := texts(t, log, 0)
	for i := range want {
		if len(got) != len(want) || got[i] != want[i] {
			t.Fatalf("record %d of %d differs", i, len(got))
		}
	}
	var tooLarge record.Batch
	tooLarge.Add(nil, make([]byte, 17<<20), 1)
	if _, err := log.Append(context.Background(), &tooLarge); err == nil {
		t.Error("a record of 17 MiB was stored")
	}
}

func repeatedBatchIsStoredOnce(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	p := record.Producer{ID: 8}
	if _, ok := log.Position(8); ok {
		t.Error("an unknown producer has a position")
	}
	mustAppend(t, log, positioned(p, 1, 3))
	for range 2 {
		if done := mustAppend(t, log, positioned(p, 1, 3)); done.Count != 0 || done.Skipped != 3 {
			t.Errorf("repeated: %+v", done)
		}
		b.reopen()
		log = b.shard(t, stream.ShardOptions{})
	}
	wantTexts(t, log, 0, "1", "2", "3")
}

func overlappingBatchStoresItsNewPart(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	p := record.Producer{ID: 8}
	mustAppend(t, log, positioned(p, 1, 3))
	if done := mustAppend(t, log, positioned(p, 2, 5)); done != (stream.Appended{First: 3, Count: 2, Skipped: 2}) {
		t.Errorf("overlapping: %+v", done)
	}
	// Positions that do not rise are a mistake of the producer; even so nothing is stored twice.
	odd := &record.Batch{Producer: p, End: 9}
	for _, pos := range []int64{7, 4, 9, 5} {
		odd.Add(nil, fmt.Append(nil, pos), pos)
	}
	if done := mustAppend(t, log, odd); done.Count != 2 || done.Skipped != 2 {
		t.Errorf("out of order: %+v", done)
	}
	other := mustAppend(t, log, positioned(record.Producer{ID: 9}, 1, 1))
	if other.Count != 1 {
		t.Errorf("another producer: %+v", other)
	}
	wantTexts(t, log, 0, "1", "2", "3", "4", "5", "7", "9", "1")
}

func emptyBatchMovesThePosition(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	p := record.Producer{ID: 8}
	mustAppend(t, log, &record.Batch{Producer: p, End: 100})
	mustAppend(t, log, &record.Batch{Producer: p, End: 50})
	b.reopen()
	log = b.shard(t, stream.ShardOptions{})
	if got, ok := log.Position(8); !ok || got.Value != 100 {
		t.Errorf("position %+v %v", got, ok)
	}
	if done := mustAppend(t, log, positioned(p, 99, 101)); done != (stream.Appended{First: 0, Count: 1, Skipped: 2}) {
		t.Errorf("appended %+v", done)
	}
	wantTexts(t, log, 0, "101")
}

func olderEpochIsFenced(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	mustAppend(t, log, positioned(record.Producer{ID: 8, Epoch: 1}, 1, 2))
	// A new epoch counts even if it brings nothing new.
	mustAppend(t, log, positioned(record.Producer{ID: 8, Epoch: 2}, 1, 2))
	for range 2 {
		_, err := log.Append(context.Background(), positioned(record.Producer{ID: 8, Epoch: 1}, 3, 3))
		wantError(t, "append of the old epoch", err, stream.ErrFenced)
		b.reopen()
		log = b.shard(t, stream.ShardOptions{})
	}
	mustAppend(t, log, positioned(record.Producer{ID: 8, Epoch: 2}, 3, 3))
	wantTexts(t, log, 0, "1", "2", "3")
}

func updatedIsClosedByAnAppend(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	for range 3 {
		more := log.Updated()
		select {
		case <-more:
			t.Fatal("closed before an append")
		default:
		}
		mustAppend(t, log, batchOf("a"))
		<-more
	}
}

func updatedIsClosedByClose(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	more := log.Updated()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	<-more
	<-log.Updated()
}

func batchBehindOneThatFailed(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{MaxDisk: 10_000})
	p := record.Producer{ID: 7, Epoch: 1}
	mustAppend(t, log, positioned(p, 1, 3))
	log.SetHold(0)
	mustAppend(t, log, batchOf(strings.Repeat(".", 20_000)))
	append := func(b *record.Batch) error {
		_, err := log.Append(context.Background(), b)
		return err
	}
	wantError(t, "append to a full log", append(positioned(p, 2, 5)), stream.ErrFull)
	log.SetHold(stream.NoHold)

	wantError(t, "append behind a batch that failed", append(positioned(p, 6, 7)), stream.ErrGap)
	wantError(t, "append of its second half", append(positioned(p, 5, 7)), stream.ErrGap)
	wantError(t, "a mark behind it", append(&record.Batch{Producer: p, End: 5}), stream.ErrGap)
	if at, _ := log.Position(p.ID); at.Value != 3 {
		t.Errorf("the position is %d while 4 is not stored", at.Value)
	}
	mustAppend(t, log, positioned(record.Producer{ID: 8}, 6, 7)) // others go on
	mustAppend(t, log, positioned(p, 4, 4))
	mustAppend(t, log, positioned(p, 5, 6))
	wantTexts(t, log, 4, "6", "7", "4", "5", "6")
}
