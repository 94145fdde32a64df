package kinesis

import (
	"context"
	"errors"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
)

const (
	// defaultRetention of a stream (Kinesis API, CreateStream).
	defaultRetention = 24 * time.Hour
	// onDemandShards is how many a stream begins with that nobody provisioned.
	onDemandShards = 4
	// maxCreating is how many streams may be CREATING.
	maxCreating = 5
	onDemand    = "ON_DEMAND"
	automatic   = "AUTO"
)

// modeDetails is StreamModeDetails.
type modeDetails struct{ mode *string }

func (m *modeDetails) Fields(f *wire.Fields) { f.Text("StreamMode", &m.mode, modeRule) }

type createStreamInput struct {
	name               *string
	shards             *int64
	mode               *modeDetails
	tags               map[string]string
	warm, recordSizeKB *int64
	strategy           *string
}

func (in *createStreamInput) Fields(f *wire.Fields) {
	f.Text("StreamName", &in.name, nameRequired)
	f.Int("ShardCount", &in.shards, shardCount)
	wire.Struct(f, "StreamModeDetails", &in.mode, nil)
	f.Map("Tags", &in.tags, tagMap, tagKey, tagValue)
	f.Int("WarmThroughputMiBps", &in.warm, warmThroughput)
	f.Int("MaxRecordSizeInKiB", &in.recordSizeKB, recordSize)
	f.Text("RecordDistributionStrategy", &in.strategy, strategyRule)
}

// onDemand reports whether the stream is to scale by itself: also when nothing is said.
func (in *createStreamInput) onDemand() bool {
	if in.mode == nil {
		return in.shards == nil
	}
	return value(in.mode.mode) == onDemand
}

func (in *createStreamInput) check() error {
	switch auto := in.onDemand(); {
	case auto && in.shards != nil:
		return validation("ShardCount must not be specified for streams in on-demand mode.")
	case !auto && in.shards == nil:
		return validation("ShardCount must be specified for streams in provisioned mode.")
	case !auto && in.warm != nil:
		return validation("WarmThroughputMiBps is for streams in on-demand mode only.")
	case !auto && value(in.strategy) == automatic:
		return invalid("RecordDistributionStrategy AUTO is for streams in on-demand mode only.")
	}
	return nil
}

// createStream is CreateStream. The stream is there when it returns.
func (s *Service) createStream(ctx context.Context, in *createStreamInput) error {
	if err := in.check(); err != nil {
		return err
	}
	name := *in.name
	shards := onDemandShards
	settings := stream.Settings{Mode: stream.OnDemand, Limits: s.o.Limits}
	if !in.onDemand() {
		shards, settings.Mode = int(min(*in.shards, 1<<30)), stream.Provisioned
	}
	if in.recordSizeKB != nil {
		settings.MaxRecord = int(*in.recordSizeKB) << 10
	}
	if s.states.creating() >= maxCreating {
		return limitExceeded("Stream count limit in state CREATING exceeded: at most %d streams may be created at once.", maxCreating)
	}
	if _, ok := s.states.begin(name, state{status: stream.Creating}); !ok {
		return s.exists(name)
	}
	err := s.makeStream(ctx, in, stream.Spec{
		Name: name, Shards: shards, Retention: defaultRetention, Settings: settings, Tags: in.tags,
	})
	s.states.end(name, err)
	return err
}

func (s *Service) makeStream(ctx context.Context, in *createStreamInput, spec stream.Spec) error {
	if _, err := s.o.Streams.Open(ctx, spec.Name); err == nil {
		return s.exists(spec.Name)
	}
	if err := s.checkQuota(ctx, spec.Shards); err != nil {
		return err
	}
	err := s.o.Streams.New(ctx, spec)
	if errors.Is(err, stream.ErrExists) {
		return s.exists(spec.Name)
	}
	if err != nil || in.warm == nil && in.strategy == nil {
		return err
	}
	st, err := s.open(ctx, spec.Name)
	if err != nil {
		return err
	}
	return s.extras.change(ctx, st, func(e *extra) error {
		e.Warm, e.Auto = value(in.warm), value(in.strategy) == automatic
		return nil
	})
}

func (s *Service) exists(name string) error {
	return inUse("Stream %s under account %s already exists.", name, s.o.Account)
}

// openShards counts those of all streams.
func (s *Service) openShards(ctx context.Context) (shards int, onDemand int64, err error) {
	names, err := s.o.Streams.Names(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, name := range names {
		st, err := s.o.Streams.Open(ctx, name)
		if errors.Is(err, stream.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return 0, 0, err
		}
		d := st.Describe()
		shards += d.OpenShards
		if d.Settings.Mode == stream.OnDemand {
			onDemand++
		}
	}
	return shards, onDemand, nil
}

// checkQuota refuses to open more shards than the account may have.
func (s *Service) checkQuota(ctx context.Context, more int) error {
	have, _, err := s.openShards(ctx)
	if err != nil || have+more <= s.o.ShardQuota {
		return err
	}
	return limitExceeded("This request would exceed the shard limit for the account %s in %s. Current shard count for the account: %d. Limit: %d. "+
		"Number of additional shards that would have resulted from this request: %d. Refer to the AWS Service Limits page "+
		"(http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.",
		s.o.Account, s.o.Region, have, s.o.ShardQuota, more)
}
