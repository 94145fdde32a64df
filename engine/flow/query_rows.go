package flow

import (
	"maps"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// outputBatch is the size in bytes at which output rows become a batch of their own.
const outputBatch = 1 << 20

// rowBits is how many bits of an output position count rows within a chunk.
const rowBits = 32

// outputRows are the rows that a query gives in the open chunk, as they are written to its stream.
//
// The invariant to remember: rows stand shard by shard, ascending, and in each in their order, whatever the
// order in which the shards were read. So a chunk that is redone gives each row the same position.
//
// Rows of different shards may be added at the same time.
type outputRows struct {
	mu     sync.Mutex // guards shards
	shards map[record.ShardID]*shardRows
	// spare are batches of earlier chunks.
	spare record.Spare
	// out are the batches of the planned chunk.
	out []*record.Batch
}

// shardRows are the rows that came of one shard; positions count from 1.
type shardRows struct {
	rowSum
	writer  *column.RowWriter
	batches []*record.Batch
}

// rowSum is how many rows there are, with a hash of all of them and their size in bytes.
type rowSum struct {
	rows  int64
	hash  column.RowHash
	bytes int64
}

// reset forgets the rows of the open chunk.
func (o *outputRows) reset() { o.shards, o.out = make(map[record.ShardID]*shardRows), nil }

// sum is that of the open chunk.
func (o *outputRows) sum() rowSum {
	var sum rowSum
	for _, s := range o.shards {
		sum.rows, sum.bytes = sum.rows+s.rows, sum.bytes+s.bytes
		sum.hash.Add(s.hash)
	}
	return sum
}

// add takes the selected rows of b.
func (o *outputRows) add(b *column.Batch) {
	o.mu.Lock()
	s := o.shards[b.Origin.Shard]
	if s == nil {
		s = &shardRows{writer: column.NewRowWriter(b.Schema)}
		o.shards[b.Origin.Shard] = s
	}
	o.mu.Unlock()
	s.hash.Add(column.HashRows(b))
	if b.Selection == nil {
		for row := range b.Rows {
			o.row(s, b, row)
		}
	}
	for _, row := range b.Selection {
		o.row(s, b, int(row))
	}
}

// addTogether takes all rows of b from several goroutines, as if they were of shards of their own.
func (o *outputRows) addTogether(b *column.Batch, lanes int) {
	if b.Selection != nil || b.Rows < lanes*fewRows {
		o.add(b)
		return
	}
	all := make([]int32, b.Rows)
	for i := range all {
		all[i] = int32(i)
	}
	var others sync.WaitGroup
	for i := range lanes {
		part := b.With(all[i*b.Rows/lanes : (i+1)*b.Rows/lanes])
		part.Origin.Shard = record.ShardID(i)
		others.Go(func() { o.add(part) })
	}
	others.Wait()
}

// fewRows are not worth a goroutine.
const fewRows = 1024

func (o *outputRows) row(s *shardRows, b *column.Batch, row int) {
	var to *record.Batch
	if n := len(s.batches); n > 0 && s.batches[n-1].Size() < outputBatch {
		to = s.batches[n-1]
	} else {
		to = o.spare.Get()
		s.batches = append(s.batches, to)
	}
	s.rows++
	before := to.Size()
	to.Finish(s.writer.Append(to.Begin(), b, row), s.rows)
	to.End = s.rows
	s.bytes += int64(to.Size() - before)
}

// cut ends the open chunk: its rows get their positions.
func (o *outputRows) cut(chunk int64, producer record.Producer) (object Object) {
	sum := o.sum()
	object = Object{Rows: sum.rows, Hash: sum.hash.String(), Bytes: sum.bytes}
	base := chunk << rowBits
	var out []*record.Batch
	for _, id := range slices.Sorted(maps.Keys(o.shards)) {
		for _, b := range o.shards[id].batches {
			b.Producer = producer
			b.Shift(base)
			out = o.join(out, b)
		}
		base += o.shards[id].rows
	}
	o.reset()
	o.out = out
	return object
}

// join puts b behind out: with the last batch there, if there is room, for a shard may give few rows.
func (o *outputRows) join(out []*record.Batch, b *record.Batch) []*record.Batch {
	if len(out) == 0 || out[len(out)-1].Size()+b.Size() > outputBatch {
		return append(out, b)
	}
	last := out[len(out)-1]
	for i := range b.Len() {
		last.AddFrom(b, i)
	}
	last.End = b.End
	o.spare.Put(b)
	return out
}

// published lets go of the batches of the chunk.
func (o *outputRows) published() {
	for _, b := range o.out {
		o.spare.Put(b)
	}
	o.out = nil
}

// producer is who writes the rows of a query.
func (q *Query) producer() record.Producer {
	return record.Producer{ID: stream.ProducerID("query", q.Identity.Pipeline, q.Identity.Name, q.Identity.Incarnation), Epoch: 1}
}
