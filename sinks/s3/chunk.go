package s3

import (
	"errors"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks/encode"
)

// chunk is the open chunk: one object for each partition that has rows.
type chunk struct {
	writer *encode.Writer
	// partitioner is nil when all rows go to one object.
	partitioner *partitioner
	dir         string
	// limit is how many bytes of memory the objects may take before the largest are flushed.
	limit int64
	// columns is how many the rows have, which decides what a flush costs.
	columns int

	parts map[string]*part
	// touched are the partitions of the batch at hand.
	touched []*part
	key     []byte
	rows    int64
	encoded int64
	memory  int64
	// drained is set while no part is worth a flush, so that none is looked for.
	drained bool
}

// part is the open object of a partition.
type part struct {
	path    string
	encoder encode.Encoder
	spool   spool
	rows    int64
	hash    column.RowHash
	// selection is the rows of the batch at hand.
	selection []int32
	// encoded and memory are what was last added to the chunk's sums.
	encoded, memory int64
	// done is set once the object is in the bucket.
	done bool
}

// partOverhead is the memory of a partition beside what its encoder reports, roughly.
const partOverhead = 512

// newChunk makes a chunk without partitions. The task cuts it when it holds more than memory;
// spooling comes before.
func newChunk(w *encode.Writer, schema *column.Schema, dir string, memory int64) chunk {
	return chunk{writer: w, dir: dir, limit: memory / 4 * 3, columns: len(schema.Fields)}
}

// add routes the selected rows of b to their partitions.
func (c *chunk) add(b *column.Batch) (flow.Outcome, error) {
	if b.Selected() == 0 {
		return flow.Outcome{}, nil
	}
	if c.parts == nil {
		c.parts = make(map[string]*part)
	}
	n := int64(b.Selected())
	outcome := flow.Outcome{Counts: flow.Counts{In: n, Passed: n}}
	if c.partitioner == nil {
		p := c.parts[""]
		if p == nil {
			p = c.open("", "")
		}
		return outcome, c.addTo(p, b)
	}
	rejects, err := c.route(b)
	if err != nil {
		return flow.Outcome{}, err
	}
	outcome.Rejects = rejects
	outcome.Counts.Bad = int64(len(rejects))
	outcome.Counts.Passed -= outcome.Counts.Bad
	for _, p := range c.touched {
		if err := c.addTo(p, b.With(p.selection)); err != nil {
			return flow.Outcome{}, err
		}
	}
	return outcome, nil
}

// route gives each touched partition its selection.
func (c *chunk) route(b *column.Batch) ([]flow.Reject, error) {
	if err := c.partitioner.eval(b); err != nil {
		return nil, err
	}
	var rejects []flow.Reject
	var last *part
	var lastKey []byte
	c.touched = c.touched[:0]
	for i := range b.Selected() {
		row := i
		if b.Selection != nil {
			row = int(b.Selection[i])
		}
		c.key = c.partitioner.appendKey(c.key[:0], row)
		p := last
		if last == nil || string(c.key) != string(lastKey) {
			if p = c.parts[string(c.key)]; p == nil {
				path, reject := c.partitioner.path(row)
				if reject != nil {
					rejects = append(rejects, *reject)
					continue
				}
				p = c.open(string(c.key), path)
			}
			last, lastKey = p, append(lastKey[:0], c.key...)
		}
		if len(p.selection) == 0 {
			c.touched = append(c.touched, p)
		}
		p.selection = append(p.selection, int32(row))
	}
	return rejects, nil
}

func (c *chunk) open(key, path string) *part {
	p := &part{path: path, spool: spool{dir: c.dir}}
	p.encoder = c.writer.Open(&p.spool)
	c.parts[key] = p
	return p
}

func (c *chunk) addTo(p *part, b *column.Batch) error {
	defer func() { p.selection = p.selection[:0] }()
	if err := p.encoder.Add(b); err != nil {
		return err
	}
	n := int64(b.Selected())
	p.rows += n
	c.rows += n
	p.hash.Add(column.HashRows(b))
	c.count(p)
	return c.relieve(p)
}

// count brings the sums up to date with what a part holds.
func (c *chunk) count(p *part) {
	encoded := p.encoder.Size()
	memory := p.encoder.Memory() + int64(cap(p.spool.memory)+4*cap(p.selection)) + partOverhead
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

func (c *chunk) worthFlush(p *part) bool {
	return p.memory >= max(smallestFlush, flushPerColumn*int64(c.columns))
}

// relieve writes the largest parts to disk while memory is short. last is the part that grew.
func (c *chunk) relieve(last *part) error {
	c.drained = c.drained && !c.worthFlush(last)
	for c.limit > 0 && c.memory > c.limit && !c.drained {
		largest := last
		for _, p := range c.parts {
			if p.memory > largest.memory {
				largest = p
			}
		}
		if c.drained = !c.worthFlush(largest); c.drained {
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
	err := p.spool.spill()
	p.spool.memory = nil
	return err
}

// freeze completes the objects and returns them by path, which is the order of their keys.
func (c *chunk) freeze() ([]*part, error) {
	var all []*part
	for _, p := range c.parts {
		if err := c.finish(p); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *part) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

// finish completes the object of p, whose encoder lets go of its memory. The object itself goes to
// disk when memory is short.
func (c *chunk) finish(p *part) error {
	if err := p.encoder.Finish(); err != nil {
		return err
	}
	p.selection = nil
	c.count(p)
	if c.limit <= 0 || c.memory <= c.limit || len(p.spool.memory) < smallestFlush {
		return nil
	}
	err := p.spool.spill()
	p.spool.memory = nil
	c.count(p)
	return err
}

// drop forgets everything.
func (c *chunk) drop() error {
	var err error
	for _, p := range c.parts {
		err = errors.Join(err, p.spool.drop())
	}
	c.parts, c.touched = nil, nil
	c.rows, c.encoded, c.memory, c.drained = 0, 0, 0, false
	return err
}
