package flow

import (
	"maps"
	"slices"

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
type outputRows struct {
	writer *column.RowWriter
	shards map[record.ShardID]*shardRows
	// open are rows of the open chunk, with the hash of all of them and their size in bytes.
	open  int64
	hash  column.RowHash
	bytes int64
	// out are the batches of the planned chunk.
	out []*record.Batch
	// spare are batches of earlier chunks, to be filled again.
	spare []*record.Batch
}

// shardRows are the rows that came of one shard; positions count from 1.
type shardRows struct {
	batches []*record.Batch
	rows    int64
}

// reset forgets the rows of the open chunk.
func (o *outputRows) reset() {
	o.shards, o.open, o.hash, o.bytes, o.out = make(map[record.ShardID]*shardRows), 0, column.RowHash{}, 0, nil
}

// add takes the selected rows of b.
func (o *outputRows) add(b *column.Batch) {
	if o.writer == nil {
		o.writer = column.NewRowWriter(b.Schema)
	}
	s := o.shards[b.Origin.Shard]
	if s == nil {
		s = &shardRows{}
		o.shards[b.Origin.Shard] = s
	}
	o.hash.Add(column.HashRows(b))
	o.open += int64(b.Selected())
	if b.Selection == nil {
		for row := range b.Rows {
			o.row(s, b, row)
		}
	}
	for _, row := range b.Selection {
		o.row(s, b, int(row))
	}
}

func (o *outputRows) row(s *shardRows, b *column.Batch, row int) {
	var to *record.Batch
	if n := len(s.batches); n > 0 && s.batches[n-1].Size() < outputBatch {
		to = s.batches[n-1]
	} else {
		to = o.batch()
		s.batches = append(s.batches, to)
	}
	s.rows++
	before := to.Size()
	to.Finish(o.writer.Append(to.Begin(), b, row), s.rows)
	to.End = s.rows
	o.bytes += int64(to.Size() - before)
}

// cut ends the open chunk: its rows get their positions.
func (o *outputRows) cut(chunk int64, producer record.Producer) (object Object) {
	object = Object{Rows: o.open, Hash: o.hash.String(), Bytes: o.bytes}
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
	o.recycle(b)
	return out
}

// maxSpare is how many batches are kept for the next chunk.
const maxSpare = 16

// recycle keeps a batch that is not needed any more.
func (o *outputRows) recycle(b *record.Batch) {
	if len(o.spare) < maxSpare {
		o.spare = append(o.spare, b)
	}
}

// batch is an empty batch.
func (o *outputRows) batch() *record.Batch {
	n := len(o.spare)
	if n == 0 {
		return new(record.Batch)
	}
	b := o.spare[n-1]
	o.spare = o.spare[:n-1]
	b.Reset()
	return b
}

// published lets go of the batches of the chunk.
func (o *outputRows) published() {
	for _, b := range o.out {
		o.recycle(b)
	}
	o.out = nil
}

// producer is who writes the rows of a query.
func (q *Query) producer() record.Producer {
	return record.Producer{ID: stream.ProducerID("query", q.Identity.Pipeline, q.Identity.Name, q.Identity.Incarnation), Epoch: 1}
}
