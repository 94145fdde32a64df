package flow

import (
	"context"
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/record/aggregate"
	"github.com/millrace-io/millrace/engine/stream"
)

// DeadLetter is a rejected row as the dead-letter stream keeps it, one JSON object a record.
type DeadLetter struct {
	Pipeline string `json:"pipeline"`
	// Task is the sink or query that read the row; absent when every consumer rejects it.
	Task string `json:"task,omitempty"`
	// Step that rejected the row: a stream (it is no row of the schema), a transform, a query, or
	// a source (it never became a record; Stream, Shard and Ordinal are then absent).
	Step string `json:"step"`
	Code string `json:"code"`
	// Reason is for people.
	Reason  string `json:"reason"`
	Stream  string `json:"stream,omitempty"`
	Shard   string `json:"shard,omitempty"`
	Ordinal int64  `json:"ordinal"`
	Sub     int64  `json:"sub"`
	// Arrival is when the record was stored, in milliseconds since the epoch.
	Arrival int64 `json:"arrival,omitempty"`
	// Data is the raw record if it is UTF-8, Base64 otherwise. Of Size bytes, when the piece was
	// too large to be a record and only its beginning is kept.
	Data   string `json:"data,omitempty"`
	Base64 []byte `json:"data_base64,omitempty"`
	Size   int64  `json:"size,omitempty"`
	// Origin is where a source had the piece from: a file's path.
	Origin string `json:"origin,omitempty"`
}

// DeadLetters is the stream that keeps what steps reject. It may be used from several goroutines.
type DeadLetters struct {
	Pipeline string
	// Write appends to the stream and returns nil once that is durable.
	Write func(ctx context.Context, b *record.Batch) error
}

// write is Write of a pipeline that has a dead-letter stream.
func (d *DeadLetters) write(ctx context.Context, b *record.Batch) error { return d.Write(ctx, b) }

// Keep stores what a source could not turn into a record, once per producer and position.
func (d *DeadLetters) Keep(ctx context.Context, p record.Producer, position int64, l DeadLetter) error {
	l.Pipeline = d.Pipeline
	var b record.Batch
	if err := addLetter(&b, position, l); err != nil {
		return err
	}
	b.Producer, b.End = p, position
	return d.Write(ctx, &b)
}

// maxLetter is the size in bytes above which a dead letter is not written as text: a frame of the
// stream takes 16 MiB, and a record of 10 MiB must fit.
const maxLetter = 12 << 20

func addLetter(b *record.Batch, position int64, l DeadLetter) error {
	if !utf8.ValidString(l.Data) {
		l.Base64, l.Data = []byte(l.Data), ""
	}
	text, err := json.Marshal(l)
	if err == nil && len(text) > maxLetter && l.Data != "" {
		// Escaping can make a text six times as long; this makes it a third longer.
		l.Base64, l.Data = []byte(l.Data), ""
		text, err = json.Marshal(l)
	}
	if err != nil {
		return err
	}
	b.Add([]byte(l.Step), text, position)
	return nil
}

// producer is that of the rows of a shard which go to another stream. User records have one of their own, because
// their positions are others; so has a stream that is read again.
func (r *reader) producer(t *Task, of, task string) uint64 {
	parts := []string{of, t.Identity.Pipeline, task, r.feed.Input.Incarnation, r.feed.shard(r.id).String()}
	if r.feed.Input.UserRecords {
		parts = append(parts, "user-records")
	}
	if r.feed.again {
		parts = append(parts, r.feed.Name)
	}
	return stream.ProducerID(parts...)
}

// place is the position of a row's producer behind the row.
func (f *feed) place(at row) int64 {
	if !f.Input.UserRecords {
		return int64(at.ordinal) + 1
	}
	return int64(at.ordinal)*aggregate.MaxUsers + int64(at.sub) + 1
}

// deadChunk is the dead letters of the open chunk, in batches of about outputBatch bytes for each producer. The position
// is the record's ordinal, so that a redone chunk stores nothing twice.
type deadChunk struct {
	// spare are batches of earlier chunks; both kinds of dead letters of a task have the same.
	spare     *record.Spare
	producers []uint64
	// batches are those of each producer that are not written yet.
	batches [][]*record.Batch
	// memory is what batches take, in bytes.
	memory int64
}

func (d *deadChunk) add(t *Task, r *reader, x reject) {
	task, in := t.Identity.Name, &r.feed.Input
	if x.step == in.Name && shared[x.code] {
		if task = ""; r.feed.again {
			return // the first feed of the stream keeps it
		}
	}
	producer, place := r.producer(t, "dead-letters", task), r.feed.place(x.row)
	letter := DeadLetter{
		Pipeline: t.Identity.Pipeline, Task: task, Step: x.step, Code: x.code, Reason: x.reason, Stream: in.Name,
		Shard: r.feed.shard(r.id).String(), Ordinal: int64(x.ordinal), Sub: int64(x.sub), Arrival: x.arrival, Data: string(x.data),
	}
	// A DeadLetter of strings and numbers always marshals.
	d.put(producer, place, func(b *record.Batch) { _ = addLetter(b, place, letter) })
}

// addRaw adds the record itself.
func (d *deadChunk) addRaw(producer uint64, position int64, x reject) {
	d.put(producer, position, func(b *record.Batch) { b.Add(nil, x.data, position) })
}

// codeLate is the code of a row whose windows are all closed.
const codeLate = "late"

// shared are the reasons that do not depend on which columns a consumer needs. Every consumer of
// the stream rejects such a record, so they keep it under one producer: whoever comes first.
var shared = map[string]bool{column.CodeParse: true, codeFarFuture: true}

// codeFarFuture is the code of a row that claims to be from the far future.
const codeFarFuture = "far-future"

// put lets add a record to the open batch of a producer.
func (d *deadChunk) put(producer uint64, position int64, add func(b *record.Batch)) {
	i := slices.Index(d.producers, producer)
	if i < 0 {
		i = len(d.producers)
		d.producers, d.batches = append(d.producers, producer), append(d.batches, nil)
	}
	n := len(d.batches[i]) - 1
	if n < 0 || d.batches[i][n].Size() >= outputBatch {
		b := d.spare.Get()
		d.batches[i], n = append(d.batches[i], b), n+1
		d.memory += int64(b.Capacity())
	}
	b := d.batches[i][n]
	d.memory -= int64(b.Capacity())
	b.Producer, b.End = record.Producer{ID: producer, Epoch: 1}, position
	add(b)
	d.memory += int64(b.Capacity())
}

func (d *deadChunk) len() int {
	n := 0
	for _, batches := range d.batches {
		for _, b := range batches {
			n += b.Len()
		}
	}
	return n
}

// write writes what is not written yet.
func (d *deadChunk) write(ctx context.Context, write func(ctx context.Context, b *record.Batch) error) error {
	for i := range d.batches {
		for len(d.batches[i]) > 0 {
			if err := write(ctx, d.batches[i][0]); err != nil {
				return err
			}
			d.drop(i)
		}
	}
	return nil
}

// drop takes the first batch of a producer out.
func (d *deadChunk) drop(producer int) {
	b := d.batches[producer][0]
	d.memory -= int64(b.Capacity())
	d.batches[producer] = slices.Delete(d.batches[producer], 0, 1)
	d.spare.Put(b)
}

func (d *deadChunk) reset() {
	for i := range d.batches {
		for len(d.batches[i]) > 0 {
			d.drop(i)
		}
	}
}
