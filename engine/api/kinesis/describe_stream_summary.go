package kinesis

import (
	"context"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
)

type describeSummaryInput struct{ target }

func (in *describeSummaryInput) Fields(f *wire.Fields) { in.fields(f) }

// warmShape is WarmThroughputObject.
type warmShape struct{ target, current int64 }

func (w *warmShape) Fields(f *wire.Fields) {
	f.Count("TargetMiBps", &w.target)
	f.Count("CurrentMiBps", &w.current)
}

type summary struct {
	head
	open, consumers, recordSize int64
	warm                        *warmShape
	strategy                    string
}

func (d *summary) Fields(f *wire.Fields) {
	d.fields(f)
	f.Count("OpenShardCount", &d.open)
	f.Count("ConsumerCount", &d.consumers)
	f.Count("MaxRecordSizeInKiB", &d.recordSize)
	wire.Struct(f, "WarmThroughput", &d.warm, nil)
	f.String("RecordDistributionStrategy", &d.strategy)
}

type describeSummaryOutput struct{ summary *summary }

func (out *describeSummaryOutput) Fields(f *wire.Fields) {
	wire.Struct(f, "StreamDescriptionSummary", &out.summary, nil)
}

// describeSummary is DescribeStreamSummary.
func (s *Service) describeSummary(ctx context.Context, in *describeSummaryInput) (*describeSummaryOutput, error) {
	v, err := s.see(ctx, &in.target)
	if err != nil {
		return nil, err
	}
	d := &summary{
		head: s.headOf(v), open: int64(v.OpenShards), consumers: int64(len(v.extra.Consumers)),
		recordSize: int64(recordLimit(v.Settings) >> 10), strategy: "USER_PARTITION_KEY",
	}
	if v.extra.Auto {
		d.strategy = automatic
	}
	if v.Settings.Mode == stream.OnDemand {
		d.warm = &warmShape{v.extra.Warm, v.extra.Warm}
	}
	return &describeSummaryOutput{d}, nil
}

// recordLimit is what a client's record may have at most, in bytes.
func recordLimit(s stream.Settings) int {
	if s.MaxRecord == stream.AnyRecord {
		return stream.HighestMaxRecord
	}
	return s.MaxRecord
}
