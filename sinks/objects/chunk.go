package objects

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks/encode"
)

// Settings of a Chunk.
type Settings struct {
	Layout Layout
	// Root is put before all keys.
	Root string
	// HashInName ends names with the beginning of the hash of the rows, for stores that keep no
	// metadata beside an object.
	HashInName bool
	Identity   flow.Identity
	Writer     *encode.Writer
	// Open starts an object; nil is the Writer's.
	Open   func(io.Writer) encode.Encoder
	Schema *column.Schema
	// Dir is where objects are spooled.
	Dir string
	// Memory is how many bytes the chunk may hold before it must be cut; spooling comes before.
	Memory int64
}

// Chunk is the open chunk: one object for each partition that has rows. One goroutine uses it.
type Chunk struct {
	settings Settings
	writer   *encode.Writer
	task     string
	// partitioner is nil when all rows go to one object.
	partitioner *partitioner
	// limit is how many bytes of memory the objects may take before the largest are flushed.
	limit int64
	// columns is how many the rows have, which decides what a flush costs.
	columns int

	parts map[string]*part
	// touched are the partitions of the batch at hand.
	touched []*part
	rowKey  []byte
	rows    int64
	encoded int64
	memory  int64
	// drained is set while no part is worth a flush, so that none is looked for.
	drained bool
	// frozen are the objects of the planned chunk by key.
	frozen map[string]*part
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
	// done is set once the object was created.
	done bool
}

// partOverhead is the memory of a partition beside what its encoder reports, roughly.
const partOverhead = 512

// New makes an empty chunk. Errors name the mistake's place in the configuration.
func New(s Settings) (*Chunk, error) {
	if s.Open == nil {
		s.Open = s.Writer.Open
	}
	c := &Chunk{
		settings: s, writer: s.Writer, task: TaskName(s.Identity), limit: s.Memory / 4 * 3, columns: len(s.Schema.Fields),
	}
	if len(s.Layout.PartitionBy) == 0 {
		return c, nil
	}
	var err error
	c.partitioner, err = newPartitioner(s.Layout.PartitionBy, s.Schema)
	return c, err
}

// Start removes what an earlier process left in the directory of spools.
func (c *Chunk) Start() error {
	if err := dropSpools(c.settings.Dir); err != nil {
		return fmt.Errorf("remove old spools: %w", err)
	}
	return nil
}

// Open describes the chunk.
func (c *Chunk) Open() flow.Open {
	return flow.Open{Rows: c.rows, Encoded: c.encoded, Memory: c.memory}
}

// Add routes the selected rows of b to their partitions. It does not keep b.
func (c *Chunk) Add(b *column.Batch) (flow.Outcome, error) {
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
func (c *Chunk) route(b *column.Batch) ([]flow.Reject, error) {
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
		c.rowKey = c.partitioner.appendKey(c.rowKey[:0], row)
		p := last
		if last == nil || string(c.rowKey) != string(lastKey) {
			if p = c.parts[string(c.rowKey)]; p == nil {
				path, reject := c.partitioner.path(row)
				if reject != nil {
					rejects = append(rejects, *reject)
					continue
				}
				p = c.open(string(c.rowKey), path)
			}
			last, lastKey = p, append(lastKey[:0], c.rowKey...)
		}
		if len(p.selection) == 0 {
			c.touched = append(c.touched, p)
		}
		p.selection = append(p.selection, int32(row))
	}
	return rejects, nil
}

func (c *Chunk) open(key, path string) *part {
	p := &part{path: path, spool: spool{dir: c.settings.Dir}}
	p.encoder = c.settings.Open(&p.spool)
	c.parts[key] = p
	return p
}

func (c *Chunk) addTo(p *part, b *column.Batch) error {
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
func (c *Chunk) count(p *part) {
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

func (c *Chunk) worthFlush(p *part) bool {
	return p.memory >= max(smallestFlush, flushPerColumn*int64(c.columns))
}

// relieve writes the largest parts to disk while memory is short. last is the part that grew.
func (c *Chunk) relieve(last *part) error {
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
func (c *Chunk) freeze() ([]*part, error) {
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
func (c *Chunk) finish(p *part) error {
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

// Drop forgets everything; the chunk is empty and open again.
func (c *Chunk) Drop() error {
	var err error
	for _, p := range c.parts {
		err = errors.Join(err, p.spool.drop())
	}
	c.parts, c.touched, c.frozen = nil, nil, nil
	c.rows, c.encoded, c.memory, c.drained = 0, 0, 0, false
	return err
}
