package checkpoint

import (
	"slices"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// ShardInfo is what a consumer group must know of a shard.
type ShardInfo struct {
	ID      record.ShardID
	Parents []record.ShardID
	// Closed shards take no more records.
	Closed bool
}

// LineageOf gives the shards of a stream as a consumer group must know them, for
// LeaseConfig.Lineage.
func LineageOf(shards func() []stream.Shard) func() []ShardInfo {
	return func() []ShardInfo {
		all := shards()
		infos := make([]ShardInfo, len(all))
		for i, s := range all {
			infos[i] = ShardInfo{ID: s.ID, Parents: s.Parents, Closed: s.State != stream.ShardOpen}
		}
		return infos
	}
}

// lineage is the shards a stream has, by id. It may be older than the lease table; then it lacks
// the youngest shards, and never others.
type lineage struct {
	shards   []ShardInfo
	children map[record.ShardID][]record.ShardID
}

func newLineage(shards []ShardInfo) lineage {
	l := lineage{shards: slices.Clone(shards), children: map[record.ShardID][]record.ShardID{}}
	slices.SortFunc(l.shards, func(a, b ShardInfo) int { return int(a.ID) - int(b.ID) })
	for _, s := range l.shards {
		for _, p := range s.Parents {
			l.children[p] = append(l.children[p], s.ID)
		}
	}
	return l
}

func (l lineage) has(id record.ShardID) bool {
	_, found := slices.BinarySearchFunc(l.shards, id, func(s ShardInfo, id record.ShardID) int { return int(s.ID) - int(id) })
	return found
}

// gone reports whether the stream had the shard and has it no more. Shards get rising numbers, so
// one that is above all others is too young to be known here.
func (l lineage) gone(id record.ShardID) bool {
	return len(l.shards) > 0 && id < l.shards[len(l.shards)-1].ID && !l.has(id)
}
