package linear

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// API is what of a client of Kinesis is used; *kinesis.Client has it.
type API interface {
	PutRecord(context.Context, *kinesis.PutRecordInput, ...func(*kinesis.Options)) (*kinesis.PutRecordOutput, error)
	PutRecords(context.Context, *kinesis.PutRecordsInput, ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error)
	GetShardIterator(context.Context, *kinesis.GetShardIteratorInput, ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(context.Context, *kinesis.GetRecordsInput, ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
}

// Client does one thing after the other.
type Client struct {
	API     API
	History *History
	Random  *rand.Rand
	ID      int
	Stream  string
	// Shards of the stream, with a hash key that lies in each.
	Shards []Shard
	// Again is set if the API sends a request again whose answer it does not get.
	Again bool
	// Patience is how long an answer may take.
	Patience time.Duration
	// Failed is called after each request without an answer.
	Failed func(context.Context)

	sent int
	// iterator of at, if there is one.
	iterator *string
	at       *anchor
	// last number that this client was told of each shard.
	last map[string]string
}

// Shard is one of a stream.
type Shard struct{ ID, HashKey string }

// Run does things until n of them were answered, or ctx is done.
func (c *Client) Run(ctx context.Context, n int) {
	c.last = map[string]string{}
	for n > 0 && ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, c.Patience)
		ok := c.one(one)
		cancel()
		if ok {
			n--
		} else {
			c.Failed(ctx)
		}
	}
}

// one does something and reports whether it was answered.
func (c *Client) one(ctx context.Context) bool {
	switch x := c.Random.IntN(100); {
	case x < 35:
		return c.putSome(ctx)
	case x < 50:
		return c.putOne(ctx)
	case x < 60 || c.iterator == nil:
		return c.iterate(ctx)
	}
	return c.read(ctx)
}

func (c *Client) shard() Shard { return c.Shards[c.Random.IntN(len(c.Shards))] }

// record is one that nobody else sends.
func (c *Client) record(shard Shard) (*Put, []byte) {
	c.sent++
	value := fmt.Sprintf("%d-%d-%s", c.ID, c.sent, strconv.FormatUint(c.Random.Uint64(), 36))
	return c.History.Sent(c.ID, shard.ID, value, c.Again), []byte(value)
}

func (c *Client) putOne(ctx context.Context) bool {
	shard := c.shard()
	put, data := c.record(shard)
	in := &kinesis.PutRecordInput{StreamName: &c.Stream, PartitionKey: aws.String("k"), ExplicitHashKey: &shard.HashKey, Data: data}
	if n := c.last[shard.ID]; n != "" && c.Random.IntN(2) == 0 {
		in.SequenceNumberForOrdering = &n
	}
	out, err := c.API.PutRecord(ctx, in)
	if err != nil {
		return false
	}
	c.History.Answered(put, *out.SequenceNumber)
	c.last[shard.ID] = *out.SequenceNumber
	return true
}

func (c *Client) putSome(ctx context.Context) bool {
	in := &kinesis.PutRecordsInput{StreamName: &c.Stream}
	var puts []*Put
	before := map[string]*Put{}
	for range 1 + c.Random.IntN(5) {
		shard := c.shard()
		put, data := c.record(shard)
		put.after, before[shard.ID] = before[shard.ID], put
		puts = append(puts, put)
		in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), ExplicitHashKey: &shard.HashKey, Data: data})
	}
	out, err := c.API.PutRecords(ctx, in)
	if err != nil {
		return false
	}
	for i, r := range out.Records {
		if r.SequenceNumber != nil {
			c.History.Answered(puts[i], *r.SequenceNumber)
			c.last[*r.ShardId] = *r.SequenceNumber
		}
	}
	return true
}

// iterate begins to read somewhere.
func (c *Client) iterate(ctx context.Context) bool {
	shard := c.shard()
	in := &kinesis.GetShardIteratorInput{StreamName: &c.Stream, ShardId: &shard.ID}
	last := c.last[shard.ID]
	at := start(c.ID, shard.ID, "", false)
	switch x := c.Random.IntN(4); {
	case x == 0:
		in.ShardIteratorType = types.ShardIteratorTypeLatest
	case x == 1 && last != "":
		in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeAtSequenceNumber, &last
		at.number, at.at = last, true
	case x == 2 && last != "":
		in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &last
		at.number = last
	default:
		in.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
	}
	call := c.History.now()
	out, err := c.API.GetShardIterator(ctx, in)
	if err != nil {
		return false
	}
	if in.ShardIteratorType == types.ShardIteratorTypeLatest {
		at = c.History.latest(c.ID, shard.ID, call)
	}
	c.iterator, c.at = out.ShardIterator, at
	return true
}

// read reads on; now and then it reads the same again.
func (c *Client) read(ctx context.Context) bool {
	in := &kinesis.GetRecordsInput{ShardIterator: c.iterator}
	if c.Random.IntN(2) == 0 {
		in.Limit = aws.Int32(int32(1 + c.Random.IntN(20)))
	}
	call := c.History.now()
	out, err := c.API.GetRecords(ctx, in)
	if err != nil {
		return false
	}
	records := stored(out.Records)
	at := c.History.saw(c.ID, c.at, call, records, *out.MillisBehindLatest == 0)
	if len(records) > 0 {
		c.last[at.shard] = at.number
	}
	if c.Random.IntN(10) > 0 {
		c.iterator, c.at = out.NextShardIterator, at
	}
	return true
}

func stored(records []types.Record) (list []Stored) {
	for _, r := range records {
		list = append(list, Stored{*r.SequenceNumber, string(r.Data)})
	}
	return list
}

// Finish reads the shards from beginning to end. Nobody may write any more.
func (c *Client) Finish(ctx context.Context) error {
	for _, shard := range c.Shards {
		it, err := c.API.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: &c.Stream, ShardId: &shard.ID, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		if err != nil {
			return fmt.Errorf("iterate over %s: %w", shard.ID, err)
		}
		var all []Stored
		for next, tip := it.ShardIterator, false; !tip; {
			out, err := c.API.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				return fmt.Errorf("read %s: %w", shard.ID, err)
			}
			all = append(all, stored(out.Records)...)
			next, tip = out.NextShardIterator, *out.MillisBehindLatest == 0
		}
		c.History.End(shard.ID, all)
	}
	return nil
}
