// Package streamtest holds what every backend of a stream must pass: a conformance suite, and a
// model test with random histories and power cuts.
//
// The invariant to remember: a test here speaks of the contract only; what is true of one
// backend alone is tested beside it.
package streamtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// Backend is a backend under test.
type Backend struct {
	stream.Backend
	// Reopen closes the backend in good order and opens the same data again.
	Reopen func() stream.Backend
	// Advance moves the backend's clock, and Now reads it.
	Advance func(time.Duration)
	Now     func() time.Time
}

// Run runs the suite. open gives a new, empty backend each time; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) *Backend) {
	tests := []struct {
		name string
		run  func(t *testing.T, b *Backend)
	}{
		{"ReadReturnsWhatWasAppended", readReturnsWhatWasAppended},
		{"EmptyLogHasNothingToRead", emptyLogHasNothingToRead},
		{"AppendedRecordsSurviveReopening", appendedRecordsSurviveReopening},
		{"EnqueueKeepsTheOrderOfItsCalls", enqueueKeepsTheOrderOfItsCalls},
		{"ConcurrentAppendsGetDenseOrdinals", concurrentAppendsGetDenseOrdinals},
		{"LargeBatchesAreReadBackWhole", largeBatchesAreReadBackWhole},
		{"RepeatedBatchIsStoredOnce", repeatedBatchIsStoredOnce},
		{"OverlappingBatchStoresItsNewPart", overlappingBatchStoresItsNewPart},
		{"EmptyBatchMovesThePosition", emptyBatchMovesThePosition},
		{"OlderEpochIsFenced", olderEpochIsFenced},
		{"BatchBehindOneThatFailedIsRefused", batchBehindOneThatFailed},
		{"UpdatedIsClosedByAnAppend", updatedIsClosedByAnAppend},
		{"UpdatedIsClosedByClose", updatedIsClosedByClose},
		{"SeekFindsTheFirstRecordAtATime", seekFindsTheFirstRecordAtATime},
		{"ReadAfterTrimReportsTrimmed", readAfterTrimReportsTrimmed},
		{"TrimStopsAtTheHold", trimStopsAtTheHold},
		{"RetentionIsExact", retentionIsExact},
		{"HeldRecordsOutliveRetention", heldRecordsOutliveRetention},
		{"FullOfHeldRecordsRefusesUntilTheHoldMoves", fullOfHeldRecordsRefuses},
		{"OtherIncarnationIsRefused", otherIncarnationIsRefused},
		{"DeletedStreamIsEmpty", deletedStreamIsEmpty},
		{"ClosedBackendRefuses", closedBackendRefuses},
		{"DocumentsChangeByCompareAndSwap", documentsChangeByCompareAndSwap},
		{"DeletedDocumentsRevisionIsNotUsedAgain", deletedDocumentsRevision},
		{"DocumentKeysAreListedByPrefix", documentKeysAreListedByPrefix},
		{"StreamRoutesByHashKey", streamRoutesByHashKey},
		{"StreamKeepsItsIdentity", streamKeepsItsIdentity},
		{"ProducerResumesBehindWhatAllShardsHave", producerResumes},
		{"ProducerIsMarkedInIdleShards", producerIsMarkedInIdleShards},
		{"FullStreamMakesWritesWait", fullStreamMakesWritesWait},
		{"PositionsMustRise", positionsMustRise},
		{"StreamTellsOfAnyShard", streamTellsOfAnyShard},
		{"DeletedStreamBeginsAnew", deletedStreamBeginsAnew},
		{"SplitFollowsTheRule", splitFollowsTheRule},
		{"SplitKeepsRecordsAndTimes", splitKeepsRecordsAndTimes},
		{"ReshardKeepsLineage", reshardKeepsLineage},
		{"MergedShardRemembersBothParents", mergedShardRemembersBothParents},
		{"UnknownProducerOfOneParentStaysUnknown", unknownProducerOfOneParent},
		{"WritesGoOnDuringAReshard", writesGoOnDuringAReshard},
		{"UpdatedTellsOfNewShards", updatedTellsOfNewShards},
		{"IteratorsAreExact", iteratorsAreExact},
		{"RetentionIsRaisedAndLowered", retentionIsRaisedAndLowered},
		{"ClosedShardsExpire", closedShardsExpire},
		{"RecordLimitsAreTyped", recordLimitsAreTyped},
		{"StreamIsCreatedAttachedAndTagged", streamIsCreatedAttachedAndTagged},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := open(t)
			test.run(t, b)
			if err := b.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// reopen exchanges the backend for a new one on the same data.
func (b *Backend) reopen() { b.Backend = b.Reopen() }

func (b *Backend) shard(t *testing.T, o stream.ShardOptions) stream.Log {
	t.Helper()
	log, err := b.Shard(context.Background(), "orders", 3, o)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// batchOf is a batch with the data given, of no producer.
func batchOf(data ...string) *record.Batch {
	b := &record.Batch{}
	for _, d := range data {
		b.Add([]byte("key"), []byte(d), 0)
	}
	return b
}

// positioned is a batch of a producer with records at the positions from up to to.
func positioned(producer record.Producer, from, to int64) *record.Batch {
	b := &record.Batch{Producer: producer, End: to}
	for pos := from; pos <= to; pos++ {
		b.Add([]byte("key"), fmt.Append(nil, pos), pos)
	}
	return b
}

func mustAppend(t *testing.T, log stream.Log, b *record.Batch) stream.Appended {
	t.Helper()
	done, err := log.Append(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	done.Arrival = 0 // what frames say of it is tested
	return done
}

// texts reads the data of all records from an ordinal on.
func texts(t *testing.T, log stream.Log, from record.Ordinal) []string {
	t.Helper()
	var all []string
	buf := stream.Buffer{}
	for {
		frames, err := log.Read(context.Background(), from, &buf)
		if err != nil {
			t.Fatal(err)
		}
		if len(frames) == 0 {
			return all
		}
		for _, f := range frames {
			at := f.First
			for body := f.Body; len(body) > 0; at++ {
				r, rest, err := record.Next(body)
				if err != nil {
					t.Fatal(err)
				}
				if at >= from {
					all = append(all, string(r.Data))
				}
				body = rest
			}
			from = f.Next()
		}
	}
}

func wantTexts(t *testing.T, log stream.Log, from record.Ordinal, want ...string) {
	t.Helper()
	if got := texts(t, log, from); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("records from %d on: %.200v, want %.200v", from, got, want)
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func closedBackendRefuses(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	mustAppend(t, log, batchOf("a"))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := log.Append(context.Background(), batchOf("b"))
	wantError(t, "append", err, stream.ErrClosed)
	_, err = log.Read(context.Background(), 0, &stream.Buffer{})
	wantError(t, "read", err, stream.ErrClosed)
	_, err = b.Shard(context.Background(), "orders", 3, stream.ShardOptions{})
	wantError(t, "shard", err, stream.ErrClosed)
}

func concurrentAppendsGetDenseOrdinals(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	const writers, each = 16, 50
	var mu sync.Mutex
	at := map[record.Ordinal]string{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				text := fmt.Sprintf("%d/%d", w, i)
				done, err := log.Append(context.Background(), batchOf(text, text+"b"))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				at[done.First], at[done.First+1] = text, text+"b"
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i, text := range texts(t, log, 0) {
		if at[record.Ordinal(i)] != text {
			t.Errorf("record %d is %q, its writer was told so of %q", i, text, at[record.Ordinal(i)])
		}
	}
	if len(at) != 2*writers*each || log.Bounds().Next != record.Ordinal(len(at)) {
		t.Errorf("%d ordinals, the log ends at %d", len(at), log.Bounds().Next)
	}
}
