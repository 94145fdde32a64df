package objects

import (
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/flow"
)

// stats are what other goroutines see of a chunk.
type stats struct{ partitions, open, staged, finished atomic.Int64 }

// publishStats makes the figures of the chunk known.
func (c *Chunk) publishStats() {
	c.stats.partitions.Store(int64(len(c.list)))
	c.stats.open.Store(c.memory + int64(len(c.list))*partOverhead)
	c.stats.staged.Store(c.stage.memory())
	c.stats.finished.Store(int64(cap(c.finished.memory)))
}

// Figures may be called from any goroutine.
func (c *Chunk) Figures() flow.Figures {
	return flow.Figures{
		Partitions: c.stats.partitions.Load(),
		Memory: map[string]int64{
			"open_objects": c.stats.open.Load(), "staged_rows": c.stats.staged.Load(), "finished_objects": c.stats.finished.Load(),
		},
		Spilled: c.disk.spilled.Load(),
	}
}
