package streamtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// hourly appends n records, one an hour, and returns when the first arrived.
func hourly(t *testing.T, b *Backend, log stream.Log, n int) time.Time {
	t.Helper()
	var start time.Time
	for i := range n {
		mustAppend(t, log, batchOf(fmt.Sprint(i, strings.Repeat(".", 1000))))
		if i == 0 {
			frames, err := log.Read(context.Background(), 0, &stream.Buffer{})
			if err != nil {
				t.Fatal(err)
			}
			start = time.UnixMilli(frames[0].Arrival)
		}
		b.Advance(time.Hour)
	}
	return start
}

func seekFindsTheFirstRecordAtATime(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	start := hourly(t, b, log, 100)
	for range 2 {
		for _, c := range []struct {
			after time.Duration
			want  record.Ordinal
		}{
			{-time.Hour, 0}, {0, 0}, {time.Millisecond, 1}, {time.Hour, 1}, {50 * time.Hour, 50},
			{50*time.Hour + 1e6, 51}, {99 * time.Hour, 99}, {99*time.Hour + 1e6, 100}, {1000 * time.Hour, 100},
		} {
			if got, err := log.Seek(context.Background(), start.Add(c.after)); err != nil || got != c.want {
				t.Errorf("seek to %s after the first record: %d, %v; want %d", c.after, got, err, c.want)
			}
		}
		b.reopen()
		log = b.shard(t, stream.ShardOptions{})
	}
}

func readAfterTrimReportsTrimmed(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	hourly(t, b, log, 50)
	if err := log.Trim(context.Background(), 20); err != nil {
		t.Fatal(err)
	}
	_, err := log.Read(context.Background(), 19, &stream.Buffer{})
	wantError(t, "read before the trim", err, stream.ErrTrimmed)
	if got := texts(t, log, 20); len(got) != 30 || log.Bounds().Oldest != 20 {
		t.Errorf("%d records from 20 on, the oldest is %d", len(got), log.Bounds().Oldest)
	}
	if err := log.Trim(context.Background(), 1000); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	log = b.shard(t, stream.ShardOptions{})
	if done := mustAppend(t, log, batchOf("next")); done.First != 50 {
		t.Errorf("after all was trimmed the next record is %d, want 50", done.First)
	}
	wantTexts(t, log, 50, "next")
}

func trimStopsAtTheHold(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{})
	hourly(t, b, log, 50)
	log.SetHold(10)
	if err := log.Trim(context.Background(), 40); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, log, 10); len(got) != 40 || log.Bounds().Oldest != 10 {
		t.Errorf("%d records from the hold on, the oldest is %d", len(got), log.Bounds().Oldest)
	}
}

func retentionIsExact(t *testing.T, b *Backend) {
	o := stream.ShardOptions{Retention: 24 * time.Hour}
	log := b.shard(t, o)
	hourly(t, b, log, 30) // now is 30 h after the first record
	for range 2 {
		if got := log.Bounds().Oldest; got != 6 {
			t.Errorf("the oldest record is %d, want 6", got)
		}
		_, err := log.Read(context.Background(), 5, &stream.Buffer{})
		wantError(t, "read of a record of 25 h", err, stream.ErrTrimmed)
		if got := texts(t, log, 6); len(got) != 24 {
			t.Errorf("%d records, want 24", len(got))
		}
		b.reopen()
		log = b.shard(t, o)
	}
	b.Advance(time.Millisecond)
	_, err := log.Read(context.Background(), 6, &stream.Buffer{})
	wantError(t, "read a millisecond later", err, stream.ErrTrimmed)

	before := log.Bounds().Bytes
	b.Advance(20 * time.Hour)
	if err := b.Tidy(context.Background(), time.Now().AddDate(100, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if after := log.Bounds(); after.Bytes > before || after.Next != 30 {
		t.Errorf("%d bytes before Tidy, after it %+v", before, after)
	}
}

func heldRecordsOutliveRetention(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{Retention: time.Hour})
	log.SetHold(2)
	hourly(t, b, log, 30)
	if err := b.Tidy(context.Background(), time.Now().AddDate(100, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, log, 2); len(got) != 28 || log.Bounds().Oldest != 2 {
		t.Errorf("%d records are held, the oldest is %d", len(got), log.Bounds().Oldest)
	}
	log.SetHold(stream.NoHold)
	_, err := log.Read(context.Background(), 2, &stream.Buffer{})
	wantError(t, "read of what is held no more", err, stream.ErrTrimmed)
}

func fullOfHeldRecordsRefuses(t *testing.T, b *Backend) {
	o := stream.ShardOptions{MaxDisk: 20_000}
	log := b.shard(t, o)
	other, err := b.Shard(context.Background(), "orders", 4, o)
	if err != nil {
		t.Fatal(err)
	}
	hourly(t, b, log, 40) // nobody needs them
	log.SetHold(40)
	hourly(t, b, log, 15)
	other.SetHold(0)
	mustAppend(t, other, batchOf(strings.Repeat(".", 10_000)))
	for _, l := range []stream.Log{log, other} {
		_, err = l.Append(context.Background(), batchOf("a"))
		wantError(t, "append to a full stream", err, stream.ErrFull)
	}
	if got := texts(t, log, 40); len(got) != 15 {
		t.Errorf("%d records can be read from the full stream", len(got))
	}
	log.SetHold(55)
	mustAppend(t, log, batchOf("a"))
	mustAppend(t, other, batchOf("a"))
}

func otherIncarnationIsRefused(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{Incarnation: 1})
	mustAppend(t, log, batchOf("a"))
	b.reopen()
	if _, err := b.Shard(context.Background(), "orders", 3, stream.ShardOptions{Incarnation: 2}); err == nil {
		t.Error("records of another incarnation were opened")
	}
	wantTexts(t, b.shard(t, stream.ShardOptions{Incarnation: 1}), 0, "a")
}

func deletedStreamIsEmpty(t *testing.T, b *Backend) {
	log := b.shard(t, stream.ShardOptions{Incarnation: 1})
	mustAppend(t, log, batchOf("a"))
	if err := b.DeleteStream(context.Background(), "orders"); err != nil {
		t.Fatal(err)
	}
	_, err := log.Append(context.Background(), batchOf("b"))
	wantError(t, "append to a deleted stream", err, stream.ErrClosed)
	if err := b.DeleteStream(context.Background(), "orders"); err != nil {
		t.Errorf("delete again: %v", err)
	}
	for range 2 {
		wantTexts(t, b.shard(t, stream.ShardOptions{Incarnation: 2}), 0)
		b.reopen()
	}
}
