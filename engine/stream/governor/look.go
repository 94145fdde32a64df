package governor

import (
	"context"
	"errors"
	"slices"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
)

// Look takes what was written since the call before, and splits and merges if the rules say so.
// Whoever owns the stream calls it every few seconds, from one goroutine; writers and readers go on
// meanwhile. An error means that a change was not made; it is decided again.
func (g *Governor) Look(ctx context.Context) error {
	s := g.stream.Settings()
	if s.Mode != stream.OnDemand {
		g.rest()
		return nil
	}
	open := g.open()
	if len(open) < g.o.Shards {
		g.o.Log.Info("the stream has fewer shards than it should", "stream", g.stream.Name(), "open", len(open), "shards", g.o.Shards)
		return g.stream.Reshard(ctx, g.o.Shards)
	}
	if rules := g.rulesOf(s); g.scaler == nil || g.rules != rules {
		g.scaler, g.rules = capacity.NewScaler(rules), rules
	}
	actions := g.scaler.Observe(g.o.Now(), open, g.take(open))
	g.tellStuck(g.scaler.Stuck())
	var errs []error
	for _, a := range actions {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, g.act(ctx, a))
	}
	return errors.Join(errs...)
}

// rest lets go of what on_demand needs.
func (g *Governor) rest() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.meters)
	g.scaler = nil
	g.stuck.Store(nil)
}

func (g *Governor) rulesOf(s stream.Settings) capacity.Options {
	rules := g.o.Rules
	rules.Min, rules.Max = g.o.Shards, max(s.MaxShards, 0)
	if s.Limits == stream.KinesisLimits {
		l := capacity.Kinesis()
		rules.ShardBytes, rules.ShardRecords = l.BytesIn, l.RecordsIn
	}
	return rules
}

// open are the open shards as the scaler wants them.
func (g *Governor) open() []capacity.Shard {
	var open []capacity.Shard
	for _, sh := range g.stream.Shards() {
		if sh.State == stream.ShardOpen {
			open = append(open, capacity.Shard{ID: sh.ID, Range: sh.Range, Parents: len(sh.Parents), Created: sh.Created})
		}
	}
	return open
}

// take returns the loads of the open shards, and forgets the others.
func (g *Governor) take(open []capacity.Shard) map[record.ShardID]capacity.Load {
	g.mu.Lock()
	defer g.mu.Unlock()
	loads := make(map[record.ShardID]capacity.Load, len(open))
	known := g.meters
	g.meters = make(map[record.ShardID]*capacity.Meter, len(open))
	for _, sh := range open {
		if m := known[sh.ID]; m != nil {
			loads[sh.ID] = m.Take()
			g.meters[sh.ID] = m
			delete(known, sh.ID)
		}
	}
	for id := range known {
		g.limiter.Forget(id)
	}
	return loads
}

func (g *Governor) act(ctx context.Context, a capacity.Action) (err error) {
	log := g.o.Log.With("stream", g.stream.Name())
	if a.Split {
		err = g.stream.Split(ctx, a.Shard, a.At)
	} else {
		err = g.stream.Merge(ctx, a.Shard, a.With)
	}
	if err != nil {
		return err
	}
	if a.Split {
		g.splits.Add(1)
	} else {
		g.merges.Add(1)
	}
	log.Info("shards follow the load: "+a.String(), "open", g.stream.Describe().OpenShards)
	return nil
}

// tellStuck keeps the stuck shards for Report, and logs those that were not stuck before.
func (g *Governor) tellStuck(now []capacity.Stuck) {
	var before []capacity.Stuck
	if old := g.stuck.Swap(&now); old != nil {
		before = *old
	}
	for _, s := range now {
		if slices.ContainsFunc(before, func(b capacity.Stuck) bool { return b.Shard == s.Shard && b.Key == s.Key }) {
			continue
		}
		g.o.Log.Warn("a shard is too hot, and splitting it would not help: most of its load has one hash key; only better partition keys do",
			"stream", g.stream.Name(), "shard", s.Shard, "load", s.Load, "hash_key", s.Key, "part", s.Part)
	}
}
