package control_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// counted puts the numbers from up to to under each of some keys.
func (r *rig) counted(from, to int) {
	r.t.Helper()
	for i := from; i < to; i++ {
		for _, key := range []string{"ann", "bob", "cleo", "dan", "eve"} {
			r.put(key, fmt.Sprint(i))
		}
	}
}

// inOrder demands that each key has the numbers below n in order.
func (r *rig) inOrder(records []control.Stored, n int) {
	r.t.Helper()
	next := map[string]int{}
	for _, x := range records {
		if string(x.Data) != fmt.Sprint(next[x.Key]) {
			r.t.Fatalf("key %s has %s, want %d", x.Key, x.Data, next[x.Key])
		}
		next[x.Key]++
	}
	for key, have := range next {
		if have != n {
			r.t.Errorf("key %s has %d records, want %d", key, have, n)
		}
	}
	if len(next) != 5 {
		r.t.Errorf("%d keys", len(next))
	}
}

func childrenAreReadAfterTheirParents(t *testing.T, r *rig) {
	r.create(1)
	r.counted(0, 10)
	r.must(r.Split(t.Context(), "clicks", 0, nil), "split")
	r.counted(10, 20)
	s := r.describe()
	if len(s.Shards) != 3 || s.Shards[0].State != stream.ShardClosed || s.Open() != 2 {
		t.Fatalf("after a split: %+v", s.Shards)
	}
	for _, child := range s.Shards[1:] {
		if !slices.Equal(child.Parents, []record.ShardID{0}) {
			t.Errorf("%s has the parents %v", child.ID, child.Parents)
		}
	}
	if half := (record.HashKey{Hi: 1 << 63}); s.Shards[2].Range.Start != half {
		t.Errorf("the upper child begins at %s, not in the middle", s.Shards[2].Range.Start)
	}
	for _, limit := range []int{0, 3} {
		r.inOrder(r.all(control.ReadRequest{Limit: limit}), 20)
	}
	at := record.HashKey{Hi: 1 << 62}
	r.must(r.Split(t.Context(), "clicks", 1, &at), "split at a key")
	if s := r.describe(); s.Shards[4].Range.Start != at {
		t.Errorf("split at %s: %+v", at, s.Shards)
	}
	r.counted(20, 25)
	r.inOrder(r.all(control.ReadRequest{}), 25)
}

// One read of a shard does not return all that a large parent has.
func largeParentIsReadToItsEnd(t *testing.T, r *rig) {
	r.create(1)
	body := strings.Repeat("x", 600<<10)
	put := func(from, to int) {
		for i := from; i < to; i++ {
			r.put("ann", fmt.Sprintf("%d%s", i, body))
		}
	}
	put(0, 4)
	r.must(r.Split(t.Context(), "clicks", 0, nil), "split")
	put(4, 6)
	for i, x := range r.all(control.ReadRequest{}) {
		if x.Data[0] != byte('0'+i) {
			t.Errorf("record %d is number %c", i, x.Data[0])
		}
	}
}

// A shard without records is read to its end at once, but not before its parents are.
func emptyShardIsNoShortCut(t *testing.T, r *rig) {
	r.create(1)
	body := strings.Repeat("x", 600<<10)
	for i := range 4 {
		r.put("ann", fmt.Sprintf("%d%s", i, body))
	}
	for id := range record.ShardID(3) {
		r.must(r.Split(t.Context(), "clicks", id, nil), "split")
	}
	r.must(r.Reshard(t.Context(), "clicks", 1), "reshard")
	for i := 4; i < 6; i++ {
		r.put("ann", fmt.Sprint(i))
	}
	all := r.all(control.ReadRequest{})
	for i, x := range all {
		if x.Data[0] != byte('0'+i) {
			t.Errorf("record %d is number %c", i, x.Data[0])
		}
	}
	if len(all) != 6 {
		t.Errorf("%d records, want 6", len(all))
	}
}

func mergedShardIsReadAfterBoth(t *testing.T, r *rig) {
	r.create(2)
	r.counted(0, 10)
	r.must(r.Merge(t.Context(), "clicks", 0, 1), "merge")
	r.counted(10, 20)
	s := r.describe()
	if len(s.Shards) != 3 || s.Open() != 1 || !slices.Equal(s.Shards[2].Parents, []record.ShardID{0, 1}) {
		t.Fatalf("after a merge: %+v", s.Shards)
	}
	r.inOrder(r.all(control.ReadRequest{Limit: 4}), 20)
	if err := r.Merge(t.Context(), "clicks", 0, 1); !errors.Is(err, stream.ErrInvalid) {
		t.Errorf("merged closed shards: %v", err)
	}
}

func cursorGoesOnAcrossASplit(t *testing.T, r *rig) {
	r.create(1)
	r.counted(0, 4)
	page, err := r.Read(t.Context(), control.ReadRequest{Stream: "clicks", Limit: 7})
	r.must(err, "read")
	r.must(r.Split(t.Context(), "clicks", 0, nil), "split")
	r.counted(4, 8)
	rest := r.all(control.ReadRequest{Cursor: page.Cursor})
	r.inOrder(append(page.Records, rest...), 8)

	// From the latest on, the children of a later split are read from their beginnings.
	page, err = r.Read(t.Context(), control.ReadRequest{Stream: "clicks", From: control.From{Latest: true}})
	r.must(err, "read")
	r.must(r.Split(t.Context(), "clicks", 1, nil), "split")
	r.counted(8, 9)
	if got := r.all(control.ReadRequest{Cursor: page.Cursor}); len(got) != 5 {
		t.Errorf("after the split there are %v", texts(got))
	}
}

func closedShardEnds(t *testing.T, r *rig) {
	r.create(1)
	r.put("ann", "a")
	zero := record.ShardID(0)
	request := control.ReadRequest{Stream: "clicks", Shard: &zero}
	page, err := r.Read(t.Context(), request)
	r.must(err, "read")
	if page.Ended {
		t.Error("an open shard has ended")
	}
	r.must(r.Split(t.Context(), "clicks", 0, nil), "split")
	r.put("ann", "b")
	request.Cursor, request.WaitMillis = page.Cursor, 20_000
	page, err = r.Read(t.Context(), request)
	r.must(err, "read")
	if !page.Ended || len(page.Records) != 0 {
		t.Errorf("a closed shard that was read: %+v", page)
	}
}

func reshardKeepsTheLineage(t *testing.T, r *rig) {
	r.create(2)
	r.counted(0, 5)
	for i, n := range []int{5, 1, 3} {
		r.must(r.Reshard(t.Context(), "clicks", n), "reshard")
		if s := r.describe(); s.Open() != n {
			t.Errorf("%d shards open, want %d", s.Open(), n)
		}
		r.counted(5+5*i, 10+5*i)
	}
	for _, sh := range r.describe().Shards[2:] {
		if len(sh.Parents) == 0 {
			t.Errorf("%s has no parents", sh.ID)
		}
	}
	r.inOrder(r.all(control.ReadRequest{Limit: 9}), 20)
}

func retentionHidesOlderRecords(t *testing.T, r *rig) {
	r.create(1)
	r.put("ann", "old")
	page, err := r.Read(t.Context(), control.ReadRequest{Stream: "clicks", From: control.From{Last: 1}, Limit: 1})
	r.must(err, "read")
	r.put("ann", "older than an hour soon")
	r.advance(2 * time.Hour)
	r.put("ann", "new")
	r.must(r.SetRetention(t.Context(), "clicks", time.Hour), "set the retention")
	if got := texts(r.all(control.ReadRequest{})); !slices.Equal(got, []string{"new"}) {
		t.Errorf("within the last hour: %v", got)
	}
	if s := r.describe(); s.RetentionSeconds != 3600 || s.Records() != 1 {
		t.Errorf("described as %+v", s)
	}
	page, err = r.Read(t.Context(), control.ReadRequest{Stream: "clicks", Cursor: page.Cursor})
	r.must(err, "read")
	if page.Expired != 1 || !slices.Equal(texts(page.Records), []string{"new"}) {
		t.Errorf("a cursor at an expired record: %d expired, %v", page.Expired, texts(page.Records))
	}
	r.must(r.SetRetention(t.Context(), "clicks", 0), "keep for ever")
	if s := r.describe(); s.RetentionSeconds != 0 {
		t.Errorf("retention of %d seconds, want for ever", s.RetentionSeconds)
	}
}

func deletedStreamsCursorIsRefused(t *testing.T, r *rig) {
	r.create(1)
	r.put("ann", "a")
	page, err := r.Read(t.Context(), control.ReadRequest{Stream: "clicks"})
	r.must(err, "read")
	r.must(r.Delete(t.Context(), "clicks"), "delete")
	if _, err := r.Describe(t.Context(), "clicks"); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("a deleted stream: %v", err)
	}
	r.create(1)
	if _, err := r.Read(t.Context(), control.ReadRequest{Stream: "clicks", Cursor: page.Cursor}); !errors.Is(err, stream.ErrInvalid) {
		t.Errorf("the cursor of a deleted stream: %v", err)
	}
	if n := r.describe().Records(); n != 0 {
		t.Errorf("the new stream has %d records", n)
	}
}

func sharedStreamIsNotDeleted(t *testing.T, r *rig) {
	if err := r.Delete(t.Context(), "shared"); !errors.Is(err, control.ErrInUse) {
		t.Errorf("deleted a stream in use: %v", err)
	}
	r.must(r.Split(t.Context(), "shared", 0, nil), "split")
	s, err := r.Describe(t.Context(), "shared")
	r.must(err, "describe")
	if s.Open() != 3 {
		t.Errorf("after a split: %+v", s.Shards)
	}
}

func putWhileShardsSplit(t *testing.T, r *rig) {
	r.create(1)
	where := map[string]string{}
	splitting, done := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(splitting)
		for id := range record.ShardID(6) {
			if err := r.Split(t.Context(), "clicks", id, nil); err != nil {
				done <- err
				return
			}
		}
		done <- r.Reshard(t.Context(), "clicks", 2)
	}()
	for i, more := 0, true; more; i++ {
		select {
		case <-splitting:
			more = false
		default:
		}
		var records []control.Record
		for j := range 20 {
			records = append(records, control.Record{Key: fmt.Sprint(j), Data: fmt.Appendf(nil, "%d-%d", i, j)})
		}
		placed, err := r.Put(t.Context(), "clicks", records)
		r.must(err, "put")
		for j, at := range placed {
			where[at.SequenceNumber] = string(records[j].Data)
		}
	}
	r.must(<-done, "split")
	all := r.all(control.ReadRequest{})
	for _, x := range all {
		if where[x.SequenceNumber] != string(x.Data) {
			t.Errorf("%s has number %s, which was given to %q", x.Data, x.SequenceNumber, where[x.SequenceNumber])
		}
	}
	if len(all) != len(where) {
		t.Errorf("%d records are stored, %d were put", len(all), len(where))
	}
}
