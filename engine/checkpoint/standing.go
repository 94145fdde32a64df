package checkpoint

import (
	"context"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// GroupStanding is where a group stands in a stream, for people and programs that look on.
type GroupStanding struct {
	Group string
	// Documents and Tasks are those of the consumer whose tasks the group leases; empty and 0 for a
	// group that leases shards.
	Documents string
	Tasks     int
	// Shards that the group is not done with, in the order that was asked.
	Shards []ShardStanding
}

// ShardStanding is where a group stands in a shard.
type ShardStanding struct {
	Shard record.ShardID
	// Task that the shard belongs to; 0 in a group that leases shards.
	Task int
	// Owner of the lease; empty when nobody holds it. AskedBy is who is to have it next.
	Owner, AskedBy string
	// Fence is the one that counts for commits: the document's for a task, else the lease's.
	Fence uint64
	// Position is the next record to work on, as it was committed last.
	Position record.Ordinal
}

// ReadGroup returns where a group stands in the given shards, without taking part. Errors:
// stream.ErrNotFound when there is no such group, *LeaseTableError.
func ReadGroup(ctx context.Context, meta stream.Meta, name, incarnation, group string, shards []ShardInfo) (GroupStanding, error) {
	out := GroupStanding{Group: group}
	prefix, err := leasePrefix(name, incarnation, group)
	if err != nil {
		return out, err
	}
	s := snapshot{}
	if s.leases, err = readLeases(ctx, meta, prefix); err != nil {
		return out, err
	}
	if s.group, _, err = readGroup(ctx, meta, prefix); err != nil {
		return out, err
	}
	if t := s.group.Tasks; t != nil {
		out.Documents, out.Tasks = t.Documents, t.Count
		docs, err := ReadTasks(ctx, meta, t.Documents)
		if err != nil {
			return out, err
		}
		out.Shards = s.tasks(Places(docs, name), docs, shards)
		return out, nil
	}
	for _, shard := range shards {
		if s.done(shard.ID) {
			continue
		}
		l := s.leases[shard.ID].doc
		out.Shards = append(out.Shards, ShardStanding{
			Shard: shard.ID, Owner: l.Owner, AskedBy: l.AskedBy, Fence: l.Fence, Position: s.position(shard.ID),
		})
	}
	return out, nil
}

// tasks is where the tasks of a consumer stand.
func (s snapshot) tasks(places map[record.ShardID]Place, docs map[int]Document, shards []ShardInfo) []ShardStanding {
	standings := make([]ShardStanding, 0, len(shards))
	for _, shard := range shards {
		task := Owner(shard.ID, s.group.Tasks.Count)
		l := s.leases[record.ShardID(task)].doc
		standings = append(standings, ShardStanding{
			Shard: shard.ID, Task: task, Owner: l.Owner, AskedBy: l.AskedBy, Fence: docs[task].Fence, Position: places[shard.ID].Next,
		})
	}
	return standings
}
