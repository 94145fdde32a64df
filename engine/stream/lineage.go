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
	return d.checkCount()
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

// reshape begins the splits and merges that bring the open shards one step closer to the ranges.
// At most width shards change, so that writers wait for a few at a time. It reports whether there
// was anything to do.
func (d *document) reshape(ranges []record.Range, width int, now time.Time) (bool, error) {
	changed, err := d.splitAt(ranges, width, now)
	if changed || err != nil {
		return changed, err
	}
	return d.mergeInto(ranges, width, now)
}

// splitAt splits open shards where a range begins within them, each once, in the middle of all
// the places, so that the lineage stays shallow.
func (d *document) splitAt(ranges []record.Range, width int, now time.Time) (changed bool, err error) {
	i := 0
	for _, s := range d.open() {
		for i < len(ranges) && !s.Range.Start.Less(ranges[i].Start) {
			i++
		}
		from := i
		for i < len(ranges) && !s.Range.End.Less(ranges[i].Start) {
			i++
		}
		if from == i || width == 0 {
			continue
		}
		if err := d.split(s.ID, ranges[(from+i)/2].Start, now); err != nil {
			return changed, err
		}
		changed = true
		width--
	}
	return changed, nil
}

// mergeInto merges open shards that lie in the same range, two by two. No shard may cross the end
// of a range.
func (d *document) mergeInto(ranges []record.Range, width int, now time.Time) (changed bool, err error) {
	open := d.open()
	i := 0
	for j := 0; j+1 < len(open) && width > 0; j++ {
		for ranges[i].End.Less(open[j].Range.Start) {
			i++
		}
		if ranges[i].End.Less(open[j+1].Range.End) {
			continue
		}
		if err := d.merge(open[j].ID, open[j+1].ID, now); err != nil {
			return changed, err
		}
		changed = true
		width--
		j++
	}
	return changed, nil
}
