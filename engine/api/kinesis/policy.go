package kinesis

import (
	"context"
	"encoding/json"

	"github.com/millrace-io/millrace/engine/api/wire"
)

type putPolicyInput struct{ arn, id, policy *string }

// maxPolicy bounds a policy, in bytes.
const maxPolicy = 20 << 10

func (in *putPolicyInput) Fields(f *wire.Fields) {
	f.Text("ResourceARN", &in.arn, resourceARN)
	f.Text("StreamId", &in.id, streamID)
	f.Text("Policy", &in.policy, required)
}

// putPolicy is PutResourcePolicy. The policy is kept and shown; nobody is held to it yet.
func (s *Service) putPolicy(ctx context.Context, in *putPolicyInput) error {
	if len(*in.policy) > maxPolicy || !json.Valid([]byte(*in.policy)) {
		return invalid("Policy must be a JSON document of at most %d bytes.", maxPolicy)
	}
	return s.setPolicy(ctx, *in.arn, *in.policy)
}

// deletePolicy is DeleteResourcePolicy.
func (s *Service) deletePolicy(ctx context.Context, in *resourceInput) error {
	return s.setPolicy(ctx, *in.arn, "")
}

func (s *Service) setPolicy(ctx context.Context, arn, policy string) error {
	r, err := s.resource(ctx, arn)
	if err != nil {
		return err
	}
	if r.consumer != "" {
		return s.editConsumer(ctx, r, func(c *consumer) error { c.Policy = policy; return nil })
	}
	return s.extras.change(ctx, r.Stream, func(e *extra) error { e.Policy = policy; return nil })
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
	policy := e.Policy
	if c, ok := e.consumer(r.consumer); ok {
		policy = c.Policy
	}
	if policy == "" {
		policy = "{}"
	}
	return &getPolicyOutput{policy}, nil
}
