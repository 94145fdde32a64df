package flow

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// openLog is a shard that is not closed.
type openLog struct{ stream.Log }

func (openLog) Bounds() stream.Bounds { return stream.Bounds{} }

func TestAShardThatBringsNothingDoesNotHoldTheWatermarkBackForEver(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	began := now
	in := &feed{Feed: &Feed{}, event: 0}
	task := &Task{Config: Config{Now: func() time.Time { return now }}, feeds: []*feed{in}}
	shard := func(id uint32, watermark int64) *reader {
		return &reader{feed: in, id: record.ShardID(id), log: openLog{}, reading: true, watermark: watermark, active: began}
	}
	slow, fast := shard(0, 100), shard(1, 500)
	task.readers = []*reader{slow, fast}
	want := func(what string, watermark int64, held *reader) {
		t.Helper()
		if got := task.watermark(); got != watermark {
			t.Errorf("%s: watermark %d, want %d", what, got, watermark)
		}
		if got := task.slowest(); got != held {
			t.Errorf("%s: held by %v", what, got)
		}
	}
	want("both bring rows", 100, slow)
	now = began.Add(idleAfter)
	fast.active = now
	want("the slow one is idle", 500, fast)
	now = now.Add(idleAfter)
	want("both are idle: time passes with the clock", 500+idleAfter.Microseconds(), nil)
	slow.active, slow.watermark = now, 200
	want("the slow one is back", 200, slow)
	never := shard(2, column.MinWatermark)
	never.active = now
	task.readers = append(task.readers, never)
	want("a shard that was never seen holds all back", column.MinWatermark, never)
}
