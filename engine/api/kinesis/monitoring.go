package kinesis

import (
	"context"
	"slices"

	"github.com/millrace-io/millrace/engine/api/wire"
)

// shardMetrics are those of enhanced monitoring; ALL stands for them.
var shardMetrics = []string{"IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords", "WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds"}

var (
	metricsRule = &wire.Rule{Required: true, Min: 1, Max: 7}
	metricRule  = &wire.Rule{Enum: append(slices.Clone(shardMetrics), "ALL")}
)

type monitoringInput struct {
	target
	metrics []string
}

func (in *monitoringInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Texts("ShardLevelMetrics", &in.metrics, metricsRule, metricRule)
}

type monitoringOutput struct {
	name, arn       string
	current, wanted []string
}

func (out *monitoringOutput) Fields(f *wire.Fields) {
	f.String("StreamName", &out.name)
	f.Texts("CurrentShardLevelMetrics", &out.current, nil, nil)
	f.Texts("DesiredShardLevelMetrics", &out.wanted, nil, nil)
	f.String("StreamARN", &out.arn)
}

// enableMonitoring is EnableEnhancedMonitoring.
func (s *Service) enableMonitoring(ctx context.Context, in *monitoringInput) (*monitoringOutput, error) {
	return s.setMonitoring(ctx, in, func(metric string, on bool) bool { return on || slices.Contains(in.metrics, metric) })
}

// disableMonitoring is DisableEnhancedMonitoring.
func (s *Service) disableMonitoring(ctx context.Context, in *monitoringInput) (*monitoringOutput, error) {
	return s.setMonitoring(ctx, in, func(metric string, on bool) bool { return on && !slices.Contains(in.metrics, metric) })
}

func (s *Service) setMonitoring(ctx context.Context, in *monitoringInput, keep func(metric string, on bool) bool) (*monitoringOutput, error) {
	st, err := s.stream(ctx, &in.target)
	if err != nil {
		return nil, err
	}
	if slices.Contains(in.metrics, "ALL") {
		in.metrics = shardMetrics
	}
	out := &monitoringOutput{name: st.Name(), arn: s.arn(st.Name())}
	err = s.extras.change(ctx, st, func(e *extra) error {
		out.current, out.wanted = append([]string{}, e.Monitoring...), []string{}
		for _, m := range shardMetrics {
			if keep(m, slices.Contains(e.Monitoring, m)) {
				out.wanted = append(out.wanted, m)
			}
		}
		e.Monitoring = out.wanted
		return nil
	})
	return out, err
}
