package checkpoint

import (
	"math/rand/v2"

	"github.com/millrace-io/millrace/engine/record"
)

// entry is a shard that can be worked on, and its lease. A lease that was not stored yet has
// revision 0.
type entry struct {
	shard    record.ShardID
	doc      leaseDocument
	revision uint64
	// expired: its counter stood still for the expiry, on the clock of who looks.
	expired bool
}

// situation is what a worker knows when it decides which leases it should have.
type situation struct {
	me      string
	entries []entry
	// busy are the shards that this worker works on, also those it lost and has not yet ended.
	busy map[record.ShardID]bool
	// resting are shards that this worker leaves to others for now.
	resting  map[record.ShardID]bool
	maxSteal int
	rand     *rand.Rand
}

// moves are what it decides.
type moves struct {
	take, ask []entry
	target    int
}

// plan takes what nobody has, up to an even share; when all leases are held, it asks the most
// loaded worker for some as long as that makes the loads more even. Both end by themselves: each
// steal lowers the sum of the squares of the loads, and workers whose loads differ by one leave
// each other alone.
func (s situation) plan() moves {
	load := map[string]int{s.me: 0}
	var free []entry
	asked := 0
	for _, e := range s.entries {
		switch claimant := s.claimant(e); {
		case claimant == "":
			free = append(free, e)
		default:
			load[claimant]++
			if e.doc.AskedBy == s.me && claimant == s.me {
				asked++
			}
		}
	}
	m := moves{target: (len(s.entries) + len(load) - 1) / len(load)}
	if len(free) > 0 {
		m.take = s.pick(free, m.target-load[s.me], func(e entry) bool { return !s.busy[e.shard] && !s.resting[e.shard] })
		return m
	}
	most := s.me
	for worker, n := range load {
		if n > load[most] || n == load[most] && worker < most {
			most = worker
		}
	}
	count := min(s.maxSteal-asked, (load[most]-load[s.me])/2)
	m.ask = s.pick(s.entries, count, func(e entry) bool {
		return e.doc.Owner == most && e.doc.AskedBy == "" && !s.busy[e.shard] && !s.resting[e.shard]
	})
	return m
}

// claimant is the worker that has the lease or will have it; empty when it can be taken.
func (s situation) claimant(e entry) string {
	switch {
	case e.doc.Owner == s.me && s.busy[e.shard]:
		// One's own lease does not expire in one's own eyes; the lease itself knows better.
		if e.doc.AskedBy != "" {
			return e.doc.AskedBy
		}
		return s.me
	case e.doc.Owner == "" || e.doc.Owner == s.me || e.expired:
		return ""
	case e.doc.AskedBy != "":
		return e.doc.AskedBy
	}
	return e.doc.Owner
}

// pick takes up to n of the entries that are fit, in random order: workers that decide at the
// same time then get in each other's way less.
func (s situation) pick(from []entry, n int, fit func(entry) bool) []entry {
	if n <= 0 {
		return nil
	}
	var picked []entry
	for _, i := range s.rand.Perm(len(from)) {
		if len(picked) == n {
			break
		}
		if fit(from[i]) {
			picked = append(picked, from[i])
		}
	}
	return picked
}
