// Package generate makes up events: website clicks, stock prices and the auctions of NEXMark, for demos, tests and
// benchmarks.
//
// The invariant to remember: event n is a function of the seed and n alone, but for the time of
// day in live streams. So a generator resumes anywhere, and makes the same events in every run.
package generate

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/sources"
)

// Config of the generate source.
type Config struct {
	// Kind of the events: clicks (a web shop), stocks (prices of ten shares) or nexmark (people,
	// auctions and bids of the benchmark NEXMark).
	Kind string `yaml:"kind" enum:"clicks,stocks,nexmark"`
	// Seed decides what is made up. The same seed gives the same events.
	Seed int64 `yaml:"seed"`
	// Rate is how many events per second are made; 0 is as many as possible.
	Rate float64 `yaml:"rate" min:"0" max:"100000000"`
	// Count is how many events are made in all; 0 is without end.
	Count int64 `yaml:"count" min:"0"`
	// PartitionKey is the field that decides a record's shard. It is user_id for clicks and symbol
	// for stocks unless named; nexmark is spread over all shards.
	PartitionKey string `yaml:"partition_key"`
	// Start is the time of the first event, such as 2026-01-01T00:00:00Z; the next ones follow at
	// the interval or the rate, or a millisecond apart without either (nexmark: a tenth). Events of a generator with a rate and without
	// an end have the current time unless Start is given.
	Start string `yaml:"start"`
	// Interval is the event time between two events, however fast they are made, such as 10ms. Without it
	// the rate or the kind decides.
	Interval config.Duration `yaml:"interval" max:"24h"`
	// OutOfOrder is how many events of nexmark are mixed up among each other; 1 keeps them in order.
	OutOfOrder int64 `yaml:"out_of_order" min:"1" max:"1000000"`
}

func defaults() Config { return Config{Kind: "clicks", Seed: 1, OutOfOrder: 1} }

// Validate implements config.Validator.
func (c *Config) Validate() []config.Problem {
	var found []config.Problem
	if math.IsNaN(c.Rate) {
		found = append(found, config.Problemf("rate", "not a number; want events per second, or 0 for as many as possible"))
	}
	if _, err := c.start(); err != nil {
		found = append(found, config.Problemf("start", "%q is no time; write it as 2026-01-01T00:00:00Z", c.Start))
	}
	if c.Interval > 0 && c.Rate > 0 && c.Count == 0 && c.Start == "" {
		found = append(found, config.Problemf("interval", "these events have the current time; add start, or leave interval out"))
	}
	if c.OutOfOrder > 1 && c.Kind != "nexmark" {
		found = append(found, config.Problemf("out_of_order", "only kind: nexmark has events out of order"))
	}
	return found
}

func (c *Config) start() (time.Time, error) {
	if c.Start == "" {
		return time.UnixMilli(firstEvent).UTC(), nil
	}
	return time.Parse(time.RFC3339, c.Start)
}

// live reports whether events have the current time.
func (c *Config) live() bool { return c.Start == "" && c.Rate > 0 && c.Count == 0 }

// Component is the generate source.
func Component() sources.Component { return sources.Define("generate", defaults, open) }

func open(cfg Config, env sources.Env) (sources.Source, error) {
	if cfg.PartitionKey == "" {
		cfg.PartitionKey = map[string]string{"clicks": "user_id", "stocks": "symbol"}[cfg.Kind]
	}
	return &source{cfg: cfg, env: env}, nil
}

type source struct {
	cfg Config
	env sources.Env
}

const (
	// batchSize and batchTime close a batch, whichever comes first.
	batchSize = 1 << 20
	batchTime = 50 * time.Millisecond
)

// Bounded is sources.Source.
func (s *source) Bounded() bool { return s.cfg.Count > 0 }

// Run is sources.Source.
func (s *source) Run(ctx context.Context, w sources.Writer) error {
	// What changes the events makes another producer, which begins anew.
	parts := []string{s.env.Pipeline, s.env.Name, s.cfg.Kind, fmt.Sprint(s.cfg.Seed)}
	if s.cfg.OutOfOrder > 1 {
		parts = append(parts, fmt.Sprint(s.cfg.OutOfOrder))
	}
	id := stream.ProducerID(parts...)
	producer := record.Producer{ID: id, Epoch: 1}
	done, _ := w.Position(id)
	return sources.RunPump(ctx, w, func(ctx context.Context, p *sources.Pump) error {
		return s.fill(ctx, p, producer, done)
	})
}

// fill makes the events from number n on.
func (s *source) fill(ctx context.Context, p *sources.Pump, producer record.Producer, n int64) error {
	if s.cfg.Count > 0 && n >= s.cfg.Count {
		return nil
	}
	event, err := s.events(n)
	if err != nil {
		return err
	}
	keys, size := sources.NewKeyer(s.cfg.PartitionKey), s.env.BatchSize(batchSize)
	pace := s.pace()
	defer pace.stop()
	var line []byte
	for s.cfg.Count == 0 || n < s.cfg.Count {
		due, err := pace.wait(ctx)
		if err != nil {
			return err
		}
		b, err := p.Next(ctx)
		if err != nil {
			return err
		}
		b.Producer = producer
		if s.cfg.Count > 0 {
			due = min(due, s.cfg.Count-n)
		}
		for ; due > 0 && b.Size() < size; due-- {
			line = event(line[:0], n)
			n++
			b.Add(keys.Key(line, uint64(n)), line, n)
			pace.made++
		}
		b.End = n
		if err := p.Send(ctx, b); err != nil {
			return err
		}
	}
	return p.Flush(ctx, producer, n)
}

// events are those of the configuration; next is the number of the first one that is made now.
func (s *source) events(next int64) (func(dst []byte, n int64) []byte, error) {
	start, err := s.cfg.start()
	if err != nil {
		return nil, err
	}
	c := clock{start: start.UnixMilli(), interval: 1}
	if s.cfg.Kind == "nexmark" {
		c.interval = 1000.0 / nexmarkRate
	}
	if s.cfg.Rate > 0 {
		c.interval = 1000 / s.cfg.Rate
	}
	if s.cfg.Interval > 0 {
		c.interval = s.cfg.Interval.Std().Seconds() * 1000
	}
	if s.cfg.live() {
		c.start = s.env.Now().UnixMilli() - c.since(next)
	}
	switch s.cfg.Kind {
	case "stocks":
		return newStocks(uint64(s.cfg.Seed), c).append, nil
	case "nexmark":
		return newNexmark(uint64(s.cfg.Seed), c, s.cfg.OutOfOrder).append, nil
	}
	return newClicks(uint64(s.cfg.Seed), c).append, nil
}
