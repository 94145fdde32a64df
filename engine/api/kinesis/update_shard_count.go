package kinesis

import (
	"context"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
)

type updateShardCountInput struct {
	target
	count   *int64
	scaling *string
}

var scalingRule = &wire.Rule{Required: true, Enum: []string{"UNIFORM_SCALING"}}

func (in *updateShardCountInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Int("TargetShardCount", &in.count, atLeast1)
	f.Text("ScalingType", &in.scaling, scalingRule)
}

type updateShardCountOutput struct {
	name, arn       string
	current, wanted int64
}

func (out *updateShardCountOutput) Fields(f *wire.Fields) {
	f.String("StreamName", &out.name)
	f.Count("CurrentShardCount", &out.current)
	f.Count("TargetShardCount", &out.wanted)
	f.String("StreamARN", &out.arn)
}

// maxTarget is the highest TargetShardCount (Kinesis API, UpdateShardCount).
const maxTarget = 10_000

// updateShardCount is UpdateShardCount. The shards are as they were asked for when it returns.
func (s *Service) updateShardCount(ctx context.Context, in *updateShardCountInput) (*updateShardCountOutput, error) {
	out := &updateShardCountOutput{wanted: *in.count}
	err := s.reshape(ctx, &in.target, func(st *stream.Stream) error {
		have := int64(st.Describe().OpenShards)
		out.name, out.arn, out.current = st.Name(), s.arn(st.Name()), have
		if *in.count > maxTarget {
			return limitExceeded("UpdateShardCount cannot be requested for more than %d shards.", maxTarget)
		}
		// With limits the service's rule holds; without them any number will do.
		if s.o.Limits == stream.KinesisLimits && (*in.count > 2*have || 2**in.count < have) {
			return limitExceeded("UpdateShardCount cannot scale to %d from %d open shards: at most double, at least half of them.", *in.count, have)
		}
		if err := s.checkQuota(ctx, int(*in.count-have)); *in.count > have && err != nil {
			return err
		}
		return s.sparingly("UpdateShardCount", st, func() error { return st.Reshard(ctx, int(*in.count)) })
	})
	return out, err
}
