package flow

import (
	"context"
	"fmt"
	"sync"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record/aggregate"
	"github.com/millrace-io/millrace/engine/stream"
)

// Parallel is a Processor that takes rows of different shards at the same time.
type Parallel interface {
	// AddIn is Add for one of Config.Parallelism lanes. Meanwhile others may call it for other lanes, and nobody
	// calls anything else but Close. The rows of a shard come by one lane at a time.
	AddIn(ctx context.Context, lane int, b *column.Batch) (Outcome, error)
	// Joined is called when no lane is at work, after each time that some were.
	Joined() error
}

// lane takes records from shards to the processor. The lanes of a task work at the same time, each on another shard,
// and are waited for: in between, the task is as if there were one.
type lane struct {
	t      *Task
	number int
	// decoders are those of the feeds.
	decoders []*column.Decoder
	// buffer holds what was read last, while the lane is at work.
	buffer *stream.Buffer
	// users reads the user records of a record, and subs are their numbers, for each row of the open batch.
	users   aggregate.Reader
	subs    []int32
	rejects []reject
	marks   []int64
	// counts are what the lane adds to the task's ledger.
	counts []Counts
	// rows and bytes are how many a decoded batch may have.
	rows, bytes int
	// read says whether there was anything, or what went wrong.
	read bool
	err  error
}

func (t *Task) newLanes() {
	// Lanes, and tasks, share what one may hold of records that are read and decoded.
	n := max(t.Parallelism, 1)
	all := n * max(t.Tasks, 1)
	for i := range n {
		l := &lane{t: t, number: i, decoders: make([]*column.Decoder, len(t.feeds)), counts: make([]Counts, len(t.ledger)), rows: max(maxBatchRows/n, maxBatchRows/8), bytes: max(maxBatchBytes/all, maxBatchBytes/8)}
		t.lanes = append(t.lanes, l)
	}
	if t.Buffers == nil {
		t.Buffers = NewBuffers(n)
	}
}

// leastKept is how many bytes of texts a column may always keep memory for: that of small rows.
const leastKept = 256 << 10

// decoder makes that of a feed.
func (l *lane) decoder(f *feed, schema *column.Schema) *column.Decoder {
	o, each := f.options(), len(l.t.feeds)
	o.Kept = max(l.bytes*3/2/each/max(l.t.Tasks, 1), leastKept)
	if l.t.Memory > 0 {
		o.Dictionaries = int(min(l.t.Memory/2/int64(len(l.t.lanes)*each), maxDictionaries))
	}
	return column.NewDecoder(schema, f.needs(), o)
}

// readTogether reads once from each of as many shards as there are lanes at most, and reports whether there was
// anything.
func (t *Task) readTogether(ctx context.Context, readers []*reader) (bool, error) {
	var others sync.WaitGroup
	for i, r := range readers[1:] {
		others.Go(func() { t.lanes[i+1].work(ctx, r) })
	}
	t.lanes[0].work(ctx, readers[0])
	others.Wait()
	return t.gather(t.lanes[:len(readers)])
}

// gather takes over what lanes did.
func (t *Task) gather(lanes []*lane) (read bool, err error) {
	for _, l := range lanes {
		if l.read {
			read = true
			t.touch()
		}
		if err == nil {
			err = l.err
		}
		for i := range l.counts {
			t.ledger[i].Counts.Add(l.counts[i])
			l.counts[i] = Counts{}
		}
	}
	if p, ok := t.Processor.(Parallel); ok && read && err == nil && len(t.lanes) > 1 {
		if err = p.Joined(); err != nil {
			err = Permanent(named(err))
		}
	}
	return read, err
}

// Buffers are what lanes read into. There are as many as can be of use at the same time, for all tasks of a process: a
// frame may be large, and tasks and lanes may be many more than cores.
type Buffers struct{ free chan *stream.Buffer }

// NewBuffers makes n buffers, which take memory once they are used.
func NewBuffers(n int) *Buffers {
	b := &Buffers{free: make(chan *stream.Buffer, n)}
	for range n {
		b.free <- new(stream.Buffer)
	}
	return b
}

// work reads once from a shard.
func (l *lane) work(ctx context.Context, r *reader) {
	l.buffer = <-l.t.Buffers.free
	defer func() { l.t.Buffers.free <- l.buffer }()
	l.buffer.Max = max(maxRead/len(l.t.lanes), maxRead/8)
	n, err := l.readShard(ctx, r)
	if err != nil {
		err = fmt.Errorf("read %s: %w", r, err)
	}
	l.read, l.err = n > 0, err
}

// add gives rows to the processor.
func (l *lane) add(ctx context.Context, b *column.Batch) (Outcome, error) {
	if len(l.t.lanes) > 1 {
		return l.t.Processor.(Parallel).AddIn(ctx, l.number, b)
	}
	return l.t.Processor.Add(ctx, b)
}

// last is the processor's place in the ledger.
func (l *lane) last() *Counts { return &l.counts[len(l.counts)-1] }

// in is the ledger of a reader's input.
func (l *lane) in(r *reader) *Counts { return &l.counts[r.feed.places[0]] }
