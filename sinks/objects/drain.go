package objects

import "github.com/millrace-io/millrace/engine/column"

// openColumns bounds the columns of all objects that are open at once; each takes memory and each
// object a file of its own.
const openColumns = 2048

// drain empties the stage: the rows of large partitions are encoded, those of the others go to disk.
func (c *Chunk) drain() error {
	s := &c.stage
	s.sort(len(c.list))
	for _, p := range c.list {
		rows := s.of(p)
		if len(rows) == 0 {
			continue
		}
		if p.encoder == nil && !c.mayOpen(p) {
			if err := s.spill(p); err != nil {
				return err
			}
			continue
		}
		// What went to disk before stays there until the object is finished.
		runs := p.runs
		p.runs = nil
		err := s.read(p, func(b *column.Batch) error { return c.encode(p, b) })
		p.runs = runs
		if err != nil {
			return err
		}
	}
	if err := s.write(); err != nil {
		return err
	}
	s.empty()
	return nil
}

func (c *Chunk) mayOpen(p *part) bool {
	if c.encoders > 0 && (c.encoders+1)*c.columns > openColumns {
		return false
	}
	return (c.limit <= 0 || c.memory < c.limit) && c.stage.size(p) >= c.worth()
}
