package kinesis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/stream"
)

// limited is a service with the limits of AWS, and a stream of two shards.
func limited(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, func(o *Options) { o.Limits = stream.KinesisLimits; o.Account = "123456789012" })
	r.must("CreateStream", `{"StreamName":"s","ShardCount":2}`)
	return r
}

// until asks until it is refused, at most n times, and returns how often it was not.
func (r *rig) until(n int, operation, body string) (passed int, refused answer) {
	r.t.Helper()
	for ; passed < n; passed++ {
		if a := r.do(operation, body); a.status != 200 {
			return passed, a
		}
	}
	return passed, answer{}
}

func TestOperationsHaveTheRatesOfAWS(t *testing.T) {
	r := limited(t)
	const onStream = "LimitExceededException: Rate exceeded for stream s under account 123456789012."
	for _, c := range []struct {
		operation, body string
		n               int
		want            string
	}{
		{"DescribeStream", `{"StreamName":"s"}`, 10, onStream},
		{"DescribeStreamSummary", `{"StreamARN":"arn:aws:kinesis:us-east-1:123456789012:stream/s"}`, 20, onStream},
		{"ListTagsForStream", `{"StreamName":"s"}`, 5, onStream},
		{"ListStreams", `{}`, 5, "LimitExceededException: Rate exceeded for account 123456789012."},
		{"DescribeLimits", `{}`, 1, "LimitExceededException: Rate exceeded for account 123456789012."},
		{"ListShards", `{"StreamName":"s"}`, 1000, onStream},
		{"GetShardIterator", `{"StreamName":"s","ShardId":"0","ShardIteratorType":"LATEST"}`, 5,
			"ProvisionedThroughputExceededException: Rate exceeded for shard shardId-000000000000 in stream s under account 123456789012."},
	} {
		n, a := r.until(2000, c.operation, c.body)
		if got := fmt.Sprint(a.kind, ": ", a.fields["message"]); n != c.n || got != c.want {
			t.Errorf("%s: %d passed, then %s; want %d, then %s", c.operation, n, got, c.n, c.want)
		}
		r.advance(time.Second)
		if n, _ := r.until(2000, c.operation, c.body); n != c.n {
			t.Errorf("%s: a second later %d passed, want %d", c.operation, n, c.n)
		}
	}
	// Shards are counted apart, and operations without a rate are not counted.
	if n, a := r.until(6, "GetShardIterator", `{"StreamName":"s","ShardId":"1","ShardIteratorType":"LATEST"}`); n != 5 {
		t.Errorf("the other shard: %d passed, then %s", n, a.text)
	}
	if n, a := r.until(50, "PutRecord", `{"StreamName":"s","Data":"","PartitionKey":"k"}`); n != 50 {
		t.Errorf("puts: %d passed, then %s", n, a.text)
	}
}

func TestWithoutLimitsNothingIsRefused(t *testing.T) {
	r := newRig(t, nil)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	for _, operation := range []string{"DescribeStream", "ListTagsForStream", "DescribeStreamSummary"} {
		if n, a := r.until(100, operation, `{"StreamName":"s"}`); n != 100 {
			t.Errorf("%s: %d passed, then %s", operation, n, a.text)
		}
	}
}

func TestMetersAreBounded(t *testing.T) {
	now := time.Now()
	m := &meters{now: func() time.Time { return now }, list: map[meterKey]*meter{}}
	for i := range 3 * maxMeters {
		if !m.take(meterKey{stream: fmt.Sprint(i)}, 1) {
			t.Fatal("the first call of a stream is refused")
		}
	}
	if len(m.list) > maxMeters {
		t.Errorf("%d are kept", len(m.list))
	}
	if m.take(meterKey{stream: "7"}, 1) {
		t.Error("one that is kept has forgotten what it counted")
	}
	now = now.Add(time.Second)
	m.take(meterKey{stream: "new"}, 1)
	if len(m.list) != 1 {
		t.Errorf("%d are kept after a second of silence", len(m.list))
	}
	d := &days{list: map[meterKey][]time.Time{}}
	for i := range maxMeters + 10 {
		d.note(meterKey{stream: fmt.Sprint(i)}, now.Add(time.Duration(i)))
	}
	if len(d.list) > maxMeters || len(d.list[meterKey{stream: "0"}]) != 0 || len(d.list[meterKey{stream: fmt.Sprint(maxMeters + 9)}]) != 1 {
		t.Errorf("%d days are kept", len(d.list))
	}
}

func TestSomeChangesArePossibleAFewTimesADay(t *testing.T) {
	r := limited(t)
	count := func(n int) answer {
		r.advance(time.Second)
		return r.do("UpdateShardCount", fmt.Sprintf(`{"StreamName":"s","TargetShardCount":%d,"ScalingType":"UNIFORM_SCALING"}`, n))
	}
	for i := range 10 {
		if a := count(2 + i%2); a.status != 200 {
			t.Fatalf("%d: %s", i, a.text)
		}
	}
	if a := count(2); a.kind != "LimitExceededException" || !strings.Contains(a.text, "10 times in 24 hours") {
		t.Errorf("the eleventh: %s", a.text)
	}
	r.advance(day)
	if a := count(2); a.status != 200 {
		t.Errorf("a day later: %s", a.text)
	}
}

// Records of a shard that takes no more are refused, and those of the other shard are stored.
func TestOnlyTheBusyShardRefusesItsRecords(t *testing.T) {
	r := limited(t)
	entry := func(hash string, kib int) string {
		return fmt.Sprintf(`{"Data":"%s","PartitionKey":"k","ExplicitHashKey":"%s"}`, strings.Repeat("AAAA", kib*1024/3), hash)
	}
	const low, high = "0", "340282366920938463463374607431768211455"
	fill := r.must("PutRecords", `{"StreamName":"s","Records":[`+entry(low, 900)+`]}`)
	if fill["FailedRecordCount"] != 0.0 {
		t.Fatal(fill)
	}
	out := r.must("PutRecords", `{"StreamName":"s","Records":[`+strings.Join([]string{entry(low, 900), entry(high, 1), entry(low, 900), entry(high, 1)}, ",")+`]}`)
	var kinds []string
	for _, x := range out["Records"].([]any) {
		e := x.(map[string]any)
		if e["ErrorCode"] == nil {
			kinds = append(kinds, e["ShardId"].(string))
			continue
		}
		kinds = append(kinds, fmt.Sprint(e["ErrorCode"], ": ", e["ErrorMessage"]))
	}
	const busy = "ProvisionedThroughputExceededException: Rate exceeded for shard shardId-000000000000 in stream s under account 123456789012."
	want := strings.Join([]string{busy, "shardId-000000000001", busy, "shardId-000000000001"}, "\n")
	if got := strings.Join(kinds, "\n"); got != want || out["FailedRecordCount"] != 2.0 {
		t.Errorf("%v failed:\n%s\nwant\n%s", out["FailedRecordCount"], got, want)
	}
}

// Five calls a second read from a shard, however many frames each of them brings and also when there is nothing to read.
func TestCallsOfGetRecordsAreCounted(t *testing.T) {
	r := limited(t)
	for range 30 {
		r.must("PutRecord", `{"StreamName":"s","Data":"eA==","PartitionKey":"k","ExplicitHashKey":"0"}`)
	}
	for _, kind := range []string{"TRIM_HORIZON", "LATEST"} {
		r.advance(2 * time.Second)
		it := r.must("GetShardIterator", `{"StreamName":"s","ShardId":"0","ShardIteratorType":"`+kind+`"}`)["ShardIterator"].(string)
		n, a := r.until(20, "GetRecords", `{"ShardIterator":"`+it+`"}`)
		if n != 5 || a.kind != throughputExceeded {
			t.Errorf("%s: %d calls pass, then %s", kind, n, a.text)
		}
	}
}
