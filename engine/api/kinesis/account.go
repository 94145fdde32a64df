package kinesis

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
)

// none is a request without fields that count.
type none struct{}

func (*none) Fields(*wire.Fields) {}

type limits struct{ shards, open, onDemand, onDemandLimit int64 }

func (out *limits) Fields(f *wire.Fields) {
	f.Count("ShardLimit", &out.shards)
	f.Count("OpenShardCount", &out.open)
	f.Count("OnDemandStreamCount", &out.onDemand)
	f.Count("OnDemandStreamCountLimit", &out.onDemandLimit)
}

// onDemandStreams is how many of them an account may have; here it is a figure to show.
const onDemandStreams = 50

// describeLimits is DescribeLimits.
func (s *Service) describeLimits(ctx context.Context, _ *none) (*limits, error) {
	open, onDemand, err := s.openShards(ctx)
	return &limits{int64(s.o.ShardQuota), int64(open), onDemand, onDemandStreams}, err
}

// commitment is MinimumThroughputBillingCommitment, in requests and answers.
type commitment struct {
	status  *string
	started time.Time
}

var commitmentRule = &wire.Rule{Required: true, Enum: []string{"ENABLED", "DISABLED"}}

func (c *commitment) Fields(f *wire.Fields) {
	f.Text("Status", &c.status, commitmentRule)
	f.Time("StartedAt", &c.started, nil)
}

type accountSettings struct{ commitment *commitment }

func (out *accountSettings) Fields(f *wire.Fields) {
	wire.Struct(f, "MinimumThroughputBillingCommitment", &out.commitment, required)
}

func settingsOf(a account) *accountSettings {
	status := "DISABLED"
	if !a.Commitment.IsZero() {
		status = "ENABLED"
	}
	return &accountSettings{&commitment{&status, a.Commitment}}
}

// describeAccount is DescribeAccountSettings.
func (s *Service) describeAccount(ctx context.Context, _ *none) (*accountSettings, error) {
	a, err := s.extras.account(ctx, nil)
	return settingsOf(a), err
}

// updateAccount is UpdateAccountSettings. Nothing is billed here: the setting is kept and shown.
func (s *Service) updateAccount(ctx context.Context, in *accountSettings) (*accountSettings, error) {
	a, err := s.extras.account(ctx, func(a *account) {
		switch {
		case *in.commitment.status == "DISABLED":
			a.Commitment = time.Time{}
		case a.Commitment.IsZero():
			a.Commitment = s.o.Now().UTC().Truncate(time.Second)
		}
	})
	return settingsOf(a), err
}
