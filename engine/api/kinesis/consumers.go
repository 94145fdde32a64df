package kinesis

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
)

// maxConsumers of a stream (Kinesis API, RegisterStreamConsumer).
const maxConsumers = 20

// consumer finds one by name.
func (e extra) consumer(name string) (consumer, bool) {
	i := slices.IndexFunc(e.Consumers, func(c consumer) bool { return c.Name == name && name != "" })
	if i < 0 {
		return consumer{}, false
	}
	return e.Consumers[i], true
}

func (s *Service) consumerARN(stream string, c consumer) string {
	return s.arn(stream) + "/consumer/" + c.Name + ":" + strconv.FormatInt(c.Created.Unix(), 10)
}

// consumerAt finds the consumer of an ARN: one that was registered again under its name has another.
func (s *Service) consumerAt(stream string, e extra, arn string) (consumer, bool) {
	_, rest, ok := strings.Cut(arn, "/consumer/")
	if !ok {
		return consumer{}, false
	}
	name, created, _ := strings.Cut(rest, ":")
	c, ok := e.consumer(name)
	return c, ok && strconv.FormatInt(c.Created.Unix(), 10) == created
}

func (s *Service) noConsumer(what string) error {
	return notFound("Consumer %s under account %s not found.", what, s.o.Account)
}

// editConsumer changes a consumer that resource found.
func (s *Service) editConsumer(ctx context.Context, r resource, edit func(*consumer) error) error {
	return s.extras.change(ctx, r.Stream, func(e *extra) error {
		e.Consumers = slices.Clone(e.Consumers)
		for i := range e.Consumers {
			if e.Consumers[i].Name == r.consumer {
				return edit(&e.Consumers[i])
			}
		}
		return s.noConsumer(r.consumer)
	})
}

// consumerShape is Consumer, and with a stream ConsumerDescription.
type consumerShape struct {
	name, arn, status, stream string
	created                   time.Time
}

func (c *consumerShape) Fields(f *wire.Fields) {
	f.String("ConsumerName", &c.name)
	f.String("ConsumerARN", &c.arn)
	f.String("ConsumerStatus", &c.status)
	f.Time("ConsumerCreationTimestamp", &c.created, nil)
	f.String("StreamARN", &c.stream)
}

// creating reports whether a consumer is not ACTIVE yet.
func (s *Service) creating(c consumer) bool { return s.o.Now().Before(c.Created.Add(s.o.Settle)) }

// active refuses a consumer that is CREATING, as the service does.
func (s *Service) active(stream string, c consumer) error {
	if !s.creating(c) {
		return nil
	}
	return inUse("Consumer %s with creation timestamp %d under stream %s and account %s is not in ACTIVE status.", c.Name, c.Created.Unix(), stream, s.o.Account)
}

func (s *Service) consumerOf(stream string, c consumer) *consumerShape {
	status := "ACTIVE"
	if s.creating(c) {
		status = "CREATING"
	}
	return &consumerShape{name: c.Name, arn: s.consumerARN(stream, c), status: status, created: c.Created}
}

type registerConsumerInput struct {
	arn, id, name *string
	tags          map[string]string
}

func (in *registerConsumerInput) Fields(f *wire.Fields) {
	f.Text("StreamARN", &in.arn, streamARNNeeded)
	f.Text("StreamId", &in.id, streamID)
	f.Text("ConsumerName", &in.name, nameRequired)
	f.Map("Tags", &in.tags, tagMap, tagKey, tagValue)
}

type registerConsumerOutput struct{ consumer *consumerShape }

func (out *registerConsumerOutput) Fields(f *wire.Fields) {
	wire.Struct(f, "Consumer", &out.consumer, nil)
}

// registerConsumer is RegisterStreamConsumer.
func (s *Service) registerConsumer(ctx context.Context, in *registerConsumerInput) (*registerConsumerOutput, error) {
	st, err := s.stream(ctx, &target{arn: in.arn})
	if err != nil {
		return nil, err
	}
	if _, err := stream.ChangeTags(nil, in.tags, nil); err != nil {
		return nil, err
	}
	c := consumer{Name: *in.name, Created: s.o.Now().UTC().Truncate(time.Millisecond), Tags: in.tags}
	err = s.extras.change(ctx, st, func(e *extra) error {
		if _, ok := e.consumer(c.Name); ok {
			return inUse("Consumer %s of stream %s under account %s already exists.", c.Name, st.Name(), s.o.Account)
		}
		if len(e.Consumers) >= maxConsumers {
			return limitExceeded("Stream %s under account %s may have %d consumers at most.", st.Name(), s.o.Account, maxConsumers)
		}
		e.Consumers = append(slices.Clone(e.Consumers), c)
		slices.SortFunc(e.Consumers, func(a, b consumer) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &registerConsumerOutput{s.consumerOf(st.Name(), c)}, nil
}

// consumerInput names a consumer by its ARN, or by its stream and name.
type consumerInput struct{ stream, id, name, arn *string }

func (in *consumerInput) Fields(f *wire.Fields) {
	f.Text("StreamARN", &in.stream, streamARN)
	f.Text("StreamId", &in.id, streamID)
	f.Text("ConsumerName", &in.name, nameRule)
	f.Text("ConsumerARN", &in.arn, consumerARN)
}

// find finds the consumer that a request names.
func (s *Service) findConsumer(ctx context.Context, in *consumerInput) (*stream.Stream, consumer, error) {
	arn := in.arn
	if arn == nil {
		arn = in.stream
	}
	if arn == nil || in.arn == nil && in.name == nil {
		return nil, consumer{}, invalid("Either ConsumerARN, or both StreamARN and ConsumerName must be specified.")
	}
	st, err := s.stream(ctx, &target{arn: arn})
	if err != nil {
		return nil, consumer{}, err
	}
	e, err := s.extras.get(ctx, st)
	if err != nil {
		return nil, consumer{}, err
	}
	if in.arn == nil {
		if c, ok := e.consumer(*in.name); ok {
			return st, c, nil
		}
		return nil, consumer{}, s.noConsumer(*in.name)
	}
	c, ok := s.consumerAt(st.Name(), e, *in.arn)
	if !ok || in.name != nil && *in.name != c.Name {
		return nil, consumer{}, s.noConsumer(*in.arn)
	}
	return st, c, nil
}

// deregisterConsumer is DeregisterStreamConsumer.
func (s *Service) deregisterConsumer(ctx context.Context, in *consumerInput) error {
	st, c, err := s.findConsumer(ctx, in)
	if err != nil {
		return err
	}
	err = s.extras.change(ctx, st, func(e *extra) error {
		e.Consumers = slices.DeleteFunc(slices.Clone(e.Consumers), func(x consumer) bool { return x.Name == c.Name })
		return nil
	})
	if err == nil {
		arn := s.consumerARN(st.Name(), c)
		s.subscriptions.end(s.noConsumer(arn), func(k subscriptionKey) bool { return k.consumer == arn })
	}
	return err
}

type describeConsumerOutput struct{ consumer *consumerShape }

func (out *describeConsumerOutput) Fields(f *wire.Fields) {
	wire.Struct(f, "ConsumerDescription", &out.consumer, nil)
}

// describeConsumer is DescribeStreamConsumer.
func (s *Service) describeConsumer(ctx context.Context, in *consumerInput) (*describeConsumerOutput, error) {
	st, c, err := s.findConsumer(ctx, in)
	if err != nil {
		return nil, err
	}
	d := s.consumerOf(st.Name(), c)
	d.stream = s.arn(st.Name())
	return &describeConsumerOutput{d}, nil
}

type listConsumersInput struct {
	arn, id, next *string
	limit         *int64
	created       time.Time
}

func (in *listConsumersInput) Fields(f *wire.Fields) {
	f.Text("StreamARN", &in.arn, streamARNNeeded)
	f.Text("StreamId", &in.id, streamID)
	f.Text("NextToken", &in.next, nextToken)
	f.Int("MaxResults", &in.limit, upTo10000)
	f.Time("StreamCreationTimestamp", &in.created, nil)
}

type listConsumersOutput struct {
	consumers []consumerShape
	next      string
}

func (out *listConsumersOutput) Fields(f *wire.Fields) {
	wire.List(f, "Consumers", &out.consumers, nil)
	f.String("NextToken", &out.next)
}

// listConsumers is ListStreamConsumers.
func (s *Service) listConsumers(ctx context.Context, in *listConsumersInput) (*listConsumersOutput, error) {
	st, err := s.stream(ctx, &target{arn: in.arn})
	if err != nil {
		return nil, err
	}
	after := ""
	if in.next != nil {
		last, err := s.page(consumersToken, *in.next)
		if err != nil {
			return nil, err
		}
		after = string(last)
	}
	e, err := s.extras.get(ctx, st)
	if err != nil {
		return nil, err
	}
	limit := listed
	if in.limit != nil {
		limit = int(*in.limit)
	}
	out := &listConsumersOutput{consumers: []consumerShape{}}
	for _, c := range e.Consumers {
		if c.Name <= after {
			continue
		}
		if len(out.consumers) == limit {
			out.next = s.tokens.seal(consumersToken, []byte(out.consumers[limit-1].name))
			break
		}
		out.consumers = append(out.consumers, *s.consumerOf(st.Name(), c))
	}
	return out, nil
}
