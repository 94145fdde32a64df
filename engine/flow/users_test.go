package flow_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/record/aggregate/aggregatetest"
)

// highHash is a hash key of the second of two shards; that of lowHash is the first's.
const lowHash, highHash = "0", "340282366920938463463374607431768211455"

// aggregated stores a record of the first shard that is an aggregate.
func (w *world) aggregated(users ...aggregatetest.User) {
	w.t.Helper()
	var b record.Batch
	b.AddExplicit([]byte("a"), record.HashKey{}, aggregatetest.Pack(users...), 0)
	if err := w.in.Write(w.t.Context(), &b); err != nil {
		w.t.Fatal(err)
	}
}

// TestEachUserRecordArrivesOnceWhereverACrashHits has chunks of five rows and aggregates of eight, of which two are bad and
// one another shard's.
func TestEachUserRecordArrivesOnceWhereverACrashHits(t *testing.T) {
	const aggregates, each = 4, 5
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			w := newWorld(t)
			for i := range aggregates {
				var users []aggregatetest.User
				for j := range each {
					users = append(users, aggregatetest.User{Key: "k", Hash: lowHash, Data: row(i*each + j)})
				}
				users = slices.Insert(users, 2, aggregatetest.User{Key: "k", Hash: highHash, Data: row(1000 + i)}, aggregatetest.User{Key: "k", Hash: lowHash, Data: fmt.Sprintf("broken %d", i)},
					aggregatetest.User{Key: "k", Hash: lowHash, Data: fmt.Sprintf("broken, too, %d", i)})
				w.aggregated(users...)
			}
			w.write(row(aggregates * each))
			close(w.ended)
			run := func() (*flow.Task, error) {
				c := w.config(&sink{w: w})
				c.Feeds[0].Input.UserRecords = true
				task := flow.NewTask(c)
				return task, task.Run(t.Context())
			}
			w.breaks = breaks{at: at, after: after}
			_, err := run()
			crashed := w.breaks.seen >= at
			if crashed != errors.Is(err, errCrash) {
				t.Fatalf("crash %d: run returned %v", at, err)
			}
			w.breaks = breaks{}
			again, err := run()
			if err != nil {
				t.Fatalf("crash %d (after its effect: %t): the next run: %v", at, after, err)
			}
			if got := w.delivered(); !slices.Equal(got, wantRows(aggregates*each+1)) {
				t.Fatalf("crash %d (after its effect: %t): delivered %d rows:\n%q", at, after, len(got), got)
			}
			letters := w.deadLetters()
			slices.SortFunc(letters, func(a, b flow.DeadLetter) int {
				return cmp.Or(cmp.Compare(a.Ordinal, b.Ordinal), cmp.Compare(a.Sub, b.Sub))
			})
			for i, l := range letters {
				if want := fmt.Sprintf("broken, too, %d", i/2); i%2 == 1 && l.Data != want || l.Sub != int64(3+i%2) || l.Shard != record.ShardID(0).String() {
					t.Errorf("dead letter %d: %+v", i, l)
				}
			}
			if len(letters) != 2*aggregates {
				t.Fatalf("crash %d (after its effect: %t): %d dead letters, want %d: %+v", at, after, len(letters), 2*aggregates, letters)
			}
			first := again.Status().Steps[0].Counts
			if want := (checkpoint.Counts{In: aggregates*(each+3) + 1, Passed: aggregates*each + 1, Bad: 2 * aggregates, Filtered: aggregates}); first != want {
				t.Fatalf("crash %d: ledger %+v, want %+v", at, first, want)
			}
			if !crashed {
				break
			}
		}
	}
}

// TestAggregatesAreRecordsUnlessUserRecordsAreAsked also has one that is damaged.
func TestAggregatesAreRecordsUnlessUserRecordsAreAsked(t *testing.T) {
	for _, users := range []bool{false, true} {
		w := newWorld(t)
		whole := aggregatetest.Pack(aggregatetest.User{Key: "k", Hash: lowHash, Data: row(0)})
		damaged := slices.Clone(whole)
		damaged[len(damaged)-1]++
		w.write(string(whole), string(damaged))
		close(w.ended)
		c := w.config(&sink{w: w})
		c.Feeds[0].Input.UserRecords = users
		// Keys that both shards have, so that it does not matter where the record is.
		c.Feeds[0].Input.Shards = func() []flow.Shard {
			shards := w.shards()
			for i := range shards {
				shards[i].Keys = record.AllKeys()
			}
			return shards
		}
		if err := flow.NewTask(c).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		var bad [][]byte
		for _, l := range w.deadLetters() {
			bad = append(bad, l.Base64)
		}
		want, rows := [][]byte{whole, damaged}, 0
		if users {
			want, rows = [][]byte{damaged}, 1
		}
		slices.SortFunc(bad, slices.Compare)
		slices.SortFunc(want, slices.Compare)
		if !slices.EqualFunc(bad, want, slices.Equal) || len(w.delivered()) != rows {
			t.Errorf("user records %v: %d rows, bad %q", users, len(w.delivered()), bad)
		}
	}
}

// TestRejectsOfLaterStepsAreTheUserRecords rejects a row of an aggregate behind the decoder.
func TestRejectsOfLaterStepsAreTheUserRecords(t *testing.T) {
	w := newWorld(t)
	w.aggregated(aggregatetest.User{Key: "k", Hash: lowHash, Data: row(1)}, aggregatetest.User{Key: "k", Hash: lowHash, Data: `{"at":"2126-01-01T00:00:00Z","n":2}`})
	close(w.ended)
	c := w.config(&sink{w: w})
	c.Feeds[0].Input.UserRecords = true
	if err := flow.NewTask(c).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.deadLetters(); len(got) != 1 || got[0].Code != "far-future" || got[0].Sub != 1 || got[0].Data != `{"at":"2126-01-01T00:00:00Z","n":2}` || len(w.delivered()) != 1 {
		t.Errorf("%+v", got)
	}
}
