package file

import (
	"context"
	"errors"
	"io"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sources"
)

// batchSize closes a batch. It is large because a batch costs a sync, and not larger because
// three of them are in memory.
const batchSize = 2 << 20

// reader fills batches. It reads one file at a time, so its memory does not grow with the files.
type reader struct {
	source
	w    sources.Writer
	pump *sources.Pump
	keys *sources.Keyer
	win  window
	cut  cutter
	// read is how far each producer was read in this run, ahead of what the stream holds.
	read map[uint64]int64

	// The file being read.
	path     string
	producer record.Producer
	batch    *record.Batch
	rejected int
	// done and total are the bytes of all files, for Env.Progress.
	done, total int64
}

func newReader(ctx context.Context, s *source, w sources.Writer, p *sources.Pump) *reader {
	r := &reader{source: *s, w: w, pump: p, keys: sources.NewKeyer(s.cfg.PartitionKey), read: map[uint64]int64{}}
	r.win.check, r.win.most = ctx.Err, headroom+int(s.cfg.MaxRecord)+windowSize
	if s.cfg.Format == "json" {
		r.cut = &elements{w: &r.win, max: int(s.cfg.MaxRecord)}
	} else {
		r.cut = &lines{w: &r.win, max: int(s.cfg.MaxRecord)}
	}
	return r
}

// begin prepares for a content that src gives from offset on.
func (r *reader) begin(path string, producer record.Producer, src io.Reader, offset int64) {
	r.path, r.producer, r.rejected = path, producer, 0
	r.win.reset(src, offset)
	r.cut.start()
}

// pieces takes all complete records that can be read now, up to an offset of the content. What it
// took is behind the last record, or sent.
func (r *reader) pieces(ctx context.Context, limit int64) error {
	for r.win.offset < limit {
		p, err := r.cut.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := r.add(ctx, p); err != nil {
			return err
		}
	}
	r.win.shrink()
	return nil
}

// rest takes what the content ends with.
func (r *reader) rest(ctx context.Context) error {
	if p, ok := r.cut.rest(); ok {
		return r.add(ctx, p)
	}
	return nil
}

func (r *reader) add(ctx context.Context, p piece) error {
	if p.code != "" {
		return r.reject(ctx, p)
	}
	if err := r.open(ctx, len(p.data)); err != nil {
		return err
	}
	key := r.keys.Key(p.data, uint64(p.end))
	if len(p.data) < r.batchSize || !r.hand(key, p) {
		r.batch.Add(key, p.data, p.end)
	}
	r.batch.End = p.end
	if r.batch.Size() >= r.batchSize {
		return r.send(ctx)
	}
	return nil
}

// hand gives a large record to the batch in the memory that it was read into.
func (r *reader) hand(key []byte, p piece) bool {
	if record.MaxHead(len(key)) > headroom {
		return false
	}
	block, from, ok := r.win.give(p.data)
	if ok {
		r.batch.Take(key, block, from, p.end)
	}
	return ok
}

// open makes sure there is a batch for a record of a size. A large one gets one of its own, and has the
// memory to itself.
func (r *reader) open(ctx context.Context, size int) (err error) {
	next := r.pump.Next
	if size >= r.batchSize {
		if err := r.send(ctx); err != nil {
			return err
		}
		next = r.pump.Alone
	}
	if r.batch != nil {
		return nil
	}
	if r.batch, err = next(ctx); err == nil {
		r.batch.Producer = r.producer
	}
	return err
}

// send queues the batch, if there is one.
func (r *reader) send(ctx context.Context) error {
	b := r.batch
	if b == nil {
		return nil
	}
	r.batch = nil
	r.read[b.Producer.ID] = b.End
	return r.pump.Send(ctx, b)
}

// settle sends what is left and makes the stream's every shard know how far the file was read.
func (r *reader) settle(ctx context.Context) error {
	if err := r.send(ctx); err != nil {
		return err
	}
	position := r.cut.settled()
	r.read[r.producer.ID] = position
	if r.rejected > 1 {
		r.env.Log.Warn("records were rejected", "file", r.path, "count", r.rejected)
	}
	return r.pump.Flush(ctx, r.producer, position)
}

// reject keeps a piece that cannot become a record. The log names the first of a file only.
func (r *reader) reject(ctx context.Context, p piece) error {
	if r.rejected++; r.rejected == 1 {
		r.env.Log.Warn("record rejected", "file", r.path, "end", p.end, "size", p.size, "reason", p.reason)
	}
	if r.env.Reject == nil {
		return nil
	}
	return r.env.Reject(ctx, sources.Rejected{
		Producer: r.producer, Position: p.end,
		Origin: r.path, Data: p.data, Size: p.size, Code: p.code, Reason: p.reason,
	})
}
