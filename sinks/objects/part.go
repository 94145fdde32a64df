package objects

import (
	"io"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sinks/encode"
)

// part is the object of a partition.
type part struct {
	index int32
	// path is the partition in Hive's notation; values are those in it, escaped.
	path   string
	values []string
	// oldest is the arrival of the oldest row, in milliseconds since the epoch.
	oldest int64
	// encoder is nil until rows are encoded, and once all are.
	encoder encode.Encoder
	// own is the spool of an object that is encoded as rows come; others lie in that of the chunk.
	own  *spool
	rows int64
	hash column.RowHash
	// staged is how many rows went to the stage.
	staged int64
	// selection is the rows of the batch at hand, once the object is open.
	selection []int32
	// heavy is set while a very large row is among them.
	heavy bool
	// runs are the pieces of the stage's file with its rows.
	runs []run
	// encoded and memory are what was last added to the chunk's sums.
	encoded, memory int64
	// from, size and crc are the finished object in its spool.
	from, size int64
	crc        uint32
	// done is set once the object was created.
	done bool
	// kindOf is the error output type of an object with rejected rows, else empty.
	kindOf string
	// shards are those that rows came from, if partitions are limited.
	shards []record.ShardID
}

// partOverhead is the memory of a partition beside what its encoder reports, roughly.
const partOverhead = 512

// arrived notes the oldest of rows that are not routed one by one.
func (p *part) arrived(b *column.Batch) {
	at := b.Origin.Arrivals
	if at == nil {
		return
	}
	for i := range b.Selected() {
		row := i
		if b.Selection != nil {
			row = int(b.Selection[i])
		}
		p.oldest = min(p.oldest, at[row])
	}
}

// encode adds the selected rows of b to the open object of p.
func (c *Chunk) encode(p *part, b *column.Batch) error {
	if p.encoder == nil {
		p.own = &spool{disk: &c.disk}
		p.encoder = c.settings.Open(p.own)
		c.encoders++
	}
	if err := p.add(b); err != nil {
		return err
	}
	c.count(p)
	return c.relieve(p)
}

func (p *part) add(b *column.Batch) error {
	if err := p.encoder.Add(b); err != nil {
		return err
	}
	p.rows += int64(b.Selected())
	p.hash.Add(column.HashRows(b))
	return nil
}

// count brings the sums up to date with what an open object holds.
func (c *Chunk) count(p *part) {
	encoded := p.encoder.Size()
	memory := p.encoder.Memory() + int64(cap(p.own.memory)+4*cap(p.selection))
	c.encoded += encoded - p.encoded
	c.memory += memory - p.memory
	p.encoded, p.memory = encoded, memory
}

// A part's row group is ended early when the part holds smallestFlush, and as much again for each
// column as its description in the footer takes several times, which stays in memory. Less would
// make files of tiny row groups and free nothing, so then the task cuts the chunk.
const (
	smallestFlush  = 256 << 10
	flushPerColumn = 4 << 10
)

// worth is how many bytes of a part are worth an encoder or the end of a row group.
func (c *Chunk) worth() int64 { return max(smallestFlush, flushPerColumn*int64(c.columns)) }

// relieve writes the largest open objects to disk while memory is short. last is the one that grew.
func (c *Chunk) relieve(last *part) error {
	c.drained = c.drained && last.memory < c.worth()
	for c.limit > 0 && c.memory > c.limit && !c.drained {
		largest := last
		for _, p := range c.list {
			if p.memory > largest.memory {
				largest = p
			}
		}
		if c.drained = largest.memory < c.worth(); c.drained {
			return nil
		}
		if err := largest.flush(); err != nil {
			return err
		}
		before := c.memory
		c.count(largest)
		if c.memory >= before {
			return nil
		}
	}
	return nil
}

func (p *part) flush() error {
	if err := p.encoder.Flush(); err != nil {
		return err
	}
	p.own.release()
	return nil
}

// content is the finished object.
func (c *Chunk) content(p *part) io.ReaderAt {
	if p.own != nil {
		return p.own
	}
	return io.NewSectionReader(&c.finished, p.from, p.size)
}
