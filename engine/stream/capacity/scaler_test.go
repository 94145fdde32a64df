package capacity

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

func spread(r record.Range, n int) []Key {
	var keys []Key
	for i := range n {
		keys = append(keys, Key{Hash: record.HashKey{Hi: r.Start.Hi + uint64(i)*((r.End.Hi-r.Start.Hi)/uint64(n)), Lo: 5}, Weight: 1})
	}
	return keys
}

func TestCutHalvesTheLoadAndNotTheRange(t *testing.T) {
	whole := record.EvenRanges(1)[0]
	low := record.Range{End: record.HashKey{Hi: 1 << 40}}
	c, ok := findCut(whole, append(spread(low, 90), spread(whole, 10)...))
	if !ok || c.share > 0.55 || !c.at.Less(low.End) {
		t.Errorf("cut at %v leaves %.2f, %v", c.at, c.share, ok)
	}
}

func TestHeavyKeysCountMore(t *testing.T) {
	whole := record.EvenRanges(1)[0]
	keys := spread(whole, 20)
	keys[19].Weight = 19
	c, _ := findCut(whole, keys)
	if c.share != 0.5 || !keys[18].Hash.Less(c.at) || keys[19].Hash.Less(c.at) {
		t.Errorf("cut at %v leaves %.2f", c.at, c.share)
	}
	if c.hot != keys[19].Hash || c.part != 0.5 {
		t.Errorf("hot key %v with %.2f", c.hot, c.part)
	}
}

func TestCutsAreLegal(t *testing.T) {
	two := func(a, b uint64) []Key {
		var keys []Key
		for range minKeys {
			keys = append(keys, Key{Hash: record.HashKey{Lo: a}, Weight: 1}, Key{Hash: record.HashKey{Lo: b}, Weight: 1})
		}
		return keys
	}
	r := record.Range{Start: record.HashKey{Lo: 10}, End: record.HashKey{Lo: 13}}
	for _, c := range []struct {
		a, b uint64
		at   uint64
	}{{10, 11, 0}, {11, 12, 12}, {12, 13, 0}, {10, 13, 12}} {
		got, ok := findCut(r, two(c.a, c.b))
		if want := c.at != 0; !ok || (got.share < 1) != want || want && got.at.Lo != c.at {
			t.Errorf("keys %d and %d in 10 to 13: cut at %v leaves %.2f", c.a, c.b, got.at, got.share)
		}
	}
	top := record.Range{End: record.MaxHashKey}
	keys := append(two(0, 0), Key{Hash: record.MaxHashKey, Weight: 32})
	if got, ok := findCut(top, keys); !ok || !legal(top, got.at) || got.share != 0.5 {
		t.Errorf("keys at both ends: %+v", got)
	}
	if _, ok := findCut(top, two(1, 2)[:minKeys-1]); ok {
		t.Error("a cut was made on too few keys")
	}
}

func TestLoweredMaximumMergesDown(t *testing.T) {
	w := newWorld(t, Options{Max: 8}, 8)
	w.scaler = NewScaler(Options{Max: 4, ShardBytes: simBytes, ShardRecords: simRecords})
	w.options.Max = 8
	for range 60 {
		w.minute(traffic{even: 2.4})
	}
	if len(w.open) != 4 {
		t.Errorf("%d shards, want 4", len(w.open))
	}
}

func TestFewerThanMinimumIsNeverReached(t *testing.T) {
	w := newWorld(t, Options{Min: 3, Max: 8}, 8)
	for range 200 {
		w.minute(traffic{})
	}
	if len(w.open) != 3 {
		t.Errorf("%d shards, want 3", len(w.open))
	}
}

func TestRoomGoesToTheHottest(t *testing.T) {
	s := NewScaler(Options{Max: 5, ShardBytes: simBytes, ShardRecords: simRecords})
	var open []Shard
	loads := map[record.ShardID]Load{}
	for i, r := range record.EvenRanges(4) {
		open = append(open, Shard{ID: record.ShardID(i), Range: r})
		loads[record.ShardID(i)] = Load{Bytes: int64(i+1) * 60 * simBytes, Keys: spread(r, 30)}
	}
	start := time.Unix(1_700_000_040, 0)
	var actions []Action
	for m := range 4 {
		actions = s.Observe(start.Add(time.Duration(m)*time.Minute), open, loads)
	}
	if len(actions) != 1 || actions[0].Shard != 3 || !actions[0].Split || actions[0].Load != 4 {
		t.Errorf("actions: %v", actions)
	}
}

func TestClockSetBackDecidesNothing(t *testing.T) {
	s := NewScaler(Options{ShardBytes: simBytes, ShardRecords: simRecords})
	open := []Shard{{Range: record.EvenRanges(1)[0]}}
	load := map[record.ShardID]Load{0: {Bytes: 1 << 40, Keys: spread(open[0].Range, 30)}}
	at := time.Unix(1_700_000_040, 0)
	for range 5 {
		if a := s.Observe(at, open, load); a != nil {
			t.Fatalf("actions: %v", a)
		}
		at = at.Add(-time.Hour)
	}
}

func TestMeterSamplesByCost(t *testing.T) {
	m := Options{}.Meter(1)
	heavy, light := []byte("heavy"), []byte("light")
	var parts float64
	const rounds = 40
	var b record.Batch
	// In turns, which a sample at fixed distances could miss altogether.
	for range 50 {
		b.Add(heavy, make([]byte, 3000), 0)
		b.Add(light, make([]byte, 446), 0)
	}
	for range rounds {
		for range 100 {
			m.Add(&b)
		}
		l := m.Take()
		if l.Records != 10_000 || l.Bytes < 100*50*3446 || len(l.Keys) > 2*keysPerTake {
			t.Fatalf("%d records, %d bytes, %d keys", l.Records, l.Bytes, len(l.Keys))
		}
		var all, of int64
		for _, k := range l.Keys {
			all += k.Weight
			if k.Hash == record.Hash(heavy) {
				of += k.Weight
			}
		}
		parts += float64(of) / float64(all) / rounds
	}
	// With the cost of a record, 335 bytes: 3343 to 789.
	if parts < 0.76 || parts > 0.86 {
		t.Errorf("the heavy key has %.3f of the sample, want about 0.81", parts)
	}
}

func TestKeysInTurnsAreSampledAlike(t *testing.T) {
	m := Options{}.Meter(1)
	var b record.Batch
	for range 64 {
		// 1024 with the cost of a record, a divisor of every step.
		b.Add([]byte("one"), make([]byte, 683), 0)
		b.Add([]byte("two"), make([]byte, 683), 0)
	}
	for range 60 {
		m.Add(&b)
	}
	one, keys := 0, m.Take().Keys
	for _, k := range keys {
		if k.Hash == record.Hash([]byte("one")) {
			one++
		}
	}
	if len(keys) < 32 || one < len(keys)/4 || one > len(keys)*3/4 {
		t.Errorf("%d of %d sampled keys are the first", one, len(keys))
	}
}

func TestSmallBatchesAreSampledToo(t *testing.T) {
	m := Options{}.Meter(1)
	var b record.Batch
	b.Add([]byte("k"), make([]byte, 100), 0)
	for range 50_000 {
		m.Add(&b)
	}
	if n := len(m.Take().Keys); n < keysPerTake {
		t.Errorf("%d keys sampled", n)
	}
}

func TestIdleMeterFindsKeysAgain(t *testing.T) {
	m := Options{}.Meter(1)
	big, small := record.Batch{}, record.Batch{}
	for i := range 500 {
		big.Add([]byte{byte(i)}, make([]byte, 10_000), 0)
	}
	for range 2000 {
		m.Add(&big)
	}
	m.Take()
	small.Add([]byte("k"), make([]byte, 10_000), 0)
	found := 0
	for range 40 {
		for range 100 {
			m.Add(&small)
		}
		found = len(m.Take().Keys)
	}
	if found < keysPerTake/4 {
		t.Errorf("%d keys sampled of 100 records after a busy time", found)
	}
}

func BenchmarkMeter(b *testing.B) {
	m := Options{}.Meter(1)
	var batch record.Batch
	for i := range 500 {
		batch.Add([]byte{byte(i), byte(i >> 8)}, make([]byte, 1024), 0)
	}
	n := 0
	for b.Loop() {
		m.Add(&batch)
		// 10 s at 300,000 records a second.
		if n++; n%6000 == 0 {
			m.Take()
		}
	}
}

func TestStepThatBeganBeforeTheShardsProvesNothing(t *testing.T) {
	s := NewScaler(Options{CoolDown: 1, ShardBytes: simBytes, ShardRecords: simRecords})
	var open []Shard
	for i, r := range record.EvenRanges(2) {
		open = append(open, Shard{ID: record.ShardID(i), Range: r})
	}
	at := time.Unix(1_700_000_040, 0).Truncate(time.Minute)
	s.Observe(at.Add(59*time.Second), open, nil)
	if a := s.Observe(at.Add(time.Minute), open, nil); a != nil {
		t.Errorf("after a second: %v", a)
	}
	if a := s.Observe(at.Add(2*time.Minute), open, nil); len(a) != 1 || a[0].Split {
		t.Errorf("after a whole minute: %v", a)
	}
}
