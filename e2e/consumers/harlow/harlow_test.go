// Package harlow runs github.com/harlow/kinesis-consumer, which uses aws-sdk-go v1.
package harlow

//lint:file-ignore SA1019 the consumer is made of the SDK that is deprecated, and so are programs that use it

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/kinesis"
	consumer "github.com/harlow/kinesis-consumer"
	memory "github.com/harlow/kinesis-consumer/store/memory"

	"github.com/millrace-io/millrace/e2e/consumers"
)

// The consumer reads a shard to its end after a split. It
// looks for new shards twice a minute, so here it is begun again and goes on from its checkpoints.
func TestConsumerReadsThroughASplit(t *testing.T) {
	s := consumers.Serve(t)
	login, err := session.NewSession(&aws.Config{Endpoint: aws.String(s.Endpoint), Region: aws.String("us-east-1"),
		Credentials: credentials.NewStaticCredentials("AKIDHARLOW", "secret", "")})
	if err != nil {
		t.Fatal(err)
	}
	p, store := consumers.NewTape(), memory.New()
	// scan consumes until step is done.
	scan := func(step func()) {
		t.Helper()
		c, err := consumer.New("s", consumer.WithClient(kinesis.New(login)), consumer.WithStore(store), consumer.WithScanInterval(20*time.Millisecond),
			consumer.WithShardIteratorType(kinesis.ShardIteratorTypeTrimHorizon), consumer.WithMaxRecords(30),
			consumer.WithShardClosedHandler(func(_, shard string) error { p.End(shard); return nil }))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan error, 1)
		go func() {
			ended <- c.Scan(ctx, func(r *consumer.Record) error { p.Take(r.ShardID, *r.SequenceNumber, string(r.Data)); return nil })
		}()
		step()
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	scan(func() {
		s.Feed(0, 200)
		p.Has(t, 200, "")
		s.Feed(200, 400)
		s.Split()
		s.Feed(400, 600)
		p.Has(t, 400, consumers.First)
	})
	scan(func() {
		s.Feed(600, 800)
		p.Has(t, 800, "")
	})
	p.Check(t, 800)
}
