package kinesis

import (
	"context"

	"github.com/millrace-io/millrace/engine/api/policy"
	"github.com/millrace-io/millrace/engine/api/wire"
)

type putPolicyInput struct{ arn, id, policy *string }

func (in *putPolicyInput) Fields(f *wire.Fields) {
	f.Text("ResourceARN", &in.arn, resourceARN)
	f.Text("StreamId", &in.id, streamID)
	f.Text("Policy", &in.policy, required)
}

// putPolicy is PutResourcePolicy. A document that is not understood whole is refused: what it leaves out could be what
// denies.
func (s *Service) putPolicy(ctx context.Context, in *putPolicyInput) error {
	if _, err := policy.Parse(*in.policy, policy.Resource); err != nil {
		return invalid("Policy is malformed, at line:column %v", err)
	}
	return s.setPolicy(ctx, *in.arn, *in.policy)
}

// deletePolicy is DeleteResourcePolicy.
func (s *Service) deletePolicy(ctx context.Context, in *resourceInput) error {
	return s.setPolicy(ctx, *in.arn, "")
}

func (s *Service) setPolicy(ctx context.Context, arn, text string) error {
	r, err := s.resource(ctx, arn)
	if err != nil {
		return err
	}
	if r.consumer != "" {
		return s.editConsumer(ctx, r, func(c *consumer) error {
			c.Policy = text
			return s.active(r.Name(), *c)
		})
	}
	return s.extras.change(ctx, r.Stream, func(e *extra) error { e.Policy = text; return nil })
}

type getPolicyOutput struct{ policy string }

func (out *getPolicyOutput) Fields(f *wire.Fields) { f.String("Policy", &out.policy) }

// getPolicy is GetResourcePolicy. One that is not set is an empty document.
func (s *Service) getPolicy(ctx context.Context, in *resourceInput) (*getPolicyOutput, error) {
	r, err := s.resource(ctx, *in.arn)
	if err != nil {
		return nil, err
	}
	e, err := s.extras.get(ctx, r.Stream)
	if err != nil {
		return nil, err
	}
	text := e.Policy
	if c, ok := e.consumer(r.consumer); ok {
		text = c.Policy
	}
	if text == "" {
		text = "{}"
	}
	return &getPolicyOutput{text}, nil
}
