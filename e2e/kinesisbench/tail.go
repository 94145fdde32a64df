package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// tails times a reader at the tip, from the moment at which a record is about to be put. Both are the Go SDK's.
func (b *bench) tails(s *server) error {
	for what, follow := range map[string]func(*bench, context.Context, *kinesis.Client, string, *timings) error{
		"seen by GetRecords": (*bench).poll, "seen by SubscribeToShard": (*bench).subscribe,
	} {
		took, err := b.timed(s, follow)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		b.row(what, s.name, took)
	}
	return nil
}

// timings are how old records were when they were seen.
type timings struct {
	began time.Time
	took  []time.Duration
}

func (t *timings) see(records []types.Record) error {
	now := time.Since(t.began)
	for _, r := range records {
		put, err := strconv.ParseInt(string(r.Data), 10, 64)
		if err != nil {
			return err
		}
		t.took = append(t.took, now-time.Duration(put))
	}
	return nil
}

// timed puts a record every ten milliseconds while follow reads until it has seen all.
func (b *bench) timed(s *server, follow func(*bench, context.Context, *kinesis.Client, string, *timings) error) ([]time.Duration, error) {
	name, err := b.create(s)
	if err != nil {
		return nil, err
	}
	client := kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: &s.endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: benchKey, SecretAccessKey: benchSecret}, nil
		}),
	})
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	t := &timings{began: time.Now()}
	var wait sync.WaitGroup
	var failed error
	wait.Go(func() {
		if failed = b.drip(ctx, client, name, t.began); failed != nil {
			cancel()
		}
	})
	err = follow(b, ctx, client, name, t)
	cancel()
	wait.Wait()
	return t.took, errors.Join(err, failed)
}

// drip puts records that tell when.
func (b *bench) drip(ctx context.Context, client *kinesis.Client, name string, began time.Time) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range b.tail {
		<-tick.C
		_, err := client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, PartitionKey: aws.String("k"), Data: strconv.AppendInt(nil, int64(time.Since(began)), 10)})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// poll asks again as soon as it is answered.
func (b *bench) poll(ctx context.Context, client *kinesis.Client, name string, t *timings) error {
	it, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String("shardId-000000000000"), ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		return err
	}
	for next := it.ShardIterator; len(t.took) < b.tail; {
		out, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
		if err == nil {
			err = t.see(out.Records)
		}
		if err != nil {
			return err
		}
		next = out.NextShardIterator
	}
	return nil
}

func (b *bench) subscribe(ctx context.Context, client *kinesis.Client, name string, t *timings) error {
	summary, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	if err != nil {
		return err
	}
	consumer, err := client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: summary.StreamDescriptionSummary.StreamARN, ConsumerName: aws.String("bench")})
	if err != nil {
		return err
	}
	out, err := client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{ConsumerARN: consumer.Consumer.ConsumerARN, ShardId: aws.String("shardId-000000000000"),
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}})
	if err != nil {
		return err
	}
	events := out.GetStream()
	defer events.Close()
	for e := range events.Events() {
		event, ok := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent)
		if !ok {
			continue
		}
		if err := t.see(event.Value.Records); err != nil || len(t.took) >= b.tail {
			return err
		}
	}
	return errors.Join(errors.New("the subscription ended"), events.Err())
}
