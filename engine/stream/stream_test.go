package stream

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

func TestProducerIDKeepsPartsApart(t *testing.T) {
	ids := map[uint64]bool{}
	for _, parts := range [][]string{{}, {""}, {"a", "bc"}, {"ab", "c"}, {"abc"}, {"abc", ""}} {
		ids[ProducerID(parts...)] = true
	}
	if len(ids) != 6 || ids[0] {
		t.Errorf("ids %v", ids)
	}
	// It is stored with records, so it must stay the same for good.
	if got := ProducerID("lake", "events", "/data/a.ndjson"); got != 0xc5b7a80aaf1909ea {
		t.Errorf("ProducerID = %#x", got)
	}
}

func TestFindAgreesWithTheRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 8, 9, 100} {
		ranges := record.EvenRanges(n)
		s := &shardMap{}
		for i, rg := range ranges {
			s.open = append(s.open, shard{id: record.ShardID(i), start: rg.Start})
		}
		keys := []record.HashKey{{}, record.MaxHashKey}
		for _, rg := range ranges {
			keys = append(keys, rg.Start, rg.End)
		}
		for range 1000 {
			keys = append(keys, record.HashKey{Hi: r.Uint64(), Lo: r.Uint64()})
		}
		for _, k := range keys {
			if i := s.find(k); !ranges[i].Contains(k) {
				t.Errorf("%d shards: %s goes to shard %d of %s to %s", n, k, i, ranges[i].Start, ranges[i].End)
			}
		}
	}
}

func TestDocumentWithAGapIsRefused(t *testing.T) {
	good := newDocument(record.EvenRanges(3), Settings{}, time.Unix(1, 0))
	for what, change := range map[string]func(*document){
		"a gap":              func(d *document) { d.Shards[1].Range.Start.Lo++ },
		"a missing end":      func(d *document) { d.Shards = d.Shards[:2] },
		"an overlap":         func(d *document) { d.Shards[1].Range.End = record.MaxHashKey },
		"no open shard":      func(d *document) { d.Shards = nil },
		"a closed shard":     func(d *document) { d.Shards[2].State = ShardClosed },
		"another format":     func(d *document) { d.Format = 3 },
		"a bad incarnation":  func(d *document) { d.Incarnation = "xyz" },
		"nothing wrong":      func(*document) {},
		"an inverted range":  func(d *document) { d.Shards[0].Range.End = record.HashKey{} },
		"a start above zero": func(d *document) { d.Shards[0].Range.Start.Lo = 1 },
	} {
		d := good
		d.Shards = append([]Shard(nil), good.Shards...)
		change(&d)
		value, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeDocument(value); (err == nil) != (what == "nothing wrong") {
			t.Errorf("document with %s: %v", what, err)
		}
	}
}

func TestShardCountErrorNamesTheCure(t *testing.T) {
	err := &ShardCountError{Stream: "clicks", Have: 2, Ask: 4}
	if !strings.Contains(err.Error(), "`shards: 2`") {
		t.Error(err)
	}
}

func FuzzDocument(f *testing.F) {
	value, err := json.Marshal(newDocument(record.EvenRanges(2), Settings{}, time.Unix(1, 0)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	f.Add([]byte(`{"format":1,"incarnation":"1","shards":[{"range":{"start":"1e99"}}]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		d, err := decodeDocument(value)
		if err == nil && len(d.open()) == 0 {
			t.Error("a document without an open shard")
		}
	})
}

func TestARecordByItselfIsNotCopied(t *testing.T) {
	m := &shardMap{}
	for i, rg := range record.EvenRanges(4) {
		m.open = append(m.open, shard{id: record.ShardID(i), start: rg.Start})
	}
	s := &Stream{}
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		b := &record.Batch{}
		b.Add([]byte(key), []byte("data"), 0)
		p := s.plan(m, b)
		for i, part := range p.parts {
			if want := i == m.find(b.Hash(0)); want != (part == b) || !want && part != nil {
				t.Errorf("key %s: shard %d gets %v", key, i, part)
			}
		}
		s.release(p)
	}
}

// Records so large that a write has a few of them come to all shards in the end.
func TestPartsOfWritesTakeMemoryAsAWriteDoes(t *testing.T) {
	const size = 256 << 10
	m := &shardMap{}
	for i, rg := range record.EvenRanges(64) {
		m.open = append(m.open, shard{id: record.ShardID(i), start: rg.Start})
	}
	s := &Stream{}
	p := s.newPlan(m)
	data := bytes.Repeat([]byte("x"), size)
	for i := range 64 {
		b := &record.Batch{}
		for k := range 2 {
			b.AddExplicit([]byte("key"), m.open[(2*i+k)%64].start, data, 0)
		}
		for k := range b.Len() {
			p.of(m.find(b.Hash(k))).AddFrom(b, k)
		}
		p.fill(b, false)
		s.release(p)
		p.shards = m
	}
	held := 0
	for range 64 {
		held += p.spare.Get().Capacity()
	}
	if held == 0 || held > 4*2*size {
		t.Errorf("a plan keeps %d bytes for writes of %d", held, 2*size)
	}
}
