package stream

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

func TestReshapeReachesTheRangesFromAnywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 200 {
		d := newDocument(randomRanges(r, 1+r.IntN(12)), Settings{}, time.Unix(1e9, 0))
		d.State = Active
		want := randomRanges(r, 1+r.IntN(12))
		if r.IntN(2) == 0 {
			want = record.EvenRanges(1 + r.IntN(40))
		}
		steps := 0
		for more := true; more; steps++ {
			var err error
			before := len(d.open())
			if more, err = d.reshape(want, 3, time.Unix(1e9, 0)); err != nil {
				t.Fatal(err)
			}
			d.settled(time.Unix(1e9, 0))
			if diff := len(d.open()) - before; diff < -3 || diff > 3 {
				t.Fatalf("a step of width 3 changed the number of shards by %d", diff)
			}
			if steps > 100 {
				t.Fatal("no end")
			}
		}
		var have []record.Range
		for _, s := range d.open() {
			have = append(have, s.Range)
		}
		if !slices.Equal(have, want) {
			t.Fatalf("have %v, want %v", have, want)
		}
		checkAncestry(t, d)
	}
}

// randomRanges cover all hash keys, some with one key.
func randomRanges(r *rand.Rand, n int) []record.Range {
	var starts []record.HashKey
	for range n - 1 {
		k := record.HashKey{Hi: r.Uint64(), Lo: r.Uint64()}
		if len(starts) > 0 && r.IntN(3) == 0 {
			k = starts[len(starts)-1].Next()
		}
		if k != (record.HashKey{}) {
			starts = append(starts, k)
		}
	}
	slices.SortFunc(starts, record.HashKey.Compare)
	starts = slices.Compact(starts)
	ranges := []record.Range{{}}
	for _, s := range starts {
		ranges[len(ranges)-1].End = s.Prev()
		ranges = append(ranges, record.Range{Start: s})
	}
	ranges[len(ranges)-1].End = record.MaxHashKey
	return ranges
}

// checkAncestry demands that each child's keys are those of its parents, cut or joined.
func checkAncestry(t *testing.T, d document) {
	t.Helper()
	ids := map[record.ShardID]bool{}
	for _, s := range d.Shards {
		if ids[s.ID] {
			t.Fatalf("%s is there twice", s.ID)
		}
		ids[s.ID] = true
		if len(s.Parents) > 2 || s.ID >= d.NextShard {
			t.Fatalf("%+v, the next shard is %d", s, d.NextShard)
		}
		for _, p := range s.Parents {
			parent := d.shard(p)
			if _, ok := s.Range.Intersect(parent.Range); !ok || parent.State != ShardClosed || !s.Created.After(parent.Created) {
				t.Fatalf("%+v is a child of %+v", s, parent)
			}
		}
	}
}

func TestChildIsYoungerThanItsParentsWhateverTheClockSays(t *testing.T) {
	d := newDocument(record.EvenRanges(2), Settings{}, time.Unix(1e9, 0))
	d.State = Active
	for i := range 5 {
		open := d.open()
		if err := d.merge(open[0].ID, open[1].ID, time.Unix(5e8, 0)); err != nil {
			t.Fatal(err)
		}
		d.settled(time.Unix(5e8, 0))
		if err := d.split(d.open()[0].ID, record.EvenRanges(2)[1].Start, time.Unix(5e8, 0)); err != nil {
			t.Fatal(err)
		}
		d.settled(time.Unix(5e8, 0))
		if got := d.open()[0].Created.Unix(); got != int64(1e9+2*(i+1)) {
			t.Errorf("after %d rounds a shard was created at %d", i+1, got)
		}
	}
}

func TestSplitBeyondTheLimitIsRefused(t *testing.T) {
	d := newDocument(record.EvenRanges(maxShards), Settings{}, time.Unix(1e9, 0))
	d.State = Active
	if err := d.split(0, d.Shards[0].Range.Middle(), time.Unix(1e9, 0)); !errors.Is(err, ErrLimit) {
		t.Errorf("split of one of %d shards: %v", maxShards, err)
	}
}

func TestInheritedPositionsSayWhatEachPartHas(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		// known[shard][hash key's bucket] is the position up to which records are stored.
		const buckets = 16
		space := record.EvenRanges(buckets)
		at := func(b int) record.HashKey { return space[b].Start }
		// Two parents that are themselves children with parts.
		cut := 1 + r.IntN(buckets-1)
		keys := []record.Range{{End: space[cut-1].End}, {Start: at(cut), End: record.MaxHashKey}}
		var truth [buckets]int64
		var parents []parent
		for i, k := range keys {
			p := NewProducers(nil)
			if r.IntN(4) > 0 {
				p.Set(7, Position{Epoch: uint32(r.IntN(3)), Value: int64(r.IntN(50))})
			}
			for range r.IntN(3) {
				lo := r.IntN(buckets)
				hi := lo + r.IntN(buckets-lo)
				if both, ok := (record.Range{Start: at(lo), End: space[hi].End}).Intersect(k); ok && both != record.AllKeys() {
					p.Add(Inherited{Producer: 7, Range: both, Position: Position{Value: int64(r.IntN(100))}})
				}
			}
			parents = append(parents, parent{keys: k, producers: p.List()})
			for b := range buckets {
				if k.Contains(at(b)) {
					truth[b] = has(p, at(b))
				}
			}
			_ = i
		}
		child := record.AllKeys()
		if r.IntN(2) == 0 {
			child = record.Range{Start: at(r.IntN(buckets)), End: record.MaxHashKey}
		}
		got := NewProducers(inherit(child, parents))
		for b := range buckets {
			if child.Contains(at(b)) && has(got, at(b)) != truth[b] {
				t.Fatalf("bucket %d: the child has %d, the parents had %d\n%+v\n%+v", b, has(got, at(b)), truth[b], parents, got.List())
			}
		}
	}
}

// has is the highest position that counts for a hash key, found by asking.
func has(p *Producers, h record.HashKey) int64 {
	var highest int64 = -1
	w, known := p.Get(7)
	for pos := range int64(120) {
		b := &record.Batch{Producer: record.Producer{ID: 7}, End: pos}
		b.AddExplicit([]byte("k"), h, nil, pos)
		if fresh, from := p.Fresh(b, &record.Batch{}, w.Value, known); fresh.Len()-from == 0 {
			highest = pos
		}
	}
	return highest
}

func TestOvertakenPartsAreForgotten(t *testing.T) {
	half := record.EvenRanges(2)
	p := NewProducers([]Inherited{
		{Producer: 7, Range: half[0], Position: Position{Value: 10}}, {Producer: 7, Range: half[1], Position: Position{Value: 20}},
	})
	if _, ok := p.Get(7); ok || p.Epoch(7) != 0 {
		t.Error("the whole shard has a position")
	}
	p.Set(7, Position{Epoch: 1, Value: 15})
	if whole, parts := p.Split(); len(whole) != 1 || len(parts) != 1 || parts[0].Range != half[1] {
		t.Errorf("at 15: %v %v", whole, parts)
	}
	p.Set(7, Position{Epoch: 1, Value: 20})
	if _, parts := p.Split(); len(parts) != 0 {
		t.Errorf("at 20: %v", parts)
	}
}
