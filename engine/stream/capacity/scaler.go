package capacity

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// Options of a Scaler. The zero value has the defaults.
type Options struct {
	// Min is the smallest number of shards; zero means 1.
	Min int
	// Max is the largest number of shards; zero means 4 per core.
	Max int
	// ShardBytes and ShardRecords are what a shard is good for per second; zero means 32 MiB and
	// 100,000 records. With limits they are the limits.
	ShardBytes, ShardRecords int64
	// Hot is the load above which a shard is split; zero means 0.8.
	Hot float64
	// Cold is the load below which two shards become one, at most half of Hot; zero
	// means 0.3.
	Cold float64
	// Uneven is the largest part of the load that a split may leave on one side; zero means 0.75.
	Uneven float64
	// Step is over how long a load is averaged; zero means a minute.
	Step time.Duration
	// CoolDown is how many steps a split or merge stands before it may be undone, and for how
	// many a pair must be cold; zero means 15.
	CoolDown int
}

func (o Options) withDefaults() Options {
	o.Min = max(o.Min, 1)
	if o.Max <= 0 {
		o.Max = 4 * runtime.GOMAXPROCS(0)
	}
	o.Max = max(o.Max, o.Min)
	orDefault(&o.ShardBytes, 32<<20)
	orDefault(&o.ShardRecords, 100_000)
	orDefault(&o.Hot, 0.8)
	orDefault(&o.Cold, 0.3)
	// A merged pair must not be nearly hot, or it would be split again.
	o.Cold = min(o.Cold, o.Hot/2)
	orDefault(&o.Uneven, 0.75)
	orDefault(&o.Step, time.Minute)
	orDefault(&o.CoolDown, 15)
	return o
}

func orDefault[T int | int64 | float64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Shard is an open shard.
type Shard struct {
	ID    record.ShardID
	Range record.Range
	// Parents is how many shards it was made from: none, one by a split, two by a merge.
	Parents int
	Created time.Time
}

// Action is what should be done to the map of shards.
type Action struct {
	// Split is set for a split of Shard at At, which becomes the right child's start; otherwise
	// Shard and With, its right neighbour, should become one.
	Split bool
	Shard record.ShardID
	At    record.HashKey
	With  record.ShardID
	// Load is that of the shard, or of both, as a share of a shard's capacity.
	Load float64
}

func (a Action) String() string {
	if a.Split {
		return fmt.Sprintf("split %s at %s, its load is %.2f", a.Shard, a.At, a.Load)
	}
	return fmt.Sprintf("merge %s and %s, their load was at most %.2f", a.Shard, a.With, a.Load)
}

// Stuck is a hot shard that a split would not help: most of its load is one hash key.
type Stuck struct {
	Shard record.ShardID
	Load  float64
	// Key is the hot hash key and Part its part of the load.
	Key  record.HashKey
	Part float64
}

// Scaler decides when to split and merge the shards of a stream. It is for one goroutine.
type Scaler struct {
	options Options
	shards  map[record.ShardID]*history
	stuck   []Stuck
	// step is the number of the current step since the epoch, 0 before the first look.
	step int64
}

// NewScaler returns a scaler that has seen nothing.
func NewScaler(o Options) *Scaler {
	return &Scaler{options: o.withDefaults(), shards: map[record.ShardID]*history{}}
}

// Observe takes what was written to the open shards since the call before, and returns what to
// do, at most once per step. It is called several times per step. What it returned and was not
// carried out it returns again. open must cover all hash keys; its order is changed to that of
// the ranges. Keys of loads are kept.
func (s *Scaler) Observe(now time.Time, open []Shard, loads map[record.ShardID]Load) []Action {
	slices.SortFunc(open, func(a, b Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	step := now.UnixNano() / int64(s.options.Step)
	ended := s.step != 0 && step > s.step
	if ended {
		for _, h := range s.shards {
			h.end(s.options, s.step, step)
		}
	}
	// A clock that was set back prolongs the step.
	s.step = max(s.step, step)
	s.count(open, loads)
	if !ended {
		return nil
	}
	return s.decide(now, open)
}

// count adds loads to the current step, and forgets shards that are no longer open.
func (s *Scaler) count(open []Shard, loads map[record.ShardID]Load) {
	known := s.shards
	s.shards = make(map[record.ShardID]*history, len(open))
	for _, o := range open {
		h := known[o.ID]
		if h == nil {
			// The step in which a shard appears is not whole.
			h = &history{since: s.step + 1}
		}
		h.add(loads[o.ID])
		s.shards[o.ID] = h
	}
}

// Stuck are the hot shards that the last decision could not help.
func (s *Scaler) Stuck() []Stuck { return slices.Clone(s.stuck) }

func (s *Scaler) decide(now time.Time, open []Shard) []Action {
	return append(s.splits(now, open), s.merges(open)...)
}

// splits are the hottest shards that a split helps, as many as there is room for. A shard that is
// younger than its step seems less hot than it is, and has to wait.
func (s *Scaler) splits(now time.Time, open []Shard) []Action {
	s.stuck = s.stuck[:0]
	var splits []Action
	for _, o := range open {
		h := s.shards[o.ID]
		if h.load <= s.options.Hot || o.Parents == 2 && s.fresh(now, o) {
			continue
		}
		c, ok := findCut(o.Range, h.keys)
		switch {
		case ok && c.share <= s.options.Uneven:
			splits = append(splits, Action{Split: true, Shard: o.ID, At: c.at, Load: h.load})
		case ok:
			s.stuck = append(s.stuck, Stuck{Shard: o.ID, Load: h.load, Key: c.hot, Part: c.part})
		}
	}
	slices.SortStableFunc(splits, func(a, b Action) int { return compare(b.Load, a.Load) })
	return splits[:min(len(splits), max(s.options.Max-len(open), 0))]
}

// merges are disjoint pairs of neighbours, the coldest first. What a split made is not among them
// before its cool-down, since it has not been seen that long.
func (s *Scaler) merges(open []Shard) []Action {
	limit := s.options.Cold
	if len(open) > s.options.Max {
		limit = s.options.Hot
	}
	var pairs []Action
	for i := 0; i+1 < len(open); i++ {
		a, b := open[i], open[i+1]
		if load, ok := together(s.shards[a.ID], s.shards[b.ID], s.options.CoolDown); ok && load < limit {
			pairs = append(pairs, Action{Shard: a.ID, With: b.ID, Load: load})
		}
	}
	slices.SortStableFunc(pairs, func(a, b Action) int { return compare(a.Load, b.Load) })
	var merges []Action
	for _, p := range pairs {
		if len(open)-len(merges) > s.options.Min && !involves(merges, p.Shard) && !involves(merges, p.With) {
			merges = append(merges, p)
		}
	}
	return merges
}

// fresh reports whether a shard is so young that what made it must not be undone. It goes by the map
// of shards, so that a restart changes nothing.
func (s *Scaler) fresh(now time.Time, o Shard) bool {
	return now.Sub(o.Created) < time.Duration(s.options.CoolDown)*s.options.Step
}

func involves(merges []Action, id record.ShardID) bool {
	return slices.ContainsFunc(merges, func(a Action) bool { return a.Shard == id || a.With == id })
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
