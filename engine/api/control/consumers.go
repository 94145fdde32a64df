package control

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// Consumer reads a stream and keeps its place in it.
type Consumer struct {
	// Group is its name among the groups of the stream.
	Group string `json:"group"`
	// Pipeline and Name are those of a sink or query, and Tasks how many tasks share the shards. A
	// group that leases shards has none.
	Pipeline string `json:"pipeline,omitempty"`
	Name     string `json:"name,omitempty"`
	Tasks    int    `json:"tasks,omitempty"`
	// Shards that it is not done with.
	Shards []ConsumerShard `json:"shards"`
}

// ConsumerShard is where a consumer stands in a shard, as of its last commit.
type ConsumerShard struct {
	Shard record.ShardID `json:"shard"`
	State string         `json:"state"`
	// Task that reads the shard.
	Task int `json:"task"`
	// Owner is the worker that has the lease; empty when nobody does. AskedBy is to have it next.
	Owner   string `json:"owner,omitempty"`
	AskedBy string `json:"asked_by,omitempty"`
	// Fence under which commits count.
	Fence uint64 `json:"fence"`
	// Position is the next record.
	Position record.Ordinal `json:"position"`
	// Lag is the records that are not delivered, LagSeconds the age of the first of them. Expired
	// records went before they were.
	Lag        int64   `json:"lag"`
	LagSeconds float64 `json:"lag_seconds"`
	Expired    int64   `json:"expired,omitempty"`
}

// Consumers implements Streams.
func (l *Local) Consumers(ctx context.Context, name string) ([]Consumer, error) {
	s, err := l.stream(ctx, name)
	if err != nil {
		return nil, err
	}
	meta := l.backend.Meta()
	groups, err := checkpoint.Groups(ctx, meta, s.Name(), s.Incarnation())
	if err != nil {
		return nil, err
	}
	consumers := []Consumer{}
	shards := checkpoint.LineageOf(s.Shards)()
	for _, group := range groups {
		g, err := checkpoint.ReadGroup(ctx, meta, s.Name(), s.Incarnation(), group, shards)
		if errors.Is(err, stream.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("consumers of stream %q: %w", name, err)
		}
		c, err := l.consumer(ctx, s, g)
		if err != nil {
			return nil, fmt.Errorf("consumers of stream %q: %s: %w", name, group, err)
		}
		consumers = append(consumers, c)
	}
	return consumers, nil
}

func (l *Local) consumer(ctx context.Context, s *stream.Stream, g checkpoint.GroupStanding) (Consumer, error) {
	c := Consumer{Group: g.Group, Tasks: g.Tasks, Shards: []ConsumerShard{}}
	if g.Tasks > 0 {
		c.Pipeline, c.Name, _ = strings.Cut(strings.TrimPrefix(g.Documents, "tasks/"), "/")
	}
	var buffer stream.Buffer
	for _, x := range g.Shards {
		log := s.Log(x.Shard)
		shard, ok := s.Shard(x.Shard)
		if log == nil || !ok {
			continue // expired meanwhile
		}
		meter := checkpoint.LagMeter{Log: log, Now: l.now, Buffer: &buffer}
		lag, err := meter.Measure(ctx, x.Position)
		if damage := (*stream.CorruptError)(nil); err != nil && !errors.As(err, &damage) {
			return c, err
		}
		c.Shards = append(c.Shards, ConsumerShard{
			Shard: x.Shard, State: string(shard.State), Task: x.Task, Owner: x.Owner, AskedBy: x.AskedBy, Fence: x.Fence,
			Position: x.Position, Lag: lag.Records, LagSeconds: lag.Behind.Seconds(), Expired: lag.Expired,
		})
	}
	return c, nil
}

// forget removes what consumers kept about a stream that is gone.
func (l *Local) forget(ctx context.Context, name string) error {
	return checkpoint.RemoveGroups(ctx, l.backend.Meta(), name)
}

// needs tells a stream that is not shared what the consumers of the directory have not read. Where
// that cannot be known, because of tasks without a group or documents that cannot be read, everything
// is needed.
func (l *Local) needs(ctx context.Context, s *stream.Stream) error {
	orphans, err := l.orphans(ctx)
	var holds map[record.ShardID]record.Ordinal
	if err == nil && !orphans {
		holds, err = checkpoint.Holds(ctx, l.backend.Meta(), s.Name(), s.Incarnation(), checkpoint.LineageOf(s.Shards)())
	}
	if ctx.Err() != nil {
		return fmt.Errorf("what consumers of stream %q need: %w", s.Name(), err)
	}
	for _, sh := range s.Shards() {
		log := s.Log(sh.ID)
		if log == nil {
			continue // expired meanwhile
		}
		hold, ok := holds[sh.ID]
		switch {
		case orphans || err != nil:
			log.SetHold(0)
		case ok:
			log.SetHold(hold)
		default:
			log.SetHold(stream.NoHold)
		}
	}
	return nil
}

// orphans reports whether the directory has tasks that belong to no group.
func (l *Local) orphans(ctx context.Context) (bool, error) {
	meta := l.backend.Meta()
	tasks, err := meta.List(ctx, "tasks/")
	if err != nil || len(tasks) == 0 {
		return false, err
	}
	known, err := checkpoint.Documents(ctx, meta)
	if err != nil {
		return false, fmt.Errorf("look for consumers: %w", err)
	}
	for _, key := range tasks {
		owned := false
		for _, documents := range known {
			owned = owned || strings.HasPrefix(key, documents+"/")
		}
		if !owned {
			return true, nil
		}
	}
	return false, nil
}
