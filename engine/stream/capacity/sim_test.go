package capacity

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

const (
	simBytes   = 1 << 20
	simRecords = 1000
)

var midnight = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// world is a stream whose shards split and merge at once, and the traffic of one minute.
type world struct {
	t       *testing.T
	options Options
	scaler  *Scaler
	rand    *rand.Rand
	now     time.Time
	open    []Shard
	nextID  record.ShardID
	done    []deed
	loads   map[record.ShardID]float64
}

// deed is a split or merge that was carried out: of or into a range.
type deed struct {
	at    time.Time
	split bool
	whole record.Range
}

// traffic is a rate in shards' capacities: even over all keys, and one hot key.
type traffic struct {
	even, hot float64
	key       record.HashKey
}

func newWorld(t *testing.T, o Options, shards int) *world {
	o.ShardBytes, o.ShardRecords = simBytes, simRecords
	w := &world{
		t: t, options: o.withDefaults(), scaler: NewScaler(o), rand: rand.New(rand.NewPCG(1, 2)),
		now: midnight,
	}
	for _, r := range record.EvenRanges(shards) {
		w.add(r, 0)
	}
	return w
}

func (w *world) add(r record.Range, parents int) {
	w.open = append(w.open, Shard{ID: w.nextID, Range: r, Parents: parents, Created: w.now})
	w.nextID++
}

// width is the part of all hash keys that a range has.
func width(r record.Range) float64 {
	return (float64(r.End.Hi) - float64(r.Start.Hi) + 1) / math.Exp2(64)
}

// minute lets a minute of traffic pass and carries out what the scaler decides.
func (w *world) minute(tr traffic) {
	w.now = w.now.Add(time.Minute)
	loads := map[record.ShardID]Load{}
	w.loads = map[record.ShardID]float64{}
	for _, s := range w.open {
		even, hot := tr.even*width(s.Range), 0.0
		if s.Range.Contains(tr.key) {
			hot = tr.hot
		}
		w.loads[s.ID] = even + hot
		l := Load{Bytes: int64((even + hot) * simBytes * 60 / 2), Records: int64((even + hot) * simRecords * 60)}
		for range min(keysPerTake, int(l.Records)) {
			k := Key{Hash: w.pick(s.Range), Weight: 1}
			if w.rand.Float64()*(even+hot) < hot {
				k.Hash = tr.key
			}
			l.Keys = append(l.Keys, k)
		}
		loads[s.ID] = l
	}
	for _, a := range w.scaler.Observe(w.now, w.open, loads) {
		w.carryOut(a)
	}
	w.check()
}

// pick draws a hash key evenly from a range of at least 2^64 keys.
func (w *world) pick(r record.Range) record.HashKey {
	hi := w.rand.Uint64()
	if n := r.End.Hi - r.Start.Hi + 1; n != 0 {
		hi %= n
	}
	return record.HashKey{Hi: r.Start.Hi + hi, Lo: w.rand.Uint64()}
}

func (w *world) take(id record.ShardID) Shard {
	for i, s := range w.open {
		if s.ID == id {
			w.open = append(w.open[:i:i], w.open[i+1:]...)
			return s
		}
	}
	w.t.Fatalf("%v: the scaler names %s, which is not open", w.now, id)
	return Shard{}
}

func (w *world) carryOut(a Action) {
	s := w.take(a.Shard)
	if a.Split {
		if !legal(s.Range, a.At) {
			w.t.Fatalf("%v: %v, whose range is %v", w.now, a, s.Range)
		}
		w.add(record.Range{Start: s.Range.Start, End: before(a.At)}, 1)
		w.add(record.Range{Start: a.At, End: s.Range.End}, 1)
		w.note(deed{at: w.now, split: true, whole: s.Range})
		return
	}
	b := w.take(a.With)
	if next(s.Range.End) != b.Range.Start {
		w.t.Fatalf("%v: %v, which are not adjacent", w.now, a)
	}
	whole := record.Range{Start: s.Range.Start, End: b.Range.End}
	w.add(whole, 2)
	w.note(deed{at: w.now, whole: whole})
}

func before(h record.HashKey) record.HashKey {
	if h.Lo == 0 {
		h.Hi--
	}
	h.Lo--
	return h
}

// note checks that nothing is undone within the cool-down.
func (w *world) note(d deed) {
	cool := time.Duration(w.options.CoolDown) * w.options.Step
	for _, old := range w.done {
		overlap := !old.whole.End.Less(d.whole.Start) && !d.whole.End.Less(old.whole.Start)
		if overlap && old.split != d.split && d.at.Sub(old.at) < cool {
			w.t.Fatalf("%v: split %v of %v, %v after the opposite", d.at, d.split, d.whole, d.at.Sub(old.at))
		}
	}
	w.done = append(w.done, d)
}

// check is what must hold at any time: bounds, and that the shards cover every key once.
func (w *world) check() {
	w.t.Helper()
	if len(w.open) < w.options.Min || len(w.open) > w.options.Max {
		w.t.Fatalf("%v: %d shards, want %d to %d", w.now, len(w.open), w.options.Min, w.options.Max)
	}
	var start record.HashKey
	for range w.open {
		found := false
		for _, s := range w.open {
			if s.Range.Start == start {
				found, start = true, next(s.Range.End)
				break
			}
		}
		if !found {
			w.t.Fatalf("%v: no shard begins at %v: %v", w.now, start, w.open)
		}
	}
	if start != (record.HashKey{}) {
		w.t.Fatalf("%v: the shards end at %v", w.now, start)
	}
}

func (w *world) count(from, to time.Duration) (splits, merges int) {
	for _, d := range w.done {
		if at := d.at.Sub(midnight); at < from || at >= to {
			continue
		}
		if d.split {
			splits++
		} else {
			merges++
		}
	}
	return splits, merges
}

// hottest is the highest load of a shard.
func (w *world) hottest() (load float64) {
	for _, l := range w.loads {
		load = max(load, l)
	}
	return load
}

const (
	burstStart = 10 * time.Hour
	burstEnd   = burstStart + 20*time.Minute
	hotStart   = 14 * time.Hour
	hotEnd     = 16 * time.Hour
)

// day is the traffic at a time of day: a curve with its low at four and its high at sixteen
// o'clock, a burst in the morning, a hot key in the afternoon, and a quiet night.
func day(at time.Duration) traffic {
	tr := traffic{even: 3 - 2.8*math.Cos(2*math.Pi*(at.Hours()-4)/24), key: record.Hash([]byte("celebrity"))}
	switch {
	case at >= 20*time.Hour:
		tr.even = 0.05
	case at >= hotStart && at < hotEnd:
		tr.hot = 2
	case at >= burstStart && at < burstEnd:
		tr.even *= 2.5
	}
	return tr
}

func TestDayOfTraffic(t *testing.T) {
	w := newWorld(t, Options{Max: 24}, 1)
	over, stuck := 0, 0
	most, least := 0, 100
	for m := range 24 * 60 {
		at := time.Duration(m) * time.Minute
		w.minute(day(at))
		most, least = max(most, len(w.open)), min(least, len(w.open))
		if at < hotStart || at >= hotEnd {
			if w.hottest() > 1 {
				over++
			}
		} else if s := w.scaler.Stuck(); len(s) == 1 && s[0].Key == record.Hash([]byte("celebrity")) {
			stuck++
		}
		if at == 19*time.Hour+59*time.Minute {
			t.Logf("20:00: %d shards, hottest %.2f", len(w.open), w.hottest())
		}
	}
	splits, merges := w.count(0, 24*time.Hour)
	burst, _ := w.count(burstStart, burstEnd)
	hot, _ := w.count(hotStart, hotEnd)
	_, night := w.count(20*time.Hour, 24*time.Hour)
	t.Logf("%d splits and %d merges, %d to %d shards, %d minutes above capacity; splits in the burst %d, with the hot key %d; merges at night %d; stuck %d minutes",
		splits, merges, least, most, over, burst, hot, night, stuck)
	if most < 8 {
		t.Errorf("at most %d shards for a load of 14", most)
	}
	// A burst that comes at once cannot be seen before a minute of it passed.
	if over > 10 {
		t.Errorf("%d minutes with a shard above its capacity", over)
	}
	if burst == 0 {
		t.Error("the burst split nothing")
	}
	// The curve still rises then; the key itself may be parted from its neighbours, once or twice.
	if hot > 10 {
		t.Errorf("%d splits with the hot key", hot)
	}
	if stuck < 90 {
		t.Errorf("the hot key was named in %d minutes of 120", stuck)
	}
	if len(w.open) != 1 || night == 0 {
		t.Errorf("%d shards after a quiet night", len(w.open))
	}
	if splits+merges > 80 {
		t.Errorf("%d changes in a day", splits+merges)
	}
}

func TestHotKeySplitsNothingForEver(t *testing.T) {
	w := newWorld(t, Options{Max: 64}, 1)
	key := record.Hash([]byte("celebrity"))
	for range 12 * 60 {
		w.minute(traffic{even: 0.4, hot: 3, key: key})
	}
	if len(w.done) != 0 {
		t.Errorf("%d changes for one hot key: %v", len(w.done), w.done)
	}
	if s := w.scaler.Stuck(); len(s) != 1 || s[0].Key != key || s[0].Part < 0.8 {
		t.Errorf("stuck: %+v", s)
	}
}

func TestHotKeyAmongOthersIsPartedFromThemOnce(t *testing.T) {
	w := newWorld(t, Options{Max: 64}, 1)
	for range 6 * 60 {
		w.minute(traffic{even: 2, hot: 3, key: record.Hash([]byte("celebrity"))})
	}
	if splits, merges := w.count(0, 24*time.Hour); splits < 2 || splits > 8 || merges > 0 {
		t.Errorf("%d splits, %d merges", splits, merges)
	}
}

func TestSteadyTrafficSettles(t *testing.T) {
	for _, rate := range []float64{0.1, 0.5, 0.79, 1, 2.5, 5, 9, 15} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			w := newWorld(t, Options{Max: 32}, 1)
			for range 60 {
				w.minute(traffic{even: rate})
			}
			before := len(w.done)
			for range 5 * 60 {
				w.minute(traffic{even: rate})
			}
			if late := len(w.done) - before; late > 0 || w.hottest() > 0.8 {
				t.Errorf("%d changes after an hour, hottest %.2f with %d shards", late, w.hottest(), len(w.open))
			}
		})
	}
}

func TestRandomTrafficKeepsTheRules(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			w := newWorld(t, Options{Min: 1 + r.IntN(3), Max: 6 + r.IntN(20)}, 4)
			tr := traffic{}
			for m := range 600 {
				if m%(1+r.IntN(30)) == 0 {
					tr = traffic{even: r.ExpFloat64() * 4, hot: r.ExpFloat64() - 1, key: w.pick(record.EvenRanges(1)[0])}
					tr.hot = max(tr.hot, 0)
				}
				w.minute(tr)
			}
			if len(w.done) == 0 {
				t.Error("nothing happened")
			}
		})
	}
}
