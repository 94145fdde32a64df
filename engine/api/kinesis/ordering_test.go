package kinesis

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/stream"
)

// An example of AWS's documentation names the number of the record before also when that went to another shard.
func TestNumbersForOrderingAreThoseThatWereGiven(t *testing.T) {
	r := newRig(t, nil)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":2}`)
	after := func(number, hash string) answer {
		return r.do("PutRecord", `{"StreamName":"s","Data":"YQ==","PartitionKey":"k","ExplicitHashKey":"`+hash+`","SequenceNumberForOrdering":"`+number+`"}`)
	}
	const low, high = "0", "340282366920938463463374607431768211455"
	number := func(a answer) string { text, _ := a.fields["SequenceNumber"].(string); return text }
	first := r.must("PutRecord", `{"StreamName":"s","Data":"YQ==","PartitionKey":"k","ExplicitHashKey":"`+low+`"}`)["SequenceNumber"].(string)
	last := first
	for range 2 {
		a := after(last, low)
		if number(a) <= last {
			t.Fatalf("after %s: %s", last, a.text)
		}
		last = number(a)
	}
	q, err := stream.ParseSequence(last)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*stream.Sequence)) string {
		x := q
		change(&x)
		return x.String()
	}
	for what, number := range map[string]string{
		"the first":                first,
		"the shard's beginning":    changed(func(q *stream.Sequence) { q.Index = 0 }),
		"one of a stream before":   changed(func(q *stream.Sequence) { q.Created -= 60; q.Index += 1000 }),
		"a shard of one before it": changed(func(q *stream.Sequence) { q.Created -= 60; q.Shard = 9 }),
	} {
		if a := after(number, low); a.kind != "" {
			t.Errorf("%s: %s", what, a.text)
		}
	}
	if a := after(last, high); a.kind != "" {
		t.Errorf("that of another shard: %s", a.text)
	}
	for what, number := range map[string]string{
		"one above the last":     changed(func(q *stream.Sequence) { q.Index += 1000 }),
		"the end of an open one": changed(func(q *stream.Sequence) { q.Index = 1<<63 - 1 }),
		"one of the future":      changed(func(q *stream.Sequence) { q.Arrived += 60 }),
		"a younger shard":        changed(func(q *stream.Sequence) { q.Created++ }),
		"a shard that is not":    changed(func(q *stream.Sequence) { q.Shard = 9 }),
		"no number of a stream":  "12",
	} {
		want := "ExclusiveMinimumSequenceNumber " + number + " used in PutRecord on stream s under account 000000000000 is invalid."
		if a := after(number, low); a.kind != "InvalidArgumentException" || a.fields["message"] != want {
			t.Errorf("%s: %s", what, a.text)
		}
	}
	// What follows on a shard that is closed rises above it.
	r.advance(2 * time.Second)
	r.must("SplitShard", `{"StreamName":"s","ShardToSplit":"0","NewStartingHashKey":"1000"}`)
	ending := r.must("DescribeStream", `{"StreamName":"s"}`)["StreamDescription"].(map[string]any)["Shards"].([]any)[0].(map[string]any)["SequenceNumberRange"].(map[string]any)["EndingSequenceNumber"].(string)
	for _, before := range []string{last, ending} {
		if a := after(before, low); a.kind != "" || number(a) <= before {
			t.Errorf("after %s of the parent: %s", before, a.text)
		}
	}
}

func TestConsumersAreUsedOnceTheyAreActive(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Settle = time.Minute })
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	r.advance(2 * time.Minute)
	c := r.must("RegisterStreamConsumer", `{"ConsumerName":"c","StreamARN":"`+arnOfS+`"}`)["Consumer"].(map[string]any)["ConsumerARN"].(string)
	requests := map[string]string{
		"SubscribeToShard":  `{"ConsumerARN":"` + c + `","ShardId":"0","StartingPosition":{"Type":"LATEST"},"DryRun":true}`,
		"PutResourcePolicy": `{"ResourceARN":"` + c + `","Policy":` + quoted(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`) + `}`,
	}
	for operation, body := range requests {
		if a := r.do(operation, body); a.kind != "ResourceInUseException" || !strings.Contains(a.text, "Consumer c with creation timestamp ") || !strings.Contains(a.text, "is not in ACTIVE status") {
			t.Errorf("%s while it is CREATING: %s", operation, a.text)
		}
	}
	r.advance(time.Minute)
	for operation, body := range requests {
		if a := r.do(operation, body); a.kind != "" && a.kind != "DryRunOperationException" {
			t.Errorf("%s: %s", operation, a.text)
		}
	}
}
