package kinesis

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
)

type retentionInput struct {
	target
	hours *int64
}

func (in *retentionInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Int("RetentionPeriodHours", &in.hours, required)
}

const minRetention, maxRetention = 24, 8760 // hours

// increaseRetention is IncreaseStreamRetentionPeriod.
func (s *Service) increaseRetention(ctx context.Context, in *retentionInput) error {
	return s.setRetention(ctx, in, func(have int64) error {
		if *in.hours < have {
			return invalid("Requested retention period (%d hours) for stream %s can not be shorter than existing retention period (%d hours). Use DecreaseRetentionPeriod API.", *in.hours, value(in.name), have)
		}
		return nil
	})
}

// decreaseRetention is DecreaseStreamRetentionPeriod. What is older is hidden at once.
func (s *Service) decreaseRetention(ctx context.Context, in *retentionInput) error {
	return s.setRetention(ctx, in, func(have int64) error {
		if *in.hours > have {
			return invalid("Requested retention period (%d hours) for stream %s can not be longer than existing retention period (%d hours). Use IncreaseRetentionPeriod API.", *in.hours, value(in.name), have)
		}
		return nil
	})
}

func (s *Service) setRetention(ctx context.Context, in *retentionInput, check func(have int64) error) error {
	if h := *in.hours; h < minRetention {
		return invalid("Minimum allowed retention period is %d hours. Requested retention period (%d hours) is too short.", minRetention, h)
	} else if h > maxRetention {
		return invalid("Maximum allowed retention period is %d hours. Requested retention period (%d hours) is too long.", maxRetention, h)
	}
	return s.change(ctx, &in.target, func(st *stream.Stream) error {
		if err := check(retentionHours(st.Settings().Retention)); err != nil {
			return err
		}
		return st.SetRetention(ctx, time.Duration(*in.hours)*time.Hour)
	})
}
