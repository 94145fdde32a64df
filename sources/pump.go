package sources

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/engine/record"
)

// batches are in rotation between the two goroutines of a Pump: one is being filled, one written.
// The third keeps either from waiting for the other.
const batches = 3

// leastBatch is the size in bytes of the smallest batches: a batch costs a sync.
const leastBatch = 128 << 10

// BatchSize is the size in bytes at which the batches of a Pump are to be closed: as large as is of use, or what fits
// the memory. While one is written, its stream has what the shards get of it.
func (e Env) BatchSize(most int) int {
	if e.Memory == 0 {
		return most
	}
	return min(most, max(int(e.Memory/(batches+1)), leastBatch))
}

// Pump writes batches one after the other while the next ones are filled. It keeps their order,
// which producers with positions rely on: a record written late is taken for one already stored.
type Pump struct {
	free chan *record.Batch
	full chan job
}

// job is a batch to write, or a position to flush.
type job struct {
	batch *record.Batch
	flush bool
}

// RunPump calls fill in a goroutine of its own and writes what it sends until it returns. It
// returns the first error of fill or of a Write, and nil when ctx is done.
func RunPump(ctx context.Context, w Writer, fill func(ctx context.Context, p *Pump) error) error {
	p := &Pump{free: make(chan *record.Batch, batches), full: make(chan job, batches)}
	for range batches {
		p.free <- new(record.Batch)
	}
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(p.full)
		return fill(running, p)
	})
	g.Go(func() error { return p.write(running, w) })
	err := g.Wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// Next returns an empty batch to fill. It waits until one is written; its error is that of ctx.
func (p *Pump) Next(ctx context.Context) (*record.Batch, error) {
	select {
	case b := <-p.free:
		b.Reset()
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Alone is Next for a record so large that one batch with such a one is enough to be in memory: it waits
// until all that was sent is written.
func (p *Pump) Alone(ctx context.Context) (*record.Batch, error) {
	var all [batches]*record.Batch
	for i := range all {
		var err error
		if all[i], err = p.Next(ctx); err != nil {
			return nil, err
		}
	}
	for _, b := range all[1:] {
		p.free <- b // never blocks: it has room for all
	}
	return all[0], nil
}

// Send queues a batch that came from Next; it belongs to the Pump from then on.
func (p *Pump) Send(ctx context.Context, b *record.Batch) error {
	return p.send(ctx, job{batch: b})
}

// Flush queues Writer.Flush behind the batches sent so far.
func (p *Pump) Flush(ctx context.Context, producer record.Producer, position int64) error {
	b, err := p.Next(ctx)
	if err != nil {
		return err
	}
	b.Producer, b.End = producer, position
	return p.send(ctx, job{batch: b, flush: true})
}

func (p *Pump) send(ctx context.Context, j job) error {
	select {
	case p.full <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Pump) write(ctx context.Context, w Writer) error {
	for j := range p.full {
		var err error
		if j.flush {
			err = w.Flush(ctx, j.batch.Producer, j.batch.End)
		} else {
			err = w.Write(ctx, j.batch)
		}
		if err != nil {
			return err
		}
		j.batch.Reset()
		p.free <- j.batch // never blocks: it has room for all
	}
	return nil
}
