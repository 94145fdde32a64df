package streamtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

func mustKey(t *testing.T, text string) record.HashKey {
	t.Helper()
	k, err := record.ParseHashKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// at is the hash key i/n of the way through all of them.
func at(i, n int) record.HashKey { return record.EvenRanges(n)[i].Start }

func mustSplit(t *testing.T, s *stream.Stream, id record.ShardID, key record.HashKey) {
	t.Helper()
	if err := s.Split(context.Background(), id, key); err != nil {
		t.Fatal(err)
	}
}

func mustMerge(t *testing.T, s *stream.Stream, a, b record.ShardID) {
	t.Helper()
	if err := s.Merge(context.Background(), a, b); err != nil {
		t.Fatal(err)
	}
}

// checkLineage demands that a shard map is one that splits and merges made.
func checkLineage(t *testing.T, s *stream.Stream) {
	t.Helper()
	byID := map[record.ShardID]stream.Shard{}
	children := map[record.ShardID]int{}
	var open []record.Range
	for _, sh := range s.Shards() {
		byID[sh.ID] = sh
		if closed := s.Log(sh.ID).Bounds().Closed; closed != (sh.State == stream.ShardClosed) {
			t.Errorf("%s is %s, its log says closed %v", sh.ID, sh.State, closed)
		}
		if sh.State == stream.ShardOpen {
			open = append(open, sh.Range)
		}
		for _, p := range sh.Parents {
			children[p]++
			parent := byID[p]
			if parent.State != stream.ShardClosed || !sh.Created.After(parent.Created) || p >= sh.ID {
				t.Errorf("%s, created %s, is a child of %+v", sh.ID, sh.Created, parent)
			}
			if _, ok := sh.Range.Intersect(parent.Range); !ok {
				t.Errorf("%s with %s shares no key with its parent's %s", sh.ID, sh.Range, parent.Range)
			}
			if first, last := sh.First().String(), parent.Last().String(); first <= last {
				t.Errorf("%s begins at %s, its parent ends at %s", sh.ID, first, last)
			}
		}
	}
	for id, sh := range byID {
		if (children[id] > 0) != (sh.State == stream.ShardClosed) {
			t.Errorf("%s is %s and has %d children", id, sh.State, children[id])
		}
	}
	slices.SortFunc(open, func(a, b record.Range) int { return a.Start.Compare(b.Start) })
	for i, r := range open {
		if i == 0 && r.Start != (record.HashKey{}) || i > 0 && !open[i-1].Precedes(r) || i == len(open)-1 && r.End != record.MaxHashKey {
			t.Errorf("the open shards have %v", open)
		}
	}
}

func splitFollowsTheRule(t *testing.T, b *Backend) {
	ctx := context.Background()
	s := b.stream(t, stream.Spec{Ranges: []record.Range{
		{End: mustKey(t, "9")}, {Start: mustKey(t, "10"), End: mustKey(t, "13")}, {Start: mustKey(t, "14"), End: record.MaxHashKey},
	}})
	for _, c := range []struct {
		shard record.ShardID
		key   string
		want  error
	}{
		{1, "10", stream.ErrInvalid}, {1, "11", stream.ErrInvalid}, {1, "13", stream.ErrInvalid},
		{1, "14", stream.ErrInvalid}, {1, "5", stream.ErrInvalid}, {0, "0", stream.ErrInvalid},
		{0, "1", stream.ErrInvalid}, {2, record.MaxHashKey.String(), stream.ErrInvalid}, {7, "50", stream.ErrNotFound},
	} {
		wantError(t, fmt.Sprintf("split shard %d at %s", c.shard, c.key), s.Split(ctx, c.shard, mustKey(t, c.key)), c.want)
	}
	if len(s.Shards()) != 3 {
		t.Fatalf("shards %v", s.Shards())
	}
	mustSplit(t, s, 1, mustKey(t, "12"))
	wantError(t, "split a closed shard", s.Split(ctx, 1, mustKey(t, "12")), stream.ErrInvalid)
	wantError(t, "merge a closed shard", s.Merge(ctx, 0, 1), stream.ErrInvalid)
	wantError(t, "merge shards that do not adjoin", s.Merge(ctx, 0, 4), stream.ErrInvalid)
	wantError(t, "merge a shard with itself", s.Merge(ctx, 0, 0), stream.ErrInvalid)
	wantError(t, "merge a shard that is not there", s.Merge(ctx, 0, 9), stream.ErrNotFound)
	mustMerge(t, s, 4, 3)
	shards := s.Shards()
	if last := shards[5]; last.Range != shards[1].Range || fmt.Sprint(last.Parents) != fmt.Sprint([]record.ShardID{4, 3}) {
		t.Errorf("merged into %+v", last)
	}
	checkLineage(t, s)
	b.reopen()
	if again := b.stream(t, stream.Spec{}); fmt.Sprint(again.Shards()) != fmt.Sprint(shards) {
		t.Errorf("shards %v after reopening, were %v", again.Shards(), shards)
	}
}

func splitKeepsRecordsAndTimes(t *testing.T, b *Backend) {
	s := b.stream(t, stream.Spec{Shards: 1})
	mustWrite(t, s, keyed(0, 0, 200))
	b.Advance(time.Hour)
	mustWrite(t, s, keyed(0, 200, 200))
	// The clock is set back; the children go on from where their parent was.
	b.Advance(-2 * time.Hour)
	mustSplit(t, s, 0, at(1, 3))
	mustWrite(t, s, keyed(0, 400, 200))
	mustMerge(t, s, 2, 1)
	mustWrite(t, s, keyed(0, 600, 200))
	checkLineage(t, s)
	if got := all(t, s); len(got) != 800 || len(slices.Compact(got)) != 800 {
		t.Errorf("%d records", len(got))
	}
	wantTexts(t, s.Log(0), 398, "key398", "key399")
	var last int64
	for _, id := range []record.ShardID{0, 1, 3} {
		for _, f := range frames(t, s.Log(id)) {
			if f.Arrival < last {
				t.Errorf("%s: a record arrived at %d, one before it at %d", id, f.Arrival, last)
			}
			last = f.Arrival
		}
	}
	_, err := s.Log(0).Append(context.Background(), batchOf("late"))
	wantError(t, "append to a sealed shard", err, stream.ErrSealed)
	b.reopen()
	s = b.stream(t, stream.Spec{})
	_, err = s.Log(0).Append(context.Background(), batchOf("late"))
	wantError(t, "append to a sealed shard after reopening", err, stream.ErrSealed)
	checkLineage(t, s)
}

// frames reads all frames of a log, without their bodies.
func frames(t *testing.T, log stream.Log) []stream.Frame {
	t.Helper()
	_, _, frames, err := readAll(log)
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

func reshardKeepsLineage(t *testing.T, b *Backend) {
	s := b.stream(t, stream.Spec{Shards: 2})
	var pos int64
	for _, n := range []int{3, 4, 8, 5, 1, 40, 40, 7} {
		mustWrite(t, s, keyed(5, pos, 50))
		pos += 50
		if err := s.Flush(context.Background(), record.Producer{ID: 5}, pos); err != nil {
			t.Fatal(err)
		}
		if err := s.Reshard(context.Background(), n); err != nil {
			t.Fatal(err)
		}
		var open []record.Range
		for _, sh := range s.Shards() {
			if sh.State == stream.ShardOpen {
				open = append(open, sh.Range)
			}
		}
		slices.SortFunc(open, func(a, b record.Range) int { return a.Start.Compare(b.Start) })
		if !slices.Equal(open, record.EvenRanges(n)) {
			t.Errorf("resharded to %d: %v", n, open)
		}
		if got, ok := s.Position(5); !ok || got != pos {
			t.Errorf("position %d %v after %d shards, want %d", got, ok, n, pos)
		}
		mustWrite(t, s, keyed(5, pos-30, 30))
	}
	checkLineage(t, s)
	if got := all(t, s); len(got) != int(pos) {
		t.Errorf("%d records, want %d", len(got), pos)
	}
	wantError(t, "reshard to 0", s.Reshard(context.Background(), 0), stream.ErrInvalid)
}

func mergedShardRemembersBothParents(t *testing.T, b *Backend) {
	ctx := context.Background()
	s := b.stream(t, stream.Spec{Shards: 2})
	batch := keyed(6, 0, 100)
	parts := []*record.Batch{{Producer: batch.Producer, End: 100}, {Producer: batch.Producer, End: 40}}
	shards := s.Shards()
	for i := range batch.Len() {
		to := 0
		if shards[1].Range.Contains(batch.Hash(i)) {
			to = 1
		}
		if batch.Position(i) <= parts[to].End {
			parts[to].AddFrom(batch, i)
		}
	}
	// A crash in the middle of a write leaves two shards at different positions.
	for i, part := range parts {
		mustAppend(t, s.Log(record.ShardID(i)), part)
	}
	mustMerge(t, s, 0, 1)
	for range 2 {
		if pos, ok := s.Position(6); !ok || pos != 40 {
			t.Errorf("position %d %v, want 40", pos, ok)
		}
		b.reopen()
		s = b.stream(t, stream.Spec{})
	}
	// One that had nothing of a producer makes the child know nothing as a whole.
	mustSplit(t, s, 2, at(1, 4))
	mustWrite(t, s, keyed(6, 40, 30))
	mustMerge(t, s, 3, 4)
	b.reopen()
	s = b.stream(t, stream.Spec{})
	mustWrite(t, s, keyed(6, 50, 50))
	mustWrite(t, s, keyed(6, 0, 100))
	got := all(t, s)
	if len(got) != 100 || len(slices.Compact(got)) != 100 {
		t.Errorf("%d records, want each of 100 once", len(got))
	}
	old := keyed(6, 100, 5)
	mustAppend(t, s.Log(5), &record.Batch{Producer: record.Producer{ID: 6, Epoch: 3}, End: 100})
	mustSplit(t, s, 5, at(1, 2))
	wantError(t, "write of an old epoch", s.Write(ctx, old), stream.ErrFenced)
}

func unknownProducerOfOneParent(t *testing.T, b *Backend) {
	s := b.stream(t, stream.Spec{Shards: 2})
	mustAppend(t, s.Log(0), &record.Batch{Producer: record.Producer{ID: 6}, End: 100})
	mustMerge(t, s, 1, 0)
	if pos, ok := s.Position(6); ok {
		t.Errorf("position %d, one half never heard of the producer", pos)
	}
	mustWrite(t, s, keyed(6, 0, 100))
	mustMergeless := all(t, s)
	var want int
	for i := range 100 {
		if record.EvenRanges(2)[1].Contains(record.Hash(fmt.Appendf(nil, "key%d", i))) {
			want++
		}
	}
	if len(mustMergeless) != want {
		t.Errorf("%d records, want the %d of the half that had none", len(mustMergeless), want)
	}
	if pos, ok := s.Position(6); !ok || pos != 100 {
		t.Errorf("position %d %v", pos, ok)
	}
}

// writesGoOnDuringAReshard has writers that repeat now and then, while shards are split and merged.
func writesGoOnDuringAReshard(t *testing.T, b *Backend) {
	const writers, batches, each = 6, 60, 5
	s := b.stream(t, stream.Spec{Shards: 2})
	other := b.stream(t, stream.Spec{}) // learns of changes by itself
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			to := s
			if w%2 == 1 {
				to = other
			}
			for i := range batches {
				from := int64(max(i-w%2, 0) * each)
				part := &record.Batch{Producer: record.Producer{ID: uint64(w + 1)}, End: int64(i+1) * each}
				for pos := from + 1; pos <= part.End; pos++ {
					part.Add(fmt.Appendf(nil, "%d/%d", w, pos%7), fmt.Appendf(nil, "%d/%d", w, pos), pos)
				}
				if err := to.Write(context.Background(), part); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for _, n := range []int{5, 1, 3, 2} {
		if err := s.Reshard(context.Background(), n); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	checkLineage(t, s)
	last := map[string]int{}
	count := 0
	for _, sh := range s.Shards() { // ids rise from parents to children
		for _, text := range texts(t, s.Log(sh.ID), 0) {
			var w, pos int
			if _, err := fmt.Sscanf(text, "%d/%d", &w, &pos); err != nil {
				t.Fatal(err)
			}
			key := fmt.Sprintf("%d/%d", w, pos%7)
			if pos <= last[key] {
				t.Errorf("key %s: position %d after %d", key, pos, last[key])
			}
			last[key] = pos
			count++
		}
	}
	if count != writers*batches*each {
		t.Errorf("%d records, want %d", count, writers*batches*each)
	}
	if fmt.Sprint(other.Shards()) == "[]" || len(other.Shards()) < 2 {
		t.Errorf("the other stream has %v", other.Shards())
	}
}

func updatedTellsOfNewShards(t *testing.T, b *Backend) {
	s := b.stream(t, stream.Spec{Shards: 1})
	other := b.stream(t, stream.Spec{})
	for _, at := range []*stream.Stream{s, other} {
		more := at.Updated()
		if at == s {
			mustSplit(t, s, 0, at2())
		}
		for len(at.Shards()) < 3 {
			<-more
			more = at.Updated()
		}
		if !at.Log(0).Bounds().Closed || at.Log(1) == nil {
			t.Error("the children are listed before the parent is closed")
		}
		// News of a child's records come the same way.
		mustWrite(t, s, keyed(0, 0, 20))
		for next := at.Log(1).Bounds().Next; next == 0; next = at.Log(1).Bounds().Next {
			<-more
			more = at.Updated()
		}
	}
}

func at2() record.HashKey { return record.EvenRanges(2)[1].Start }

func iteratorsAreExact(t *testing.T, b *Backend) {
	ctx := context.Background()
	s := b.stream(t, stream.Spec{Shards: 2, Retention: 24 * time.Hour, Now: b.Now})
	sh := s.Shards()[1]
	log := s.Log(1)
	check := func(what string, from stream.From, want record.Ordinal, wantErr error) {
		t.Helper()
		got, err := s.Iterator(ctx, 1, from)
		if got != want || !errors.Is(err, wantErr) {
			t.Errorf("%s: %d, %v; want %d, %v", what, got, err, want, wantErr)
		}
	}
	seq := func(kind stream.IteratorType, q stream.Sequence) stream.From {
		return stream.From{Type: kind, Sequence: q.String()}
	}
	check("trim horizon of an empty shard", stream.From{Type: stream.TrimHorizon}, 0, nil)
	check("latest of an empty shard", stream.From{Type: stream.Latest}, 0, nil)
	check("at the start of an empty shard", seq(stream.AtSequence, sh.First()), 0, nil)
	check("after the start of an empty shard", seq(stream.AfterSequence, sh.First()), 0, nil)
	start := hourly(t, b, log, 30) // six records are past their retention
	number := func(o record.Ordinal) stream.Sequence {
		return sh.Sequence(o, start.Add(time.Duration(o)*time.Hour).UnixMilli())
	}
	check("trim horizon", stream.From{Type: stream.TrimHorizon}, 6, nil)
	check("latest", stream.From{Type: stream.Latest}, 30, nil)
	check("at a record", seq(stream.AtSequence, number(10)), 10, nil)
	check("after a record", seq(stream.AfterSequence, number(10)), 11, nil)
	check("after the last", seq(stream.AfterSequence, number(29)), 30, nil)
	check("at one not given", seq(stream.AtSequence, number(30)), 0, stream.ErrInvalid)
	check("at a trimmed record", seq(stream.AtSequence, number(5)), 0, stream.ErrTrimmed)
	check("after the last trimmed record", seq(stream.AfterSequence, number(5)), 6, nil)
	check("after a trimmed record", seq(stream.AfterSequence, number(4)), 0, stream.ErrTrimmed)
	check("at the start of a trimmed shard", seq(stream.AtSequence, sh.First()), 0, stream.ErrTrimmed)
	check("at the end of an open shard", seq(stream.AtSequence, sh.Last()), 0, stream.ErrInvalid)
	check("at another shard's number", seq(stream.AtSequence, s.Shards()[0].Sequence(10, 0)), 0, stream.ErrInvalid)
	check("at no number", stream.From{Type: stream.AtSequence, Sequence: "12"}, 0, stream.ErrInvalid)
	check("of an unknown type", stream.From{Type: "MIDDLE"}, 0, stream.ErrInvalid)
	check("at a time", stream.From{Type: stream.AtTimestamp, Time: start.Add(10 * time.Hour)}, 10, nil)
	check("right after a time", stream.From{Type: stream.AtTimestamp, Time: start.Add(10*time.Hour + time.Millisecond)}, 11, nil)
	check("before all", stream.From{Type: stream.AtTimestamp, Time: start.Add(-time.Hour)}, 6, nil)
	check("now", stream.From{Type: stream.AtTimestamp, Time: b.Now()}, 30, nil)
	check("in the future", stream.From{Type: stream.AtTimestamp, Time: b.Now().Add(time.Millisecond)}, 0, stream.ErrInvalid)
	if _, err := s.Iterator(ctx, 9, stream.From{Type: stream.Latest}); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("of an unknown shard: %v", err)
	}
	mustMerge(t, s, 0, 1)
	sh, _ = s.Shard(1)
	check("latest of a closed shard", stream.From{Type: stream.Latest}, 30, nil)
	check("at the end of a closed shard", seq(stream.AtSequence, sh.Last()), 30, nil)
}

func retentionIsRaisedAndLowered(t *testing.T, b *Backend) {
	ctx := context.Background()
	s := b.stream(t, stream.Spec{Shards: 1, Retention: 24 * time.Hour, Now: b.Now})
	hourly(t, b, s.Log(0), 40) // now is 40 h after the first record
	oldest := func(what string, want record.Ordinal) {
		t.Helper()
		if got := s.Log(0).Bounds().Oldest; got != want {
			t.Errorf("%s: the oldest record is %d, want %d", what, got, want)
		}
	}
	oldest("24 h", 16)
	for _, c := range []struct {
		d    time.Duration
		want record.Ordinal
	}{{48 * time.Hour, 16}, {10 * time.Hour, 30}, {20 * time.Hour, 30}, {stream.Forever, 30}} {
		if err := s.SetRetention(ctx, c.d); err != nil {
			t.Fatal(err)
		}
		oldest(c.d.String(), c.want)
	}
	b.reopen()
	s = b.stream(t, stream.Spec{Now: b.Now})
	oldest("reopened", 30)
	if got := s.Describe().Settings.Retention; got != stream.Forever {
		t.Errorf("retention %s after reopening", got)
	}
	s = b.stream(t, stream.Spec{Retention: 5 * time.Hour, Now: b.Now})
	oldest("opened with 5 h", 35)
	wantError(t, "no retention", s.SetRetention(ctx, 0), stream.ErrInvalid)
	wantError(t, "a negative retention", s.SetRetention(ctx, -time.Hour), stream.ErrInvalid)
}

func closedShardsExpire(t *testing.T, b *Backend) {
	ctx := context.Background()
	s := b.stream(t, stream.Spec{Shards: 2, Retention: 24 * time.Hour, Now: b.Now})
	mustWrite(t, s, keyed(6, 0, 100))
	mustMerge(t, s, 0, 1)
	b.Advance(23 * time.Hour)
	tidy := func(want string) {
		t.Helper()
		if err := s.Tidy(ctx); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, sh := range s.Shards() {
			ids = append(ids, fmt.Sprint(uint32(sh.ID)))
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("shards %s, want %s", got, want)
		}
	}
	tidy("0 1 2")
	s.Log(0).SetHold(3)
	b.Advance(2 * time.Hour)
	tidy("0 2")
	s.Log(0).SetHold(stream.NoHold)
	tidy("2")
	if sh := s.Shards()[0]; len(sh.Parents) != 2 || s.Log(0) != nil {
		t.Errorf("the child is %+v", sh)
	}
	mustSplit(t, s, 2, at2())
	b.reopen()
	s = b.stream(t, stream.Spec{Now: b.Now})
	tidy("2 3 4")
	if pos, ok := s.Position(6); !ok || pos != 100 {
		t.Errorf("position %d %v", pos, ok)
	}
	if b, err := b.Shard(ctx, "orders", 0, stream.ShardOptions{MustExist: true}); err == nil {
		t.Errorf("an expired shard is still there: %+v", b.Bounds())
	}
}

func recordLimitsAreTyped(t *testing.T, b *Backend) {
	ctx := context.Background()
	s := b.stream(t, stream.Spec{Shards: 2})
	one := func(key, data string) *record.Batch {
		b := batchOf("x")
		b.Add([]byte(key), []byte(data), 0)
		return b
	}
	big := strings.Repeat("x", 1<<20)
	mustWrite(t, s, one("k", big[1:]))
	mustWrite(t, s, one(strings.Repeat("ü", 256), "x"))
	var size *stream.RecordSizeError
	if err := s.Write(ctx, one("k", big)); !errors.As(err, &size) || size.Index != 1 || size.Size != 1<<20+1 {
		t.Errorf("a record of 1 MiB and a byte: %v", err)
	}
	var key *stream.KeySizeError
	if err := s.Write(ctx, one(strings.Repeat("ü", 257), "x")); !errors.As(err, &key) || key.Characters != 257 {
		t.Errorf("a key of 257 characters: %v", err)
	}
	if err := s.Configure(ctx, stream.Settings{MaxRecord: 10 << 20}); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, one("k", strings.Repeat(big, 10)[1:]))
	if err := s.Write(ctx, one("k", strings.Repeat(big, 10))); !errors.As(err, &size) {
		t.Errorf("a record of 10 MiB and a byte: %v", err)
	}
	if err := s.Configure(ctx, stream.Settings{MaxRecord: stream.AnyRecord}); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, one("k", strings.Repeat(big, 12)))
	wantError(t, "records of 11 MiB", s.Configure(ctx, stream.Settings{MaxRecord: 11 << 20}), stream.ErrInvalid)
	var batch *stream.BatchSizeError
	if err := stream.CheckPut(keyed(0, 0, 501)); !errors.As(err, &batch) || batch.Records != 501 {
		t.Errorf("501 records at once: %v", err)
	}
	if err := stream.CheckPut(keyed(0, 0, 500)); err != nil {
		t.Error(err)
	}
}

func streamIsCreatedAttachedAndTagged(t *testing.T, b *Backend) {
	ctx := context.Background()
	_, err := stream.Attach(ctx, b, "orders")
	wantError(t, "attach to nothing", err, stream.ErrNotFound)
	s, err := stream.Create(ctx, b, stream.Spec{Name: "orders", Shards: 2, Tags: map[string]string{"team": "a"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Create(ctx, b, stream.Spec{Name: "orders"})
	wantError(t, "create again", err, stream.ErrExists)
	if err := s.Tag(ctx, map[string]string{"env": "prod"}, "team"); err != nil {
		t.Fatal(err)
	}
	wantError(t, "a reserved tag", s.Tag(ctx, map[string]string{"AWS:x": ""}), stream.ErrInvalid)
	many := map[string]string{}
	for i := range 50 {
		many[fmt.Sprint(i)] = ""
	}
	wantError(t, "51 tags", s.Tag(ctx, many), stream.ErrLimit)
	b.reopen()
	s, err = stream.Attach(ctx, b, "orders")
	if err != nil {
		t.Fatal(err)
	}
	d := s.Describe()
	if d.Status != stream.Active || d.OpenShards != 2 || fmt.Sprint(d.Tags) != "map[env:prod]" || d.Settings.MaxRecord != 1<<20 {
		t.Errorf("described as %+v", d)
	}
	if names, err := stream.Names(ctx, b); err != nil || fmt.Sprint(names) != "[orders]" {
		t.Errorf("names %v, %v", names, err)
	}
	for _, ranges := range [][]record.Range{
		{{End: mustKey(t, "5")}}, {{Start: mustKey(t, "1"), End: record.MaxHashKey}},
		{{End: mustKey(t, "5")}, {Start: mustKey(t, "7"), End: record.MaxHashKey}},
	} {
		_, err := stream.Create(ctx, b, stream.Spec{Name: "other", Ranges: ranges})
		wantError(t, fmt.Sprint("ranges ", ranges), err, stream.ErrInvalid)
	}
}
