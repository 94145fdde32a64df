// Package governor carries out what the settings of an open stream say about capacity: it holds
// writers and clients to the limits, measures what shards take, and splits and merges them in mode
// on_demand. The rules are those of package capacity.
//
// The invariant to remember: settings are looked at with every batch, so that a change of them holds
// at once, and a governor of a stream without limits that is provisioned does nothing.
package governor

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
)

// Options of a Governor. The zero value has the defaults.
type Options struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log gets each split and merge with its reason; nil means nobody does.
	Log *slog.Logger
	// Shards is the number that on_demand never goes below; zero means what the stream was created
	// with.
	Shards int
	// Rules of on_demand. Min and Max follow from the stream, and ShardBytes and ShardRecords too when
	// the stream has limits.
	Rules capacity.Options
}

// Governor governs one stream. Its methods may be called from any goroutine, except Look.
type Governor struct {
	stream  *stream.Stream
	o       Options
	limiter *capacity.Limiter

	throttled, splits, merges atomic.Int64
	stuck                     atomic.Pointer[[]capacity.Stuck]

	mu     sync.RWMutex // guards meters
	meters map[record.ShardID]*capacity.Meter

	// scaler and the rules it was made with are Look's.
	scaler *capacity.Scaler
	rules  capacity.Options
}

var _ stream.Gate = (*Governor)(nil)

// New puts a stream under a governor, as long as it is open. Limits hold at once; for on_demand
// somebody has to Look.
func New(s *stream.Stream, o Options) *Governor {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Shards == 0 {
		o.Shards = s.Describe().Initial
	}
	g := &Governor{
		stream: s, o: o, limiter: capacity.NewLimiter(s.Name(), capacity.Kinesis()),
		meters: map[record.ShardID]*capacity.Meter{},
	}
	s.SetGate(g)
	return g
}

func (g *Governor) limited() bool { return g.stream.Settings().Limits == stream.KinesisLimits }

// Admit implements stream.Gate.
func (g *Governor) Admit(parts []stream.Part) error {
	if len(parts) == 0 || !g.limited() {
		return nil
	}
	all := make([]capacity.Part, len(parts))
	for i, p := range parts {
		all[i] = capacity.Part{Shard: p.Shard, Records: p.Batch.Len(), Bytes: int64(p.Batch.Size())}
	}
	err := g.limiter.WriteAll(g.o.Now(), all)
	if err != nil {
		g.throttled.Add(1)
	}
	return err
}

// Stored implements stream.Gate.
func (g *Governor) Stored(shard record.ShardID, b *record.Batch) {
	if b.Len() > 0 && g.stream.Settings().Mode == stream.OnDemand {
		g.meter(shard).Add(b)
	}
}

// AdmitRead implements stream.Gate.
func (g *Governor) AdmitRead(shard record.ShardID) error {
	if !g.limited() {
		return nil
	}
	return g.limiter.Read(g.o.Now(), shard)
}

// Delivered implements stream.Gate.
func (g *Governor) Delivered(shard record.ShardID, bytes int64) {
	if bytes > 0 && g.limited() {
		g.limiter.Charge(shard, bytes)
	}
}

func (g *Governor) meter(shard record.ShardID) *capacity.Meter {
	g.mu.RLock()
	m := g.meters[shard]
	g.mu.RUnlock()
	if m != nil {
		return m
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if m = g.meters[shard]; m == nil {
		m = g.rulesOf(g.stream.Settings()).Meter(uint64(shard))
		g.meters[shard] = m
	}
	return m
}

// Report is what a governor did since it began.
type Report struct {
	// Throttled is how often a write was refused, or had to wait.
	Throttled int64
	// Splits and Merges that on_demand made.
	Splits, Merges int64
	// Stuck are the shards that are too hot now, and that a split would not help.
	Stuck []capacity.Stuck
}

// Report tells what was done so far.
func (g *Governor) Report() Report {
	r := Report{Throttled: g.throttled.Load(), Splits: g.splits.Load(), Merges: g.merges.Load()}
	if stuck := g.stuck.Load(); stuck != nil {
		r.Stuck = slices.Clone(*stuck)
	}
	return r
}
