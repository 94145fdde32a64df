package capacity

import (
	"math/rand/v2"
	"sync"

	"github.com/millrace-io/millrace/engine/record"
)

const (
	// keysPerTake is how many hash keys a meter aims to sample between two calls of Take.
	keysPerTake = 64
	// minStep is the smallest cost between two sampled records, which bounds the price of hashing.
	minStep = 1 << 10
)

// Key is a hash key that was seen.
type Key struct {
	Hash record.HashKey
	// Weight is the cost of the records that this one stands for.
	Weight int64
}

// Load is what a shard took between two looks.
type Load struct {
	Bytes, Records int64
	// Keys are a sample of the records, each chosen with a probability proportional to its cost.
	Keys []Key
}

// Meter measures what is written to a shard. Most batches cost it two additions: it hashes only
// the keys that it samples. All methods may be called from any goroutine.
type Meter struct {
	// perRecord is the cost of a record besides its bytes.
	perRecord int64

	mu   sync.Mutex // guards the rest
	load Load
	rand rand.PCG
	// step is the mean cost between two samples, until what is left to the next.
	step, until int64
}

// Meter returns a meter whose sample suits the scaler's capacities. The seed makes it
// repeatable.
func (o Options) Meter(seed uint64) *Meter {
	o = o.withDefaults()
	m := &Meter{perRecord: max(o.ShardBytes/o.ShardRecords, 1), step: 64 << 10}
	m.rand.Seed(seed, 1)
	m.advance()
	return m
}

// advance draws the distance to the next sample. A fixed one would miss keys that come in turns.
func (m *Meter) advance() { m.until += 1 + int64(m.rand.Uint64()%uint64(2*m.step)) }

// Add counts a batch.
func (m *Meter) Add(b *record.Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.load.Bytes += int64(b.Size())
	m.load.Records += int64(b.Len())
	if cost := int64(b.Size()) + int64(b.Len())*m.perRecord; cost < m.until {
		m.until -= cost
		return
	}
	for i := range b.Len() {
		m.until -= int64(len(b.Body(i))-len(b.Body(i+1))) + m.perRecord
		if m.until <= 0 {
			m.sample(b.Hash(i))
		}
	}
}

func (m *Meter) sample(h record.HashKey) {
	k := Key{Hash: h}
	// A record that costs many steps counts as many.
	for m.until <= 0 {
		k.Weight += m.step
		m.advance()
	}
	m.load.Keys = append(m.load.Keys, k)
	if len(m.load.Keys) < 2*keysPerTake {
		return
	}
	// Too many: every other stands for two.
	for i := range keysPerTake {
		m.load.Keys[i] = m.load.Keys[2*i]
		m.load.Keys[i].Weight += m.load.Keys[2*i+1].Weight
	}
	m.load.Keys = m.load.Keys[:keysPerTake]
	m.step *= 2
}

// Take returns what was counted since the call before, and begins anew.
func (m *Meter) Take() Load {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.load
	m.load = Load{}
	if len(l.Keys) < keysPerTake/2 && m.step > minStep {
		m.step /= 2
		m.until = min(m.until, 2*m.step)
	}
	return l
}
