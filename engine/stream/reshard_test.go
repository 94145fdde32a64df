package stream

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
)

// walk goes from one list of ranges to another. It returns how many moves and steps that took, and the
// most ranges there were at once.
func walk(t *testing.T, open, want []record.Range, width int) (moves, steps, most int) {
	t.Helper()
	for ; ; steps++ {
		most = max(most, len(open))
		next := nextMoves(open, want, width)
		if len(next) == 0 {
			break
		}
		if len(next) > width {
			t.Fatalf("%d moves in a step of %d", len(next), width)
		}
		moves += len(next)
		open = apply(t, open, next)
	}
	if !slices.Equal(open, want) {
		t.Fatalf("ended with %v, want %v", open, want)
	}
	return moves, steps, most
}

// apply does the moves and demands that they are legal and touch each range once.
func apply(t *testing.T, open []record.Range, moves []move) []record.Range {
	t.Helper()
	by := map[int]move{}
	for _, m := range moves {
		by[m.shard] = m
	}
	if len(by) != len(moves) {
		t.Fatalf("%v move a range twice", moves)
	}
	var after []record.Range
	for i := 0; i < len(open); i++ {
		m, ok := by[i]
		switch r := open[i]; {
		case !ok:
			after = append(after, r)
		case m.merge:
			if _, twice := by[i+1]; twice || i+1 == len(open) {
				t.Fatalf("%v with %d ranges", moves, len(open))
			}
			i++
			after = append(after, record.Range{Start: r.Start, End: open[i].End})
		default:
			if !r.Start.Less(m.at) || r.End.Less(m.at) {
				t.Fatalf("split of %v at %v", r, m.at)
			}
			after = append(after, record.Range{Start: r.Start, End: m.at.Prev()}, record.Range{Start: m.at, End: r.End})
		}
	}
	if err := checkCover(after); err != nil {
		t.Fatal(err)
	}
	return after
}

// different is how many bounds are in one of the lists only: what no plan can do without.
func different(a, b []record.Range) (n int) {
	starts := map[record.HashKey]int{}
	for _, r := range a {
		starts[r.Start] |= 1
	}
	for _, r := range b {
		starts[r.Start] |= 2
	}
	for _, in := range starts {
		if in != 3 {
			n++
		}
	}
	return n
}

// within reports whether two keys are less than n apart.
func within(a, b record.HashKey, n int64) bool {
	x, _ := new(big.Int).SetString(a.String(), 10)
	y, _ := new(big.Int).SetString(b.String(), 10)
	return x.Sub(x, y).CmpAbs(big.NewInt(n)) < 0
}

func TestReshardTakesNoMoveTooMany(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 7))
		open, want, width := randomRanges(r, 1+r.IntN(60)), record.EvenRanges(1+r.IntN(60)), 1+r.IntN(20)
		even := r.IntN(2) == 0
		if even {
			open = record.EvenRanges(1 + r.IntN(60))
		}
		moves, _, most := walk(t, open, want, width)
		if least := different(open, want); moves != least {
			t.Fatalf("seed %d: %d moves, %d do", seed, moves, least)
		}
		for i, r := range evenRanges(open, len(want)) {
			if e := want[i]; !within(r.Start, e.Start, maxShards) || !within(r.End, e.End, maxShards) {
				t.Fatalf("seed %d: range %v is not even, want about %v", seed, r, e)
			}
		}
		if limit := max(len(open), len(want)) + width; even && most > limit {
			t.Fatalf("seed %d: from %d to %d even ranges there were %d at once, in steps of %d", seed, len(open), len(want), most, width)
		}
	}
}

func TestReshardOfManyShardsTakesFewSteps(t *testing.T) {
	for _, c := range []struct{ from, to, steps, most int }{
		{1001, 900, 17, 1126},
		{900, 1001, 17, 1061},
		{1000, 2000, 4, 2000},
		{1000, 500, 4, 1000},
		{1, 1000, 16, 1000},
		{9999, 10000, 16, 11249},
	} {
		open := record.EvenRanges(c.from)
		_, steps, most := walk(t, open, evenRanges(open, c.to), reshardWidth(max(c.from, c.to)))
		if steps > c.steps || most > c.most {
			t.Errorf("from %d to %d: %d steps, %d shards at once; want at most %d and %d", c.from, c.to, steps, most, c.steps, c.most)
		}
	}
}
