package flow

import (
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// DeadLetter is a rejected row as the dead-letter stream keeps it, one JSON object a record.
type DeadLetter struct {
	Pipeline string `json:"pipeline"`
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
	// Data is the raw record if it is UTF-8, Base64 otherwise.
	Data   string `json:"data,omitempty"`
	Base64 []byte `json:"data_base64,omitempty"`
}

// DeadLetters is the stream that keeps what steps reject. It may be used from several goroutines.
type DeadLetters struct {
	Pipeline string
	// Write appends to the stream and returns nil once that is durable.
	Write func(ctx context.Context, b *record.Batch) error
	kept  atomic.Int64
}

// Kept is how many dead letters were handed over in this run. After a crash it may count some
// that the stream had already.
func (d *DeadLetters) Kept() int64 { return d.kept.Load() }

// Keep stores what a source could not turn into a record, once per producer and position.
func (d *DeadLetters) Keep(ctx context.Context, p record.Producer, position int64, l DeadLetter) error {
	l.Pipeline = d.Pipeline
	var b record.Batch
	if err := addLetter(&b, position, l); err != nil {
		return err
	}
	b.Producer, b.End = p, position
	return d.write(ctx, &b)
}

func (d *DeadLetters) write(ctx context.Context, b *record.Batch) error {
	if err := d.Write(ctx, b); err != nil {
		return err
	}
	d.kept.Add(int64(b.Len()))
	return nil
}

func addLetter(b *record.Batch, position int64, l DeadLetter) error {
	if !utf8.ValidString(l.Data) {
		l.Base64, l.Data = []byte(l.Data), ""
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	b.Add([]byte(l.Step), text, position)
	return nil
}

// reject is a row on its way to the dead letters. data aliases the frame it was read from.
type reject struct {
	step         string
	ordinal      record.Ordinal
	arrival      int64
	code, reason string
	data         []byte
}

// rejectRows looks up the raw records of rejected rows.
func (t *Task) rejectRows(step string, b *column.Batch, rejects []Reject, frames []stream.Frame) {
	for _, x := range rejects {
		ordinal, arrival := b.Origin.Ordinals[x.Row], b.Origin.Arrivals[x.Row]
		t.rejects = append(t.rejects, reject{
			step: step, ordinal: ordinal, arrival: arrival, code: x.Code, reason: x.Reason, data: findRecord(frames, ordinal),
		})
	}
}

// findRecord is the data of one of the records that the open batch was decoded from.
func findRecord(frames []stream.Frame, ordinal record.Ordinal) []byte {
	for _, f := range frames {
		if ordinal < f.First || ordinal >= f.Next() {
			continue
		}
		body := f.Body
		for at := f.First; ; at++ {
			r, rest, err := record.Next(body)
			if err != nil {
				return nil
			}
			if at == ordinal {
				return r.Data
			}
			body = rest
		}
	}
	return nil
}

// deadChunk is the dead letters of the open chunk, a batch for each shard read. The position is
// the record's ordinal, so that a redone chunk stores nothing twice.
type deadChunk struct {
	shards  []record.ShardID
	batches []*record.Batch
}

func (d *deadChunk) add(t *Task, shard record.ShardID, x reject) {
	i := slices.Index(d.shards, shard)
	if i < 0 {
		i = len(d.shards)
		d.shards = append(d.shards, shard)
		d.batches = append(d.batches, new(record.Batch))
	}
	b := d.batches[i]
	id := t.Identity
	b.Producer = record.Producer{ID: stream.ProducerID("dead-letters", id.Pipeline, id.Name, id.Incarnation, shard.String()), Epoch: 1}
	b.End = int64(x.ordinal) + 1
	// A DeadLetter of strings and numbers always marshals.
	_ = addLetter(b, b.End, DeadLetter{
		Pipeline: id.Pipeline, Step: x.step, Code: x.code, Reason: x.reason, Stream: t.Input.Name,
		Shard: shard.String(), Ordinal: int64(x.ordinal), Arrival: x.arrival, Data: string(x.data),
	})
}

func (d *deadChunk) len() int {
	n := 0
	for _, b := range d.batches {
		n += b.Len()
	}
	return n
}

func (d *deadChunk) size() int {
	n := 0
	for _, b := range d.batches {
		n += b.Size()
	}
	return n
}

func (d *deadChunk) write(ctx context.Context, to *DeadLetters) error {
	for _, b := range d.batches {
		if b.Len() == 0 {
			continue
		}
		if err := to.write(ctx, b); err != nil {
			return err
		}
		b.Reset()
	}
	return nil
}

func (d *deadChunk) reset() {
	for _, b := range d.batches {
		b.Reset()
	}
}
