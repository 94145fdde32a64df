package e2e

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/millrace-io/millrace/e2e/rig"
)

// TestKinesisSubscriptionIsTakenOver waits for a heartbeat in real time, and for what the service does after five
// seconds. The rest of what a subscription does in time is tested virtually in engine/api/kinesis.
func TestKinesisSubscriptionIsTakenOver(t *testing.T) {
	s := serving(t, "--instant")
	ctx := t.Context()
	s.create("s", 1)
	c := done[*kinesis.RegisterStreamConsumerOutput](t)(s.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/s"), ConsumerName: aws.String("c"),
	})).Consumer
	subscribe := func() (*kinesis.SubscribeToShardEventStream, error) {
		out, err := s.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{ConsumerARN: c.ConsumerARN, ShardId: aws.String("shardId-000000000000"),
			StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest}})
		if err != nil {
			return nil, err
		}
		return out.GetStream(), nil
	}
	var first *kinesis.SubscribeToShardEventStream
	for heartbeats := 0; heartbeats < 2; {
		var err error
		must(t, rig.Until(within(t, patience), "a subscription", func() bool {
			first, err = subscribe()
			return err == nil
		}))
		for heartbeats = 0; heartbeats < 2; heartbeats++ {
			if _, more := <-first.Events(); !more {
				t.Logf("subscribing again: %v", first.Err())
				break
			}
		}
	}
	var second *kinesis.SubscribeToShardEventStream
	var err error
	must(t, rig.Until(within(t, patience), "the second subscription", func() bool {
		second, err = subscribe()
		return err == nil
	}))
	defer second.Close()
	for range first.Events() {
		t.Log("an event before the end")
	}
	refused(t, first.Err(), "ResourceInUseException")
	// A server that is told to stop does not wait for the subscription, which has minutes left.
	s.process.Terminate()
	exit, err := s.process.Wait(within(t, patience))
	must(t, err)
	if exit.Code != 0 {
		t.Errorf("exit code %d", exit.Code)
	}
}
