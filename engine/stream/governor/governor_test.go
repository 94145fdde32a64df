package governor_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
	"github.com/millrace-io/millrace/engine/stream/governor"
	"github.com/millrace-io/millrace/engine/stream/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a governed stream with a clock of its own.
type rig struct {
	*stream.Stream
	t     *testing.T
	g     *governor.Governor
	clock atomic.Int64
	log   bytes.Buffer
	next  int
}

func newRig(t *testing.T, shards int, s stream.Settings, o governor.Options) *rig {
	t.Helper()
	r := &rig{t: t}
	r.clock.Store(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	back, err := memory.Open(memory.NewStore(), r.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { back.Close() })
	r.Stream, err = stream.Open(t.Context(), back, stream.Spec{Name: "clicks", Shards: shards, Settings: s, Now: r.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	o.Now, o.Log = r.now, slog.New(slog.NewTextHandler(&r.log, nil))
	r.g = governor.New(r.Stream, o)
	return r
}

func (r *rig) now() time.Time          { return time.Unix(0, r.clock.Load()) }
func (r *rig) advance(d time.Duration) { r.clock.Add(int64(d)) }

// batch has n records, all of one key if it is not empty.
func (r *rig) batch(n int, key string) *record.Batch {
	b := &record.Batch{}
	for range n {
		k := key
		if k == "" {
			k = fmt.Sprint("user", r.next)
		}
		b.Add([]byte(k), fmt.Append(nil, r.next), 0)
		r.next++
	}
	return b
}

// minute writes n records in the course of a minute.
func (r *rig) minute(n int, key string) {
	r.t.Helper()
	for range 12 {
		if err := r.Write(r.t.Context(), r.batch(n/12, key)); err != nil {
			r.t.Fatal(err)
		}
		r.advance(5 * time.Second)
		if err := r.g.Look(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) open() int { return r.Describe().OpenShards }

// onDemand is a stream of 1 to 4 shards, each good for 10 records a second.
func onDemand(t *testing.T) *rig {
	return newRig(t, 1, stream.Settings{Mode: stream.OnDemand, MaxShards: 4}, governor.Options{Rules: capacity.Options{ShardRecords: 10}})
}

func TestShardsFollowTheLoadUpToMaxShardsAndBack(t *testing.T) {
	r := onDemand(t)
	for range 15 {
		r.minute(6000, "")
	}
	if n := r.open(); n != 4 {
		t.Fatalf("%d shards under ten times the load of one, want max_shards, 4", n)
	}
	for range 90 {
		r.minute(12, "")
	}
	if n := r.open(); n != 1 {
		t.Errorf("%d shards after an hour and a half of quiet, want 1", n)
	}
	if got := r.g.Report(); got.Splits != 3 || got.Merges != 3 || len(got.Stuck) != 0 {
		t.Errorf("reported %+v", got)
	}
	if n, _ := r.Bounds(); n != int64(r.next) {
		t.Errorf("%d records are stored, %d were written", n, r.next)
	}
	for _, text := range []string{"split shardId-000000000000 at ", "its load is 9.", "merge shardId-"} {
		if !strings.Contains(r.log.String(), text) {
			t.Errorf("the log does not say %q:\n%s", text, r.log.String())
		}
	}
}

func TestOneHotKeyIsNamedAndNotSplit(t *testing.T) {
	r := onDemand(t)
	r.minute(6000, "celebrity")
	r.minute(6000, "celebrity")
	got := r.g.Report()
	if len(got.Stuck) != 1 || got.Stuck[0].Key != record.Hash([]byte("celebrity")) || got.Splits != 0 {
		t.Fatalf("reported %+v", got)
	}
	if n := strings.Count(r.log.String(), "splitting it would not help"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	r.minute(12, "")
	r.minute(12, "")
	if got := r.g.Report(); len(got.Stuck) != 0 {
		t.Errorf("a quiet shard is stuck: %+v", got)
	}
}

func TestSettingsHoldAtOnce(t *testing.T) {
	r := newRig(t, 1, stream.Settings{}, governor.Options{Rules: capacity.Options{ShardRecords: 10}})
	for range 3 {
		r.minute(60_000, "")
	}
	if got := r.g.Report(); r.open() != 1 || got.Throttled != 0 {
		t.Fatalf("a provisioned stream without limits: %d shards, %+v", r.open(), got)
	}
	if err := r.Configure(t.Context(), stream.Settings{Limits: stream.KinesisLimits}); err != nil {
		t.Fatal(err)
	}
	var throttled *capacity.ThrottledError
	if err := r.TryWrite(t.Context(), r.batch(1000, "")); err != nil {
		t.Errorf("a second's worth: %v", err)
	}
	if err := r.TryWrite(t.Context(), r.batch(1, "")); !errors.As(err, &throttled) || throttled.Stream != "clicks" || throttled.RetryAfter <= 0 {
		t.Errorf("one more: %v", err)
	}
	r.advance(throttled.RetryAfter)
	if err := r.TryWrite(t.Context(), r.batch(1, "")); err != nil {
		t.Errorf("after %s: %v", throttled.RetryAfter, err)
	}
	if got := r.g.Report(); got.Throttled != 1 {
		t.Errorf("reported %+v", got)
	}
	if err := r.Configure(t.Context(), stream.Settings{Limits: stream.NoLimits, Mode: stream.OnDemand, MaxShards: 2}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r.minute(60_000, "")
	}
	if r.open() != 2 {
		t.Errorf("on demand: %d shards", r.open())
	}
}

func TestThrottledBatchIsStoredInNoShard(t *testing.T) {
	for id, keys := range [][2]record.HashKey{{{}, record.MaxHashKey}, {record.MaxHashKey, {}}} {
		throttledBatch(t, record.ShardID(id), keys[0], keys[1])
	}
}

// throttledBatch leaves one of two shards with next to nothing; a key of each is given.
func throttledBatch(t *testing.T, short record.ShardID, key, otherKey record.HashKey) {
	r := newRig(t, 2, stream.Settings{Limits: stream.KinesisLimits}, governor.Options{})
	one := &record.Batch{}
	for range 990 {
		one.AddExplicit(nil, key, []byte("x"), 0)
	}
	if err := r.TryWrite(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	before, _ := r.Bounds()
	var throttled *capacity.ThrottledError
	if err := r.TryWrite(t.Context(), r.batch(100, "")); !errors.As(err, &throttled) || throttled.Shard != short {
		t.Fatalf("a batch for both: %v", err)
	}
	if after, _ := r.Bounds(); after != before {
		t.Errorf("%d records of a refused batch are stored", after-before)
	}
	// Nothing was taken from the other shard either.
	other := &record.Batch{}
	for range 1000 {
		other.AddExplicit(nil, otherKey, []byte("x"), 0)
	}
	if err := r.TryWrite(t.Context(), other); err != nil {
		t.Errorf("the other shard has its second's worth: %v", err)
	}
}

func TestReadsOfClientsAreLimited(t *testing.T) {
	r := newRig(t, 1, stream.Settings{Limits: stream.KinesisLimits}, governor.Options{})
	if err := r.Write(t.Context(), r.batch(10, "")); err != nil {
		t.Fatal(err)
	}
	var buf stream.Buffer
	var throttled *capacity.ThrottledError
	for i := range 5 {
		if frames, err := r.Read(t.Context(), 0, 0, &buf); err != nil || len(frames) == 0 {
			t.Fatalf("read %d: %v", i, err)
		}
	}
	if _, err := r.Read(t.Context(), 0, 0, &buf); !errors.As(err, &throttled) || throttled.Limit != capacity.ReadsOut {
		t.Errorf("the sixth read within a second: %v", err)
	}
	if _, err := r.Log(0).Read(t.Context(), 0, &buf); err != nil {
		t.Errorf("a task of a pipeline: %v", err)
	}
	r.advance(time.Second)
	big := &record.Batch{}
	for range 4 {
		big.Add(nil, make([]byte, 1<<20-10), 0)
	}
	if err := r.Configure(t.Context(), stream.Settings{Limits: stream.NoLimits}); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	if err := r.Configure(t.Context(), stream.Settings{Limits: stream.KinesisLimits}); err != nil {
		t.Fatal(err)
	}
	buf.Max = 8 << 20
	if _, err := r.Read(t.Context(), 0, 10, &buf); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(t.Context(), 0, 0, &buf); !errors.As(err, &throttled) || throttled.Limit != capacity.BytesOut || throttled.RetryAfter < 500*time.Millisecond {
		t.Errorf("after a read of 4 MiB: %v", err)
	}
}

func TestStreamGetsTheShardsItShouldHaveAtLeast(t *testing.T) {
	r := newRig(t, 1, stream.Settings{Mode: stream.OnDemand}, governor.Options{Shards: 3})
	if err := r.g.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := r.open(); n != 3 {
		t.Errorf("%d shards", n)
	}
}
