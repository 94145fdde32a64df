package objects

import "sync/atomic"

// stats are figures of a chunk that other goroutines look at.
type stats struct {
	partitions, openMemory, stagedMemory, spilled atomic.Int64
	objects, retries                              atomic.Int64
}

// publishStats makes the figures of the chunk known.
func (c *Chunk) publishStats() {
	c.stats.partitions.Store(int64(len(c.list)))
	c.stats.openMemory.Store(c.memory)
	c.stats.stagedMemory.Store(c.stage.memory())
}
