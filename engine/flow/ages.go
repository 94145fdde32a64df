package flow

import (
	"context"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// measureEvery is how often the age of a shard's first unread record is looked up at most, which
// takes a read from the log. Nobody asking, or nothing unread, costs nothing.
const measureEvery = time.Second

// ages finds out how old what a task has not read and not delivered is.
type ages struct {
	mu     sync.Mutex // guards what follows
	shards map[string]*age
	buffer stream.Buffer
}

type age struct {
	meter    checkpoint.LagMeter
	measured time.Time
	position record.Ordinal
	behind   time.Duration
}

// fill adds the ages to a snapshot.
func (a *ages) fill(s *Status, logs []stream.Log, oldest []int64, now func() time.Time) {
	if s.State == "done" || s.State == "failed" {
		return // the logs may be closed
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	at := now()
	for i := range s.Shards {
		sh := &s.Shards[i]
		if sh.Lag > 0 {
			sh.Behind = a.unread(sh, logs[i], now).Seconds()
		}
		undelivered := sh.Behind
		if oldest[i] > 0 {
			undelivered = max(undelivered, at.Sub(time.UnixMilli(oldest[i])).Seconds())
		}
		s.OldestUndelivered = max(s.OldestUndelivered, undelivered)
	}
}

// unread is the age of a shard's first unread record.
func (a *ages) unread(sh *ShardStatus, log stream.Log, now func() time.Time) time.Duration {
	place := sh.Stream + " " + sh.Shard
	g := a.shards[place]
	if g == nil {
		g = &age{meter: checkpoint.LagMeter{Log: log, Now: now, Buffer: &a.buffer}}
		if a.shards == nil {
			a.shards = map[string]*age{}
		}
		a.shards[place] = g
	}
	// One that stands still is measured without a read.
	if g.position != sh.Next && time.Since(g.measured) < measureEvery {
		return g.behind
	}
	lag, err := g.meter.Measure(context.Background(), sh.Next)
	if err != nil {
		return g.behind // the reader meets the same error and reports it
	}
	g.measured, g.position, g.behind = time.Now(), sh.Next, lag.Behind
	return g.behind
}
