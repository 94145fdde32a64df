package stream

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// The functions here plan changes of the shard map in a document. They do no I/O; Stream.settle
// carries the plan out.

// checkSplit is the rule of the Kinesis API, SplitShard: both children get more than one key.
func (d *document) checkSplit(id record.ShardID, at record.HashKey) error {
	s, err := d.mustBeOpen(id)
	if err != nil {
		return err
	}
	if !s.Range.Start.Next().Less(at) || s.Range.Start == record.MaxHashKey || !at.Less(s.Range.End) {
		return fmt.Errorf("%w: hash key %s: want one above %s and below %s", ErrInvalid, at, s.Range.Start.Next(), s.Range.End)
	}
	return nil
}

func (d *document) mustBeOpen(id record.ShardID) (*Shard, error) {
	s := d.shard(id)
	if s == nil || s.State == shardCreating || s.State == ShardExpired {
		return nil, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	if s.State != ShardOpen {
		return nil, fmt.Errorf("%w: %s is %s", ErrInvalid, id, s.State)
	}
	return s, nil
}

// split begins the split of an open shard in front of a key that lies in it, but is not its first.
func (d *document) split(id record.ShardID, at record.HashKey, now time.Time) error {
	if err := d.cut(id, at, now); err != nil {
		return err
	}
	return d.checkCount()
}

// cut is split for a step of a reshard, in the middle of which there may be more shards than a stream
// may have.
func (d *document) cut(id record.ShardID, at record.HashKey, now time.Time) error {
	s, err := d.mustBeOpen(id)
	if err != nil {
		return err
	}
	if !s.Range.Start.Less(at) || s.Range.End.Less(at) {
		return fmt.Errorf("%w: hash key %s does not divide %s", ErrInvalid, at, s.Range)
	}
	keys := s.Range
	created := childTime(now, s.Created)
	s.State = shardClosing
	d.addChild(record.Range{Start: keys.Start, End: at.Prev()}, created, id)
	d.addChild(record.Range{Start: at, End: keys.End}, created, id)
	return nil
}

// merge begins the merge of two open shards whose ranges adjoin.
func (d *document) merge(a, b record.ShardID, now time.Time) error {
	x, err := d.mustBeOpen(a)
	if err != nil {
		return err
	}
	y, err := d.mustBeOpen(b)
	if err != nil {
		return err
	}
	keys := record.Range{Start: x.Range.Start, End: y.Range.End}
	if y.Range.Precedes(x.Range) {
		keys = record.Range{Start: y.Range.Start, End: x.Range.End}
	} else if !x.Range.Precedes(y.Range) {
		return fmt.Errorf("%w: %s with hash keys %s and %s with %s do not adjoin", ErrInvalid, a, x.Range, b, y.Range)
	}
	x.State, y.State = shardClosing, shardClosing
	d.addChild(keys, childTime(now, x.Created, y.Created), a, b)
	return nil
}

func (d *document) addChild(keys record.Range, created time.Time, parents ...record.ShardID) {
	d.State = Updating
	d.Shards = append(d.Shards, Shard{
		ID: d.NextShard, Range: keys, Parents: parents, State: shardCreating, Created: created,
	})
	d.NextShard++
}

// childTime is a second after the parents' at least, so that a child's sequence numbers are above
// theirs.
func childTime(now time.Time, parents ...time.Time) time.Time {
	now = now.UTC().Truncate(time.Second)
	for _, p := range parents {
		if !p.Before(now) {
			now = p.Add(time.Second)
		}
	}
	return now
}

func (d *document) checkCount() error {
	n := 0
	for _, s := range d.Shards {
		if s.State == ShardOpen || s.State == shardCreating {
			n++
		}
	}
	if n > maxShards {
		return fmt.Errorf("%w: %d open shards are more than %d", ErrLimit, n, maxShards)
	}
	return nil
}

// settled ends the changes under way, once the logs are as they say.
func (d *document) settled(now time.Time) {
	now = now.UTC().Truncate(time.Millisecond)
	shards := d.Shards[:0:0]
	for _, s := range d.Shards {
		switch s.State {
		case ShardExpired:
			continue
		case shardClosing:
			s.State, s.Closed = ShardClosed, now
		case shardCreating:
			s.State = ShardOpen
		}
		shards = append(shards, s)
	}
	d.State, d.Shards, d.Format = Active, shards, documentFormat
}
