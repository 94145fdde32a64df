package generate

import (
	"context"
	"math"
	"time"
)

// pace says how many events are due.
type pace struct {
	rate   float64
	ticker *time.Ticker
	began  time.Time
	// made is how many events were made since it began.
	made int64
}

func (s *source) pace() *pace {
	p := &pace{rate: s.cfg.Rate, began: time.Now()}
	if p.rate > 0 {
		p.ticker = time.NewTicker(batchTime)
	}
	return p
}

func (p *pace) stop() {
	if p.ticker != nil {
		p.ticker.Stop()
	}
}

// wait returns how many events are due, at least one. What a slow stream held up is caught up.
func (p *pace) wait(ctx context.Context) (int64, error) {
	if p.ticker == nil {
		return math.MaxInt64, ctx.Err()
	}
	for {
		if due := int64(time.Since(p.began).Seconds()*p.rate) - p.made; due > 0 {
			return due, nil
		}
		select {
		case <-p.ticker.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
