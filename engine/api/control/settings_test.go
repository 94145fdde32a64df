package control_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
)

func settingsAreChangedAndShown(t *testing.T, r *rig) {
	r.create(2)
	want := control.Settings{Mode: stream.Provisioned, Limits: stream.NoLimits, Sync: stream.SyncAlways, Compression: stream.NoCompression}
	if diff := cmp.Diff(want, r.describe().Settings); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	want = control.Settings{
		Mode: stream.OnDemand, Limits: stream.KinesisLimits, MaxShards: 7,
		Sync: stream.SyncInterval, SyncEveryMillis: 20, Compression: stream.Snappy,
	}
	r.must(r.Configure(t.Context(), "clicks", want), "configure")
	if diff := cmp.Diff(want, r.describe().Settings); diff != "" {
		t.Errorf("all changed (-want +got):\n%s", diff)
	}
	r.must(r.Configure(t.Context(), "clicks", control.Settings{MaxShards: -1, Sync: stream.SyncNever}), "configure")
	want.MaxShards, want.Sync, want.SyncEveryMillis = 0, stream.SyncNever, 0
	if diff := cmp.Diff(want, r.describe().Settings); diff != "" {
		t.Errorf("two changed (-want +got):\n%s", diff)
	}
	r.must(r.Configure(t.Context(), "clicks", control.Settings{Mode: stream.Provisioned}), "configure")
	for what, s := range map[string]control.Settings{
		"an unknown mode":                 {Mode: "magic"},
		"unknown limits":                  {Limits: "some"},
		"a negative interval":             {SyncEveryMillis: -1},
		"max_shards without on_demand":    {MaxShards: 3},
		"more shards than a stream takes": {Mode: stream.OnDemand, MaxShards: 1 << 20},
	} {
		if err := r.Configure(t.Context(), "clicks", s); !errors.Is(err, stream.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := r.Configure(t.Context(), "nothing", control.Settings{}); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("an unknown stream: %v", err)
	}
}

func limitsHold(t *testing.T, r *rig) {
	r.must(r.Create(t.Context(), control.Spec{Name: "clicks", Settings: control.Settings{Limits: stream.KinesisLimits}}), "create")
	for range 2 {
		_, err := r.Put(t.Context(), "clicks", make([]control.Record, 2000))
		r.must(err, "put")
		var throttled *capacity.ThrottledError
		_, err = r.Put(t.Context(), "clicks", make([]control.Record, 1000))
		if !errors.As(err, &throttled) || throttled.Limit != capacity.RecordsIn || throttled.PerSecond != 1000 || throttled.Stream != "clicks" {
			t.Fatalf("put more: %v", err)
		}
		if throttled.RetryAfter < 2*time.Second || throttled.RetryAfter > 2*time.Second+time.Millisecond || !strings.Contains(err.Error(), "try again in") {
			t.Errorf("put more: %v after %s", err, throttled.RetryAfter)
		}
		r.advance(throttled.RetryAfter)
	}
	if n := r.describe().Records(); n != 4000 {
		t.Errorf("%d records are stored, 4000 were taken", n)
	}
	cursor, reads := "", 0
	for {
		page, err := r.Read(t.Context(), control.ReadRequest{Stream: "clicks", Cursor: cursor, Limit: 100, WaitMillis: 10_000})
		var throttled *capacity.ThrottledError
		if errors.As(err, &throttled) && throttled.Limit == capacity.ReadsOut && reads == 5 {
			return
		}
		r.must(err, "read")
		if reads++; page.CaughtUp || reads > 5 {
			t.Fatalf("%d reads in a moment were not throttled", reads)
		}
		cursor = page.Cursor
	}
}
