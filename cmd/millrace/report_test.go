package main

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/pipelines"
)

func TestReportCountsObjectsThatItDoesNotList(t *testing.T) {
	var objects []checkpoint.Object
	for range 20 {
		objects = append(objects, checkpoint.Object{Key: "k", Rows: 2, Bytes: 3})
	}
	var out strings.Builder
	reportDelivery(&out, pipelines.TaskSummary{
		Name: "lake", Type: "s3", Objects: objects,
		Delivered:    checkpoint.Delivered{Objects: 6000, Rows: 12_000, Bytes: 18_000, ErrorRows: 7, ErrorObjects: 2},
		DeliveredRun: checkpoint.Delivered{Objects: 5000, Rows: 10_000, Bytes: 15_000, ErrorRows: 4, ErrorObjects: 1},
	})
	for _, want := range []string{
		"lake (s3): 10,000 rows delivered, 2,000 by earlier runs; 7 rejected rows under its error prefix (4 in this run)\n",
		"  … and 4,989 more\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestStatusNamesTheStreamOfAShardWhereThereAreSeveral(t *testing.T) {
	for want, s := range map[string]flow.ShardStatus{
		"shardId-000000000001": {Shard: "shardId-000000000001"}, "orders shardId-000000000001": {Stream: "orders", Shard: "shardId-000000000001"},
	} {
		if got := shardText(1, s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestStatusOfAQuerySaysWhatBecameOfItsRows(t *testing.T) {
	step := func(name string, c checkpoint.Counts) checkpoint.Step { return checkpoint.Step{Name: name, Counts: c} }
	got := lines(pipelines.Status{Tasks: []flow.Status{{Name: "q", Kind: "query", From: "s, r", Steps: []checkpoint.Step{
		step("s", checkpoint.Counts{In: 1010, Bad: 1, Passed: 1009}),
		step("r", checkpoint.Counts{In: 5, Passed: 5}),
		step("f", checkpoint.Counts{In: 1009, Filtered: 3, Passed: 1006}),
		step("q", checkpoint.Counts{In: 1011, Filtered: 4, Late: 2, Aggregated: 1005}),
	}}}})
	want := "q: 1,015 rows read, 1,005 in windows, 0 rows out, 7 filtered, 2 late, 1 rejected"
	if len(got) != 1 || got[0] != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestStatusSaysWhatAQueryWaitsFor(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	two := []flow.ShardStatus{{Shard: "a"}, {Shard: "b"}}
	for want, got := range map[string]string{
		"":                                passingText(flow.Status{HeldBy: "a", Shards: two[:1], Watermark: &at}),
		"by a, whose watermark is the ea": passingText(flow.Status{HeldBy: "a", Shards: two, Watermark: &at}),
		"by a, where no event was seen y": passingText(flow.Status{HeldBy: "a", Shards: two}),
		"by query q, whose rows are yet":  passingText(flow.Status{HeldBy: "query q", Awaits: "q", Shards: two[:1], Watermark: &at}),
		"time goes on while no shard bri": passingText(flow.Status{Kind: "query", State: "running", Shards: two, Watermark: &at}),
		"1,000 open, 1 row waiting for the watermark, 2.0 KiB in memory, the next closes at watermark 2026-01-31T12:00:00Z": windowsText(&flow.Figures{
			Memory: map[string]int64{"windows": 2048}, Windows: &flow.Windows{Open: 1000, Waiting: 1, Closes: &at}}),
		", 20m ahead of the clock": aheadText(&at, at.Add(-20*time.Minute)),
	} {
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := aheadText(&at, at.Add(-time.Second)); got != "" {
		t.Errorf("a second makes %q", got)
	}
}
