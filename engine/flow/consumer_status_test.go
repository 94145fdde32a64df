package flow

import (
	"testing"
	"time"
)

func TestStatusOfSeveralTasksNamesTheShardThatHoldsAllBack(t *testing.T) {
	at := func(second int64) *time.Time {
		x := time.Unix(second, 0)
		return &x
	}
	clock := Status{Watermark: at(10)}
	early, late := Status{Watermark: at(20), HeldBy: "early"}, Status{Watermark: at(30), HeldBy: "late"}
	never := Status{HeldBy: "never"}
	for _, c := range []struct {
		what      string
		tasks     []Status
		watermark *time.Time
		held      string
	}{
		{"the earliest", []Status{late, early, late}, at(20), "early"},
		{"no shard, if time passes with the clock", []Status{early, clock}, at(10), ""},
		{"one without an event", []Status{early, never, clock}, nil, "never"},
		{"one without an event, first", []Status{never, early}, nil, "never"},
		{"a task without event time says nothing", []Status{{}, late, {}}, at(30), "late"},
	} {
		var s Status
		for _, o := range c.tasks {
			s.addPlace(o)
		}
		same := s.Watermark == c.watermark || s.Watermark != nil && c.watermark != nil && s.Watermark.Equal(*c.watermark)
		if !same || s.HeldBy != c.held {
			t.Errorf("%s: watermark %v held by %q", c.what, s.Watermark, s.HeldBy)
		}
	}
}
