package kinesis

import (
	"context"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
)

type updateStreamModeInput struct {
	arn, id *string
	mode    *modeDetails
	warm    *int64
}

func (in *updateStreamModeInput) Fields(f *wire.Fields) {
	f.Text("StreamARN", &in.arn, streamARNNeeded)
	f.Text("StreamId", &in.id, streamID)
	wire.Struct(f, "StreamModeDetails", &in.mode, required)
	f.Int("WarmThroughputMiBps", &in.warm, warmThroughput)
}

// updateStreamMode is UpdateStreamMode. Shards stay as they are.
func (s *Service) updateStreamMode(ctx context.Context, in *updateStreamModeInput) error {
	mode := stream.Provisioned
	if *in.mode.mode == onDemand {
		mode = stream.OnDemand
	} else if in.warm != nil {
		return validation("WarmThroughputMiBps is for streams in on-demand mode only.")
	}
	return s.change(ctx, &target{arn: in.arn}, func(st *stream.Stream) error {
		if err := s.sparingly("UpdateStreamMode", st, func() error { return st.Configure(ctx, stream.Settings{Mode: mode}) }); err != nil {
			return err
		}
		return s.extras.change(ctx, st, func(e *extra) error {
			e.Warm = value(in.warm)
			e.Auto = e.Auto && mode == stream.OnDemand
			return nil
		})
	})
}

type updateMaxRecordSizeInput struct {
	arn, id *string
	size    *int64
}

func (in *updateMaxRecordSizeInput) Fields(f *wire.Fields) {
	f.Text("StreamARN", &in.arn, streamARN)
	f.Text("StreamId", &in.id, streamID)
	f.Int("MaxRecordSizeInKiB", &in.size, recordSizeAsked)
}

// updateMaxRecordSize is UpdateMaxRecordSize.
func (s *Service) updateMaxRecordSize(ctx context.Context, in *updateMaxRecordSizeInput) error {
	return s.change(ctx, &target{arn: in.arn}, func(st *stream.Stream) error {
		return st.Configure(ctx, stream.Settings{MaxRecord: int(*in.size) << 10})
	})
}

type updateDistributionInput struct{ arn, id, strategy *string }

func (in *updateDistributionInput) Fields(f *wire.Fields) {
	f.Text("StreamARN", &in.arn, streamARNNeeded)
	f.Text("StreamId", &in.id, streamID)
	f.Text("RecordDistributionStrategy", &in.strategy, strategyAsked)
}

// updateDistribution is UpdateStreamRecordDistributionStrategy.
func (s *Service) updateDistribution(ctx context.Context, in *updateDistributionInput) error {
	st, err := s.stream(ctx, &target{arn: in.arn})
	if err != nil {
		return err
	}
	if st.Settings().Mode != stream.OnDemand {
		return invalid("RecordDistributionStrategy can be changed for streams in on-demand mode only.")
	}
	return s.extras.change(ctx, st, func(e *extra) error { e.Auto = *in.strategy == automatic; return nil })
}

type updateWarmThroughputInput struct {
	target
	warm *int64
}

func (in *updateWarmThroughputInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Int("WarmThroughputMiBps", &in.warm, &wire.Rule{Required: true, HasMin: true})
}

type updateWarmThroughputOutput struct {
	arn, name string
	warm      *warmShape
}

func (out *updateWarmThroughputOutput) Fields(f *wire.Fields) {
	f.String("StreamARN", &out.arn)
	f.String("StreamName", &out.name)
	wire.Struct(f, "WarmThroughput", &out.warm, nil)
}

// maxWarm is the highest warm throughput, in MiB/s.
const maxWarm = 10 << 10

// updateWarmThroughput is UpdateStreamWarmThroughput. It is noted and described: shards follow the load within
// seconds here.
func (s *Service) updateWarmThroughput(ctx context.Context, in *updateWarmThroughputInput) (*updateWarmThroughputOutput, error) {
	out := &updateWarmThroughputOutput{}
	err := s.change(ctx, &in.target, func(st *stream.Stream) error {
		if st.Settings().Mode != stream.OnDemand || *in.warm > maxWarm {
			return validation("WarmThroughputMiBps is for streams in on-demand mode, and at most %d.", maxWarm)
		}
		out.arn, out.name = s.arn(st.Name()), st.Name()
		return s.extras.change(ctx, st, func(e *extra) error {
			out.warm = &warmShape{target: *in.warm, current: *in.warm}
			e.Warm = *in.warm
			return nil
		})
	})
	return out, err
}
