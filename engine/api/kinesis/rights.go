package kinesis

import (
	"context"
	"errors"
	"strings"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
)

// onWhat is the type of the resource on which a caller needs a right.
type onWhat int

const (
	onNothing onWhat = iota // the resource is *
	onStream
	onConsumer
	// onEither is a stream or a consumer, whichever the request names.
	onEither
)

// right is what an operation asks of its caller: the action of the same name, on a resource.
type right struct {
	on onWhat
	// data says that the operation is about records: it is not in the audit log.
	data bool
	// change says that it changes something.
	change bool
}

// rights of all operations. Source: Service Authorization Reference, Amazon Kinesis Data Streams, and the developer
// guide's list for consumers (DescribeStreamConsumer, DeregisterStreamConsumer and SubscribeToShard on the consumer,
// RegisterStreamConsumer on the stream). It does not change.
var rights = map[string]right{
	"AddTagsToStream":                        {on: onStream, change: true},
	"CreateStream":                           {on: onStream, change: true},
	"DecreaseStreamRetentionPeriod":          {on: onStream, change: true},
	"DeleteResourcePolicy":                   {on: onEither, change: true},
	"DeleteStream":                           {on: onStream, change: true},
	"DeregisterStreamConsumer":               {on: onConsumer, change: true},
	"DescribeAccountSettings":                {on: onNothing},
	"DescribeLimits":                         {on: onNothing},
	"DescribeStream":                         {on: onStream},
	"DescribeStreamConsumer":                 {on: onConsumer},
	"DescribeStreamSummary":                  {on: onStream},
	"DisableEnhancedMonitoring":              {on: onStream, change: true},
	"EnableEnhancedMonitoring":               {on: onStream, change: true},
	"GetRecords":                             {on: onStream, data: true},
	"GetResourcePolicy":                      {on: onEither},
	"GetShardIterator":                       {on: onStream, data: true},
	"IncreaseStreamRetentionPeriod":          {on: onStream, change: true},
	"ListShards":                             {on: onStream},
	"ListStreamConsumers":                    {on: onStream},
	"ListStreams":                            {on: onNothing},
	"ListTagsForResource":                    {on: onEither},
	"ListTagsForStream":                      {on: onStream},
	"MergeShards":                            {on: onStream, change: true},
	"PutRecord":                              {on: onStream, data: true},
	"PutRecords":                             {on: onStream, data: true},
	"PutResourcePolicy":                      {on: onEither, change: true},
	"RegisterStreamConsumer":                 {on: onStream, change: true},
	"RemoveTagsFromStream":                   {on: onStream, change: true},
	"SplitShard":                             {on: onStream, change: true},
	"StartStreamEncryption":                  {on: onStream, change: true},
	"StopStreamEncryption":                   {on: onStream, change: true},
	"SubscribeToShard":                       {on: onConsumer, data: true},
	"TagResource":                            {on: onEither, change: true},
	"UntagResource":                          {on: onEither, change: true},
	"UpdateAccountSettings":                  {on: onNothing, change: true},
	"UpdateMaxRecordSize":                    {on: onStream, change: true},
	"UpdateShardCount":                       {on: onStream, change: true},
	"UpdateStreamMode":                       {on: onStream, change: true},
	"UpdateStreamRecordDistributionStrategy": {on: onStream, change: true},
	"UpdateStreamWarmThroughput":             {on: onStream, change: true},
}

// Actions are the names of all operations, as policies have them behind kinesis:.
func Actions() (names []string) {
	for name := range rights {
		names = append(names, name)
	}
	return names
}

// aim is what a request is about.
type aim struct {
	// stream is the name; empty when it is about none.
	stream string
	// consumer is what follows /consumer/ in the ARN: name and time of creation; empty for the stream itself.
	consumer string
	// also is one more action that is needed, and of which resource.
	also, on string
}

// aimed is a request that knows what it is about. Names are resolved as the operation itself resolves them, so that
// no spelling of an ARN leads around a policy.
type aimed interface {
	aim(ctx context.Context, s *Service) (aim, error)
}

// resource is the ARN, with the region and account of the server.
func (a aim) resource(s *Service) string {
	switch {
	case a.stream == "":
		return "*"
	case a.consumer != "":
		return s.arn(a.stream) + "/consumer/" + a.consumer
	}
	return s.arn(a.stream)
}

func (t *target) aim(context.Context, *Service) (aim, error) { return t.named() }

func (t *target) named() (aim, error) {
	name, err := t.streamName()
	return aim{stream: name}, err
}

// aimAt is what the ARN of a stream or consumer is about.
func aimAt(arn *string) (aim, error) {
	a, err := (&target{arn: arn}).named()
	if _, consumer, ok := strings.Cut(value(arn), "/consumer/"); ok {
		a.consumer = consumer
	}
	return a, err
}

// aimAtStream is what an ARN is about where only a stream can be meant.
func aimAtStream(arn *string) (aim, error) { return (&target{arn: arn}).named() }

func (*none) aim(context.Context, *Service) (aim, error)             { return aim{}, nil }
func (*accountSettings) aim(context.Context, *Service) (aim, error)  { return aim{}, nil }
func (*listStreamsInput) aim(context.Context, *Service) (aim, error) { return aim{}, nil }

func (in *resourceInput) aim(context.Context, *Service) (aim, error)      { return aimAt(in.arn) }
func (in *putPolicyInput) aim(context.Context, *Service) (aim, error)     { return aimAt(in.arn) }
func (in *tagResourceInput) aim(context.Context, *Service) (aim, error)   { return aimAt(in.arn) }
func (in *untagResourceInput) aim(context.Context, *Service) (aim, error) { return aimAt(in.arn) }
func (in *subscribeInput) aim(context.Context, *Service) (aim, error)     { return aimAt(in.arn) }

func (in *listConsumersInput) aim(context.Context, *Service) (aim, error) { return aimAtStream(in.arn) }
func (in *updateStreamModeInput) aim(context.Context, *Service) (aim, error) {
	return aimAtStream(in.arn)
}
func (in *updateMaxRecordSizeInput) aim(context.Context, *Service) (aim, error) {
	return aimAtStream(in.arn)
}
func (in *updateDistributionInput) aim(context.Context, *Service) (aim, error) {
	return aimAtStream(in.arn)
}

// aim of CreateStream: tags need AddTagsToStream besides (Kinesis API, CreateStream).
func (in *createStreamInput) aim(_ context.Context, s *Service) (aim, error) {
	a := aim{stream: value(in.name)}
	if len(in.tags) > 0 {
		a.also, a.on = "AddTagsToStream", s.arn(a.stream)
	}
	return a, nil
}

// aim of RegisterStreamConsumer: tags need TagResource on the new consumer (Kinesis API, RegisterStreamConsumer).
func (in *registerConsumerInput) aim(_ context.Context, s *Service) (aim, error) {
	a, err := aimAtStream(in.arn)
	if len(in.tags) > 0 {
		a.also, a.on = "TagResource", s.arn(a.stream)+"/consumer/"+value(in.name)
	}
	return a, err
}

// aim of a list of shards that goes on is what its token says.
func (in *listShardsInput) aim(_ context.Context, s *Service) (aim, error) {
	page, err := s.shardPage(in)
	return aim{stream: page.Stream}, err
}

func (in *getRecordsInput) aim(_ context.Context, s *Service) (aim, error) {
	payload, _, err := s.tokens.open(iteratorToken, *in.iterator)
	var at position
	if err == nil {
		at, err = decodePosition(payload)
	}
	if err != nil {
		return aim{}, invalid("Invalid ShardIterator.")
	}
	return aim{stream: at.stream}, nil
}

// aim of a consumer that is named without its ARN: it is looked for. One that is not there has an ARN without a time.
func (in *consumerInput) aim(ctx context.Context, s *Service) (aim, error) {
	if in.arn != nil {
		return aimAt(in.arn)
	}
	if in.stream == nil || in.name == nil {
		return aim{}, invalid("Either ConsumerARN, or both StreamARN and ConsumerName must be specified.")
	}
	a, err := aimAtStream(in.stream)
	a.consumer = *in.name
	if err != nil {
		return a, err
	}
	_, c, err := s.findConsumer(ctx, in)
	var gone *wire.Fault
	switch {
	case err == nil:
		_, a.consumer, _ = strings.Cut(s.consumerARN(a.stream, c), "/consumer/")
	case !errors.As(err, &gone):
		return a, err
	}
	return a, nil
}

// policyOf is the resource policy of what a request is about, empty without one.
func (s *Service) policyOf(ctx context.Context, a aim) (string, error) {
	// One that is being deleted is not opened again.
	if state, ok := s.states.of(a.stream); a.stream == "" || ok && state.status == stream.Deleting {
		return "", nil
	}
	st, err := s.o.Streams.Open(ctx, a.stream)
	if errors.Is(err, stream.ErrNotFound) || errors.Is(err, stream.ErrInvalid) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	e, err := s.extras.get(ctx, st)
	if err != nil || a.consumer == "" {
		return e.Policy, err
	}
	c, _ := s.consumerAt(a.stream, e, s.arn(a.stream)+"/consumer/"+a.consumer)
	return c.Policy, nil
}
