package objects

import "github.com/millrace-io/millrace/engine/column"

const (
	// openColumns bounds the columns of all objects that are open at once; each takes memory and
	// each object a file of its own.
	openColumns = 2048
	// stageGrace is how much more the stage holds before it tries again, once the disk took nothing.
	// A batch has less, and after it the task cuts the chunk.
	stageGrace = 8 << 20
)

// drain empties the stage: the rows of large partitions are encoded, those of the others go to
// disk. If the disk does not take them they stay, and the chunk is due to be cut.
func (c *Chunk) drain() error {
	s := &c.stage
	s.sort(len(c.list))
	var large, small []*part
	for _, p := range c.list {
		switch {
		case len(s.of(p)) == 0:
		case p.encoder != nil || c.mayOpen(p, len(large)):
			large = append(large, p)
		default:
			small = append(small, p)
		}
	}
	if len(small) > 0 && s.spill(small) != nil {
		s.grace += stageGrace
		return nil
	}
	if s.reader == nil && len(large) > 0 {
		s.reader = s.newReader()
	}
	for _, p := range large {
		// What went to disk before stays there until the object is finished.
		s.reader.add = func(b *column.Batch) error { return c.encode(p, b) }
		if err := s.reader.readMemory(p); err != nil {
			return err
		}
	}
	s.empty()
	return nil
}

// mayOpen reports whether p is worth an encoder beside those that are open or about to be.
func (c *Chunk) mayOpen(p *part, others int) bool {
	if n := c.encoders + others; n > 0 && (n+1)*c.columns > openColumns {
		return false
	}
	return (c.limit <= 0 || c.memory < c.limit) && c.stage.size(p) >= c.worth()
}
