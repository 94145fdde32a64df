package pipelines_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/pipelines"
	"github.com/millrace-io/millrace/sources"
)

// slow is a source that takes a minute for each record. With an end, it has two.
type slow struct{ bounded bool }

func (s slow) Bounded() bool { return s.bounded }

func (s slow) Run(ctx context.Context, w sources.Writer) error {
	for range 2 {
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
			return nil
		}
		var b record.Batch
		b.Add(nil, []byte("{}"), 0)
		if err := w.Write(ctx, &b); err != nil {
			return err
		}
	}
	return nil
}

// A machine that is slow has no other sample: only what never ends is given up.
func TestASourceWithAnEndIsSampledToItsEnd(t *testing.T) {
	for bounded, want := range map[bool]int{true: 2, false: 0} {
		synctest.Test(t, func(t *testing.T) {
			c := sources.Component{Type: "slow", Open: func(any, sources.Env) (sources.Source, error) { return slow{bounded}, nil }}
			records, _, err := pipelines.Sample(t.Context(), c, nil, 10)
			if err != nil || len(records) != want {
				t.Errorf("bounded %t: %d records, %v", bounded, len(records), err)
			}
		})
	}
}
