package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// Lag is how far a consumer is behind in one shard.
type Lag struct {
	// Records that the shard holds and the consumer has not dealt with.
	Records int64 `json:"records"`
	// Behind is the age of the first of them, zero when there is none.
	Behind time.Duration `json:"behind"`
	// Expired records went with retention before the consumer came to them.
	Expired int64 `json:"expired"`
}

// LagMeter measures the lag in one shard. It remembers what it read, so that a consumer which
// stands still costs nothing. It is used by one goroutine.
type LagMeter struct {
	Log stream.Log
	// Now is the clock for ages; nil means time.Now.
	Now func() time.Time
	// Buffer is used for reading, and may be shared by meters of one goroutine; nil means one of its own.
	Buffer *stream.Buffer

	// from up to next is a stretch of records that arrived at the same time, in milliseconds since
	// the epoch.
	from, next record.Ordinal
	arrival    int64
}

// Measure returns the lag of a consumer whose next record is at a position. Its errors are those
// of reading the log; records and expired are valid all the same.
func (m *LagMeter) Measure(ctx context.Context, position record.Ordinal) (Lag, error) {
	b := m.Log.Bounds()
	first := max(position, b.Oldest)
	lag := Lag{Records: max(0, int64(b.Next-first)), Expired: max(0, int64(b.Oldest-position))}
	if lag.Records == 0 {
		return lag, nil
	}
	if first < m.from || first >= m.next {
		if err := m.read(ctx, first); err != nil {
			return lag, fmt.Errorf("measure the lag at %d: %w", first, err)
		}
	}
	if first < m.next {
		now := time.Now
		if m.Now != nil {
			now = m.Now
		}
		lag.Behind = max(0, now().Sub(time.UnixMilli(m.arrival)))
	}
	return lag, nil
}

// read finds the frame of a record.
func (m *LagMeter) read(ctx context.Context, first record.Ordinal) error {
	if m.Buffer == nil {
		m.Buffer = new(stream.Buffer)
	}
	m.Buffer.Max, m.Buffer.Heads = 1, true
	frames, err := m.Log.Read(ctx, first, m.Buffer)
	if errors.Is(err, stream.ErrTrimmed) {
		// It went since the bounds were read; the next measurement sees that.
		return nil
	}
	if err != nil || len(frames) == 0 {
		return err
	}
	m.from, m.next, m.arrival = first, frames[0].Next(), frames[0].Arrival
	return nil
}

// LeaseStats is a snapshot of what a worker did and holds, for metrics and status.
type LeaseStats struct {
	Worker string `json:"worker"`
	Group  string `json:"group"`
	Stream string `json:"stream"`
	// Held leases, the Target of an even share, and the Leases that the group has in all.
	Held   int `json:"held"`
	Target int `json:"target"`
	Leases int `json:"leases"`
	// Taken counts leases that became this worker's; Expired those of them whose owner had
	// vanished. Asked counts requests to other workers, HandedOver leases given to another worker
	// that asked, Lost leases that ended without being given back.
	Taken      int64 `json:"taken"`
	Expired    int64 `json:"expired"`
	Asked      int64 `json:"asked"`
	HandedOver int64 `json:"handed_over"`
	Lost       int64 `json:"lost"`
	// Checkpoints and Renewals count successful writes, Conflicts those that met somebody else's,
	// Errors rounds and renewals that did not succeed.
	Checkpoints int64 `json:"checkpoints"`
	Renewals    int64 `json:"renewals"`
	Conflicts   int64 `json:"conflicts"`
	Errors      int64 `json:"errors"`
	// Shards are the held leases by shard.
	Shards []ShardLease `json:"shards"`
}

// Stats may be called from any goroutine.
func (w *Worker) Stats() LeaseStats {
	c := &w.table.counts
	s := LeaseStats{
		Worker: w.id, Group: w.table.group, Stream: w.table.stream,
		Taken: c.taken.Load(), Expired: c.expired.Load(), Asked: c.asked.Load(),
		HandedOver: c.handedOver.Load(), Lost: c.lost.Load(),
		Checkpoints: c.checkpoints.Load(), Renewals: c.renewals.Load(),
		Conflicts: c.conflicts.Load(), Errors: c.errors.Load(),
		Shards: []ShardLease{},
	}
	for _, l := range w.held() {
		if l.err() == nil {
			s.Shards = append(s.Shards, shardLease(l.shard, l.document()))
		}
	}
	sortShards(s.Shards)
	s.Held = len(s.Shards)
	w.shards.Lock()
	defer w.shards.Unlock()
	s.Target, s.Leases = w.target, w.leases
	return s
}
