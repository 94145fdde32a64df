// Package kinesis answers the Amazon Kinesis Data Streams API (target prefix Kinesis_20131202) on the streams of
// a data directory. Each action has a file; package wire has the bodies, package auth the signatures.
//
// The invariant to remember: what an answer says was done is durable. Only the visible moments of
// CREATING, UPDATING and DELETING are in memory, and a restart ends them.
package kinesis

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/millrace-io/millrace/engine/api/audit"
	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
)

// Options of a Service. The zero value of a field has the default.
type Options struct {
	// Streams is what the API works on.
	Streams stream.Directory
	// Verifier tells who sent a request; nil means mode auth.Open.
	Verifier *auth.Verifier
	// Account and Region are parts of ARNs: 000000000000 and us-east-1 by default.
	Account, Region string
	// ShardQuota bounds the open shards of all streams; 500 by default.
	ShardQuota int
	// Settle is how long a stream is CREATING, UPDATING or DELETING after the change was made. Zero is not at
	// all.
	Settle time.Duration
	// Limits that new streams get. With stream.KinesisLimits operations are held to the rates of the service too, and
	// UpdateShardCount to its rules.
	Limits stream.Limits
	// MasterKey returns the name of the key that StartStreamEncryption uses, whatever KeyId the client says; nil
	// means that encryption is refused.
	MasterKey func() (string, error)
	// Memory bounds the bytes of requests and answers under way; 64 MiB by default.
	Memory int64
	// AnyOrigin lets all web pages ask in mode auth.Open; otherwise those of this machine may.
	AnyOrigin bool
	// Stored is told how many records a request stored; nil means nobody counts.
	Stored func(records int)
	// Audit gets an entry of each call that is not about records, and of refused ones that are; nil means none.
	Audit *audit.Log
	Now   func() time.Time
	Log   *slog.Logger
}

// Service answers requests. It is an http.Handler.
type Service struct {
	o       Options
	actions map[string]action
	memory  *semaphore.Weighted
	// small is memory for bodies that are small.
	small    *semaphore.Weighted
	arrivals arrivals
	// stall is stallAfter, or less in a test.
	stall         time.Duration
	tokens        *sealer
	states        states
	extras        extras
	subscriptions subscriptions
	policies      policies
	meters        meters
	days          days
}

// action answers one request: it appends the body of the answer to dst.
type action func(ctx context.Context, c *call, format wire.Format, body, dst []byte) ([]byte, error)

// New makes a service.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Account == "" {
		o.Account = "000000000000"
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.ShardQuota == 0 {
		o.ShardQuota = 500
	}
	if o.Memory == 0 {
		o.Memory = 64 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Stored == nil {
		o.Stored = func(int) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Verifier == nil {
		o.Verifier = &auth.Verifier{Mode: auth.Open, Service: "kinesis", Now: o.Now}
	}
	o.Memory = max(o.Memory, 2*maxAnswer)
	s := &Service{o: o, memory: semaphore.NewWeighted(o.Memory), small: semaphore.NewWeighted(smallMemory), stall: stallAfter}
	s.arrivals.most = maxArriving
	s.states = states{now: o.Now, settle: o.Settle, list: map[string]state{}}
	s.extras = extras{meta: o.Streams.Meta(), cache: map[string]extra{}}
	secret, err := s.extras.secret(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the Kinesis API: %w", err)
	}
	s.meters = meters{now: o.Now, list: map[meterKey]*meter{}}
	s.days.list = map[meterKey][]time.Time{}
	s.subscriptions.list = map[subscriptionKey]*subscription{}
	s.tokens = &sealer{secret: secret, now: o.Now}
	s.actions = s.table()
	return s, nil
}

// shape is a *T that is a wire.Shape.
type shape[T any] interface {
	*T
	wire.Shape
}

// input is a shape that knows what it is about.
type input[T any] interface {
	shape[T]
	aimed
}

// act is the action that decodes and checks a request, runs it and encodes its answer.
func act[In, Out any, I input[In], O shape[Out]](run func(ctx context.Context, in I) (O, error)) action {
	return func(ctx context.Context, c *call, format wire.Format, body, dst []byte) ([]byte, error) {
		in := I(new(In))
		if err := c.decode(ctx, format, body, in); err != nil {
			return nil, err
		}
		out, err := run(ctx, in)
		if err != nil {
			return nil, err
		}
		return wire.Encode(format, dst, out), nil
	}
}

// silent is act for an action whose answer has no body.
func silent[In any, I input[In]](run func(ctx context.Context, in I) error) action {
	return func(ctx context.Context, c *call, format wire.Format, body, dst []byte) ([]byte, error) {
		in := I(new(In))
		if err := c.decode(ctx, format, body, in); err != nil {
			return nil, err
		}
		return dst, run(ctx, in)
	}
}

// decode reads a request and refuses what is wrong with it, and what its sender has no right to.
func (c *call) decode(ctx context.Context, format wire.Format, body []byte, in interface {
	wire.Shape
	aimed
}) error {
	if err := wire.Decode(format, body, in); err != nil {
		return err
	}
	if v := wire.Check(in); !v.None() {
		return &wire.Fault{Type: "ValidationException", Message: v.String()}
	}
	if err := c.allow(ctx, in); err != nil {
		return err
	}
	return c.pace(ctx, in)
}

// table is every action under its name.
func (s *Service) table() map[string]action {
	return map[string]action{
		"AddTagsToStream":                        silent(s.addTags),
		"CreateStream":                           silent(s.createStream),
		"DecreaseStreamRetentionPeriod":          silent(s.decreaseRetention),
		"DeleteResourcePolicy":                   silent(s.deletePolicy),
		"DeleteStream":                           silent(s.deleteStream),
		"DeregisterStreamConsumer":               silent(s.deregisterConsumer),
		"DescribeAccountSettings":                act(s.describeAccount),
		"DescribeLimits":                         act(s.describeLimits),
		"DescribeStream":                         act(s.describeStream),
		"DescribeStreamConsumer":                 act(s.describeConsumer),
		"DescribeStreamSummary":                  act(s.describeSummary),
		"DisableEnhancedMonitoring":              act(s.disableMonitoring),
		"EnableEnhancedMonitoring":               act(s.enableMonitoring),
		"GetResourcePolicy":                      act(s.getPolicy),
		"GetShardIterator":                       act(s.getShardIterator),
		"IncreaseStreamRetentionPeriod":          silent(s.increaseRetention),
		"ListShards":                             act(s.listShards),
		"ListStreamConsumers":                    act(s.listConsumers),
		"ListStreams":                            act(s.listStreams),
		"ListTagsForResource":                    act(s.listTagsForResource),
		"ListTagsForStream":                      act(s.listTagsForStream),
		"MergeShards":                            silent(s.mergeShards),
		"PutRecord":                              act(s.putRecord),
		"PutRecords":                             act(s.putRecords),
		"PutResourcePolicy":                      silent(s.putPolicy),
		"RegisterStreamConsumer":                 act(s.registerConsumer),
		"RemoveTagsFromStream":                   silent(s.removeTags),
		"SplitShard":                             silent(s.splitShard),
		"StartStreamEncryption":                  silent(s.startEncryption),
		"StopStreamEncryption":                   silent(s.stopEncryption),
		"TagResource":                            silent(s.tagResource),
		"UntagResource":                          silent(s.untagResource),
		"UpdateAccountSettings":                  act(s.updateAccount),
		"UpdateMaxRecordSize":                    silent(s.updateMaxRecordSize),
		"UpdateShardCount":                       act(s.updateShardCount),
		"UpdateStreamMode":                       silent(s.updateStreamMode),
		"UpdateStreamRecordDistributionStrategy": silent(s.updateDistribution),
		"UpdateStreamWarmThroughput":             act(s.updateWarmThroughput),
	}
}
