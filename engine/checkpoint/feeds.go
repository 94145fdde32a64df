package checkpoint

import (
	"context"
	"maps"

	"github.com/millrace-io/millrace/engine/record"
)

// Feed is one of several inputs of a task.
type Feed struct {
	// Number is part of the numbers that the input's shards have in the document, see JoinShard. It stays.
	Number int `json:"number"`
	// Stream and Incarnation are what is read.
	Stream      string `json:"stream"`
	Incarnation string `json:"incarnation,omitempty"`
}

// shardBits are those of a shard's number in its stream; the bits above are the number of the feed. 64 inputs of
// 67 million shards each fit.
const shardBits = 26

// MaxFeeds is how many inputs a task may have at most, also over time.
const MaxFeeds = 1 << (32 - shardBits)

// JoinShard is the number that a shard has in the documents of a task which reads its stream as the feed of a
// number. In feed 0 it is the shard's own.
func JoinShard(feed int, shard record.ShardID) record.ShardID {
	return record.ShardID(feed)<<shardBits | shard
}

// SplitShard takes apart what JoinShard made.
func SplitShard(id record.ShardID) (feed int, shard record.ShardID) {
	return int(id >> shardBits), id & (1<<shardBits - 1)
}

// numbersOf are the feeds that read a stream. A document with a single input does not name it.
func (d Document) numbersOf(stream string) map[int]bool {
	if d.Feeds == nil {
		return map[int]bool{0: true}
	}
	numbers := map[int]bool{}
	for _, f := range d.Feeds {
		if f.Stream == stream {
			numbers[f.Number] = true
		}
	}
	return numbers
}

// places are where a task stands in the shards of a stream; where it reads the stream more than once, the earlier
// place.
func (d Document) places(stream string) map[record.ShardID]Place {
	numbers := d.numbersOf(stream)
	places, seen := map[record.ShardID]Place{}, map[record.ShardID]int{}
	for id, next := range d.Positions {
		number, shard := SplitShard(id)
		if !numbers[number] {
			continue
		}
		p := Place{Next: next}
		p.Watermark, p.Marked = d.Watermarks[id]
		if had, ok := places[shard]; ok {
			p.Next, p.Watermark, p.Marked = min(p.Next, had.Next), min(p.Watermark, had.Watermark), p.Marked && had.Marked
		}
		places[shard] = p
		seen[shard]++
	}
	for shard, n := range seen {
		if n < len(numbers) {
			places[shard] = Place{} // one of them has not begun
		}
	}
	return places
}

// Adjust stores a changed document. It does not move on what a pending plan relies on.
func (s *Store) Adjust(ctx context.Context, edit func(Document) Document) error {
	return s.save(ctx, edit(s.doc))
}

// WithFeeds is the document with other feeds and their positions, less what it says of the shards of feeds that are
// not among them. If none of those that it had is left, nothing is left of the state either: that was of other rows.
func (d Document) WithFeeds(feeds map[string]Feed, positions map[record.ShardID]record.Ordinal) Document {
	kept := map[int]bool{}
	for _, f := range feeds {
		kept[f.Number] = true
	}
	stays := len(d.Positions) == 0
	for id := range d.Positions {
		number, _ := SplitShard(id)
		stays = stays || kept[number]
	}
	if !stays {
		d.State, d.Watermarks = nil, nil
	}
	d.Feeds, d.Positions = feeds, maps.Clone(positions)
	return d.without(func(id record.ShardID) bool {
		number, _ := SplitShard(id)
		return !kept[number]
	})
}
