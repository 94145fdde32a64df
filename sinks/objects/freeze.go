package objects

import (
	"hash/crc32"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/sinks/encode"
)

// encoderMemory is what a goroutine takes that completes objects, as a multiple of what a part without an encoder
// holds at most: the batches read back, the pages and the finished object.
const encoderMemory = 8

// freeze completes the objects and returns them by path.
func (c *Chunk) freeze() ([]*part, error) {
	all := slices.Clone(c.list)
	slices.SortFunc(all, func(a, b *part) int { return strings.Compare(a.path, b.path) })
	c.stage.sort(len(c.list))
	if err := c.finishAll(all); err != nil {
		return nil, err
	}
	c.learn(all)
	c.publishStats()
	return all, c.stage.drop()
}

// finishAll completes the objects, several at once. What is in them follows from their own rows alone.
func (c *Chunk) finishAll(all []*part) error {
	workers := min(runtime.GOMAXPROCS(0), len(all))
	if c.settings.Memory > 0 {
		workers = min(workers, max(1, int(c.settings.Memory/(encoderMemory*c.worth()))))
	}
	var group errgroup.Group
	var next atomic.Int64
	var failed atomic.Bool
	var shared sync.Mutex
	for range workers {
		group.Go(func() error {
			f := finisher{chunk: c, shared: &shared}
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= len(all) {
					break
				}
				if err := f.finish(all[i]); err != nil {
					failed.Store(true)
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// finisher completes one object after the other. One goroutine uses it.
type finisher struct {
	chunk *Chunk
	// shared guards what is the chunk's and not a part's.
	shared *sync.Mutex
	reader *stageReader
	out    ordered
}

// finish completes the object of p.
func (f *finisher) finish(p *part) error {
	if p.encoder != nil {
		return f.finishOpen(p)
	}
	f.out = ordered{spool: &f.chunk.finished, shared: f.shared, held: f.out.held[:0]}
	defer f.out.leave()
	p.encoder = f.chunk.settings.Open(&f.out)
	encode.Expect(p.encoder, p.staged)
	if err := f.add(p); err != nil {
		return err
	}
	if err := p.encoder.Finish(); err != nil {
		return err
	}
	f.out.enter()
	p.encoder, p.runs = nil, nil
	p.from, p.size, p.crc = f.out.from, f.out.size, f.out.crc
	return nil
}

// add encodes the staged rows of p.
func (f *finisher) add(p *part) error {
	if f.reader == nil {
		f.reader = f.chunk.stage.newReader()
	}
	return f.reader.read(p, p.add)
}

// finishOpen completes an object that has rows already. It goes to disk when memory is short.
func (f *finisher) finishOpen(p *part) error {
	c := f.chunk
	if c.partitioner != nil {
		if err := f.add(p); err != nil {
			return err
		}
	}
	if err := p.encoder.Finish(); err != nil {
		return err
	}
	f.shared.Lock()
	defer f.shared.Unlock()
	c.count(p)
	p.encoder, p.runs, p.selection = nil, nil, nil
	c.encoders--
	if c.limit > 0 && c.memory > c.limit && len(p.own.memory) >= smallestFlush {
		p.own.release()
	}
	c.memory += int64(cap(p.own.memory)) - p.memory
	p.memory = int64(cap(p.own.memory))
	p.size, p.crc = p.own.size(), p.own.crc
	return nil
}

// ordered writes an object into a spool that others are written to at the same time, in one piece. What fits is
// held until enter is called; from what does not fit the others wait until leave.
type ordered struct {
	spool  *spool
	shared *sync.Mutex
	held   []byte
	inside bool
	// from, size and crc are the object in the spool.
	from, size int64
	crc        uint32
}

// Write implements io.Writer.
func (o *ordered) Write(p []byte) (int, error) {
	o.size += int64(len(p))
	o.crc = crc32.Update(o.crc, Castagnoli, p)
	if !o.inside && len(o.held)+len(p) <= spoolMemory {
		o.held = append(o.held, p...)
		return len(p), nil
	}
	o.enter()
	return o.spool.Write(p)
}

// enter begins the object in the spool, with what was held.
func (o *ordered) enter() {
	if o.inside {
		return
	}
	o.shared.Lock()
	o.inside = true
	o.from = o.spool.size()
	// A spool takes everything: what the disk does not, stays in its memory.
	_, _ = o.spool.Write(o.held)
}

// leave lets others write to the spool.
func (o *ordered) leave() {
	if o.inside {
		o.inside = false
		o.shared.Unlock()
	}
}
