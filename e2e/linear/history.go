// Package linear checks that the shards of a stream are linearizable: that each put, read and iterator can be given a
// moment between its call and its answer so that all of them together tell one story.
//
// The invariant to remember: a shard's log only grows. So the reading at the end gives the order in which records
// were put, also of those whose answer was lost, and what is left to find is whether that order fits with the times.
package linear

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// never is when an operation returns that was not answered: it may happen at any later time.
const never = math.MaxInt64

// Stored is a record as a shard gives it.
type Stored struct {
	Number string // sequence number
	Value  string
}

// History is what clients did and what they were told. Its methods may be called from any goroutine.
type History struct {
	mu           sync.Mutex // guards all below
	began        time.Time
	puts         []*Put
	reads        []*read
	anchors      []*anchor
	acknowledged int
	end          map[string][]Stored // by shard
}

// NewHistory is one in which nothing happened yet.
func NewHistory() *History { return &History{began: time.Now(), end: map[string][]Stored{}} }

func (h *History) now() int64 { return int64(time.Since(h.began)) }

// Put is a record that was sent.
type Put struct {
	client       int
	shard, value string
	// again is set if the client may have sent it several times by itself.
	again     bool
	call, ret int64
	number    string // "" if it was not answered
	// after is the record before it in the same request.
	after *Put
}

// read is an answered GetRecords.
type read struct {
	client    int
	shard     string
	at        *anchor
	call, ret int64
	records   []Stored
	// tip is set if there was nothing more.
	tip bool
}

// anchor is a position: behind the record with a number, at the start if it is empty. That of LATEST is known only once
// a record was read from it.
type anchor struct {
	client    int
	shard     string
	latest    bool
	call, ret int64
	number    string
	at        bool   // the record itself is the next one
	next      string // the first record that was read from it
}

// Sent notes that a record is about to be put into a shard.
func (h *History) Sent(client int, shard, value string, again bool) *Put {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &Put{client: client, shard: shard, value: value, again: again, call: h.now(), ret: never}
	h.puts = append(h.puts, p)
	return p
}

// Answered notes the number that a record was given.
func (h *History) Answered(p *Put, number string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.number, p.ret = number, h.now()
	h.acknowledged++
}

// Acknowledged counts the records that were answered.
func (h *History) Acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acknowledged
}

// start is an anchor that is known.
func start(client int, shard, number string, at bool) *anchor {
	return &anchor{client: client, shard: shard, number: number, at: at}
}

// latest notes an iterator of type LATEST that was asked for at call.
func (h *History) latest(client int, shard string, call int64) *anchor {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := &anchor{client: client, shard: shard, latest: true, call: call, ret: h.now()}
	h.anchors = append(h.anchors, a)
	return a
}

// saw notes the answer to a GetRecords that was asked at call, and returns the position behind it.
func (h *History) saw(client int, at *anchor, call int64, records []Stored, tip bool) *anchor {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads = append(h.reads, &read{client, at.shard, at, call, h.now(), records, tip})
	if len(records) == 0 {
		return at
	}
	if at.latest && (at.next == "" || less(records[0].Number, at.next)) {
		at.next = records[0].Number
	}
	return start(client, at.shard, records[len(records)-1].Number, false)
}

// End notes the records that a shard has when all is over.
func (h *History) End(shard string, records []Stored) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end[shard] = records
}

// shards that anything was done with.
func (h *History) shards() []string {
	all := map[string]bool{}
	for shard := range h.end {
		all[shard] = true
	}
	for _, p := range h.puts {
		all[p.shard] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// less orders sequence numbers, which are decimal.
func less(a, b string) bool { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) < 0 }
