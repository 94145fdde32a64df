package checkpoint_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
)

func TestLagIsCountedInRecordsAndTheAgeOfTheFirst(t *testing.T) {
	log := newLog().add(5, 1_000).add(5, 4_000)
	m := checkpoint.LagMeter{Log: log, Now: func() time.Time { return time.UnixMilli(10_000) }}
	for _, c := range []struct {
		position record.Ordinal
		want     checkpoint.Lag
	}{
		{0, checkpoint.Lag{Records: 10, Behind: 9 * time.Second}},
		{3, checkpoint.Lag{Records: 7, Behind: 9 * time.Second}},
		{5, checkpoint.Lag{Records: 5, Behind: 6 * time.Second}},
		{10, checkpoint.Lag{}},
		{4, checkpoint.Lag{Records: 6, Behind: 9 * time.Second}},
	} {
		got, err := m.Measure(t.Context(), c.position)
		if err != nil || got != c.want {
			t.Errorf("at %d: %+v, %v, want %+v", c.position, got, err, c.want)
		}
	}
	log.trim(5)
	if got, err := m.Measure(t.Context(), 2); err != nil || got != (checkpoint.Lag{Records: 5, Behind: 6 * time.Second, Expired: 3}) {
		t.Errorf("behind the retention: %+v, %v", got, err)
	}
}

func TestLagOfAConsumerThatStandsStillIsReadOnce(t *testing.T) {
	log := newLog().add(5, 1_000)
	now := int64(2_000)
	m := checkpoint.LagMeter{Log: log, Now: func() time.Time { return time.UnixMilli(now) }}
	for range 10 {
		log.add(1, now)
		now += 1_000
		if _, err := m.Measure(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
	}
	got, err := m.Measure(t.Context(), 2)
	if err != nil || log.reads != 1 || got.Records != 13 || got.Behind != 11*time.Second {
		t.Errorf("%d reads, lag %+v, %v", log.reads, got, err)
	}
}
