package stream

import (
	"math/bits"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// minReshardWidth is how many splits and merges a step of Reshard takes at least. Writers to the
// shards that change wait until the step is done, and each step writes the document twice.
const minReshardWidth = 16

// reshardWidth is how many splits and merges Reshard does in one step, on a stream of that many open
// shards: an eighth of them, so that the steps are few and most writers go on.
func reshardWidth(open int) int { return max(minReshardWidth, open/8) }

// move is a split or a merge of open shards.
type move struct {
	// shard is the place of the first shard among the open ones, by their ranges.
	shard int
	// merge joins it with the next one; else it is split in front of at.
	merge bool
	at    record.HashKey
}

// nextMoves plans the next step that brings open ranges to those that are wanted: at most width
// moves, no two of them with the same shard. Both lists cover all hash keys and rise. There are none
// once the lists are the same.
//
// Each move adds a bound that is wanted or removes one that is not, so no way has fewer. What can be
// merged is merged before more is split, from the lowest key on: between two lists of even ranges
// there are never more shards than in the longer one and width.
func nextMoves(open, want []record.Range, width int) []move {
	moves := merges(open, want, width)
	return append(moves, splits(open, want, width-len(moves))...)
}

// merges are moves that join ranges which lie in the same wanted one, two by two.
func merges(open, want []record.Range, width int) (moves []move) {
	i := 0
	for j := 0; j+1 < len(open) && len(moves) < width; j++ {
		for want[i].End.Less(open[j].Start) {
			i++
		}
		if !want[i].End.Less(open[j+1].End) && !open[j].Start.Less(want[i].Start) {
			moves = append(moves, move{shard: j, merge: true})
			j++
		}
	}
	return moves
}

// splits are moves that cut ranges in which others are wanted to begin, each once, in the middle of
// all the places, so that the lineage stays shallow.
func splits(open, want []record.Range, width int) (moves []move) {
	i := 0
	for j := 0; j < len(open) && len(moves) < width; j++ {
		for i < len(want) && !open[j].Start.Less(want[i].Start) {
			i++
		}
		from := i
		for i < len(want) && !open[j].End.Less(want[i].Start) {
			i++
		}
		if from < i {
			moves = append(moves, move{shard: j, at: want[(from+i)/2].Start})
		}
	}
	return moves
}

// evenRanges are n even ranges that begin where open ones do, if the difference is that of rounding: a
// quarter of the hash keys is a little less than twice an eighth, when each is cut off to whole keys.
func evenRanges(open []record.Range, n int) []record.Range {
	want := record.EvenRanges(n)
	for i := 1; i < n; i++ {
		at := want[i].Start
		j, found := slices.BinarySearchFunc(open, at, func(r record.Range, k record.HashKey) int { return r.Start.Compare(k) })
		switch {
		case found:
			continue
		case j < len(open) && near(at, open[j].Start):
			at = open[j].Start
		case j > 1 && near(open[j-1].Start, at):
			at = open[j-1].Start
		}
		want[i].Start, want[i-1].End = at, at.Prev()
	}
	return want
}

// near reports whether b follows a so soon that rounding may be why: the start of one of n ranges is off
// by less than n keys.
func near(a, b record.HashKey) bool {
	low, borrow := bits.Sub64(b.Lo, a.Lo, 0)
	high, _ := bits.Sub64(b.Hi, a.Hi, borrow)
	return high == 0 && low < maxShards
}

// ranges are those of the open shards.
func (d *document) ranges() []record.Range {
	var ranges []record.Range
	for _, s := range d.open() {
		ranges = append(ranges, s.Range)
	}
	return ranges
}

// reshape begins the next step towards the ranges. It reports whether there was anything to do.
func (d *document) reshape(ranges []record.Range, width int, now time.Time) (bool, error) {
	open := d.open()
	moves := nextMoves(d.ranges(), ranges, width)
	for _, m := range moves {
		var err error
		if m.merge {
			err = d.merge(open[m.shard].ID, open[m.shard+1].ID, now)
		} else {
			err = d.cut(open[m.shard].ID, m.at, now)
		}
		if err != nil {
			return false, err
		}
	}
	return len(moves) > 0, nil
}
