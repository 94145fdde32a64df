// Package checkpoint keeps the documents of tasks: where each stands, what it holds and what it
// was about to do; and the leases by which the workers of a group share a stream. A document
// changes by compare-and-swap only.
//
// The invariants to remember: a document with a pending plan is frozen; nothing but the redoing of
// that plan may move it on. A lease's position moves under its owner's fence only.
package checkpoint

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// Version of the document's layout, see docs/formats/checkpoint.md.
const Version = 1

// Document is the state of one task as of its last commit.
type Document struct {
	Version int `json:"version"`
	// Fence rises each time a process takes the task over; an older holder's commits fail.
	Fence uint64 `json:"fence"`
	// Generation is a hash of the consumer's configuration when it was last opened.
	Generation string `json:"generation,omitempty"`
	// Chunk is the number of the last published chunk, 0 before the first.
	Chunk int64 `json:"chunk"`
	// Feeds are the inputs of a task that has several, or had, by what they are called there. Shards have numbers
	// that tell which of them they are of, see JoinShard.
	Feeds map[string]Feed `json:"feeds,omitempty"`
	// Positions are the next records to read, per shard.
	Positions map[record.ShardID]record.Ordinal `json:"positions"`
	// Watermarks are per shard, in microseconds since the epoch; a shard without events has none.
	Watermarks map[record.ShardID]int64 `json:"watermarks,omitempty"`
	// State is the processor's; see Store about large ones.
	State json.RawMessage `json:"state,omitempty"`
	// Ledger counts rows per step, in the order of the steps.
	Ledger []Step `json:"ledger,omitempty"`
	// Delivered counts what plans created: objects, rows and bytes.
	Delivered Delivered `json:"delivered"`
	// Pending is a plan that was recorded and not yet published.
	Pending *Pending `json:"pending,omitempty"`
}

// Pending is a recorded plan and what the document becomes once it is published.
type Pending struct {
	Plan Plan `json:"plan"`
	// Generation of the configuration that planned it.
	Generation string                   `json:"generation,omitempty"`
	Watermarks map[record.ShardID]int64 `json:"watermarks,omitempty"`
	Ledger     []Step                   `json:"ledger,omitempty"`
}

// Step is the ledger of one step of a task.
type Step struct {
	Name string `json:"name"`
	Counts
}

// Delivered sums the objects of published plans.
type Delivered struct {
	Objects int64 `json:"objects"`
	Rows    int64 `json:"rows"`
	Bytes   int64 `json:"bytes"`
	// ErrorObjects and ErrorRows are those of rejected rows, which are not in the sums above.
	ErrorObjects int64 `json:"error_objects,omitempty"`
	ErrorRows    int64 `json:"error_rows,omitempty"`
}

// Count adds an object.
func (d *Delivered) Count(o Object) {
	if o.Rejects {
		d.ErrorObjects++
		d.ErrorRows += o.Rows
		return
	}
	d.Objects++
	d.Rows += o.Rows
	d.Bytes += o.Bytes
}

// Add sums two.
func (d *Delivered) Add(o Delivered) {
	d.Objects += o.Objects
	d.Rows += o.Rows
	d.Bytes += o.Bytes
	d.ErrorObjects += o.ErrorObjects
	d.ErrorRows += o.ErrorRows
}

// Sub is what was delivered after o.
func (d Delivered) Sub(o Delivered) Delivered {
	return Delivered{
		Objects: d.Objects - o.Objects, Rows: d.Rows - o.Rows, Bytes: d.Bytes - o.Bytes,
		ErrorObjects: d.ErrorObjects - o.ErrorObjects, ErrorRows: d.ErrorRows - o.ErrorRows,
	}
}

// Counts says what became of input rows. In is the sum of the others and of the rows in flight.
type Counts struct {
	In         int64 `json:"in"`
	Passed     int64 `json:"passed"`
	Aggregated int64 `json:"aggregated"`
	Filtered   int64 `json:"filtered"`
	Dropped    int64 `json:"dropped"`
	Late       int64 `json:"late"`
	Bad        int64 `json:"bad"`
	Expired    int64 `json:"expired"`
}

// Add sums the counts.
func (c *Counts) Add(o Counts) {
	c.In += o.In
	c.Passed += o.Passed
	c.Aggregated += o.Aggregated
	c.Filtered += o.Filtered
	c.Dropped += o.Dropped
	c.Late += o.Late
	c.Bad += o.Bad
	c.Expired += o.Expired
}

// Sub is c less o: what happened since o.
func (c Counts) Sub(o Counts) Counts {
	return Counts{
		In: c.In - o.In, Passed: c.Passed - o.Passed, Aggregated: c.Aggregated - o.Aggregated,
		Filtered: c.Filtered - o.Filtered, Dropped: c.Dropped - o.Dropped, Late: c.Late - o.Late,
		Bad: c.Bad - o.Bad, Expired: c.Expired - o.Expired,
	}
}

// InFlight is the rows that have come in and are not yet accounted for.
func (c Counts) InFlight() int64 {
	return c.In - c.Passed - c.Aggregated - c.Filtered - c.Dropped - c.Late - c.Bad - c.Expired
}

// Cut is the recorded decision to end a chunk. Nothing in it is recomputed after a crash.
type Cut struct {
	// Chunk counts the task's chunks from 1.
	Chunk int64 `json:"chunk"`
	// Reason is size, age, rows, memory, output, reshard, handover, shutdown or end.
	Reason string `json:"reason"`
	// Now is the time that everything in the plan uses.
	Now time.Time `json:"now"`
	// Ranges are the records of the chunk, per shard.
	Ranges map[record.ShardID]Range `json:"ranges"`
	// Watermark is the smallest of the shards' watermarks at the end of the chunk, in microseconds
	// since the epoch; column.MaxWatermark when the input has ended.
	Watermark int64 `json:"watermark"`
	// Schema is the version of the stream's schema that the records were decoded with; 0 when it is
	// declared for good.
	Schema int64 `json:"schema,omitempty"`
	// Schemas are the versions of the other inputs' schemas, of those that have versions, by the names of the feeds.
	Schemas map[string]int64 `json:"schemas,omitempty"`
	// Tables are the versions of the reference tables that the rows were joined with, by name.
	Tables map[string]TableVersion `json:"tables,omitempty"`
}

// TableVersion is a version of a reference table: its number, which rises, and a hash of its content.
type TableVersion struct {
	Number int64  `json:"number"`
	Hash   string `json:"hash"`
}

// Range is the ordinals From up to but not including To.
type Range struct {
	From record.Ordinal `json:"from"`
	To   record.Ordinal `json:"to"`
}

// Plan is what a chunk will create.
type Plan struct {
	Cut Cut `json:"cut"`
	// Objects are what Put creates; empty when the chunk creates nothing.
	Objects []Object `json:"objects,omitempty"`
	// State is the processor's state once the chunk is published.
	State json.RawMessage `json:"state,omitempty"`
}

// Object is one thing a plan creates: an S3 object, a file, a stretch of a file, rows of a stream.
type Object struct {
	Key  string `json:"key"`
	Rows int64  `json:"rows"`
	// Hash is a hash of the rows that does not depend on their order or encoding, hexadecimal.
	Hash string `json:"hash"`
	// Bytes is the encoded size; it may differ when a plan is redone.
	Bytes int64 `json:"bytes"`
	// Rejects is set when the rows are those that were rejected.
	Rejects bool `json:"rejects,omitempty"`
}

// publish applies the pending plan.
func (d Document) publish() Document {
	p := d.Pending
	d.Pending = nil
	d.Generation = p.Generation
	d.Chunk = p.Plan.Cut.Chunk
	d.Positions = maps.Clone(d.Positions)
	for shard, r := range p.Plan.Cut.Ranges {
		d.Positions[shard] = r.To
	}
	d.Watermarks = p.Watermarks
	d.Ledger = p.Ledger
	d.State = p.Plan.State
	for _, o := range p.Plan.Objects {
		d.Delivered.Count(o)
	}
	return d
}

// joined is the document with the positions and watermarks of another one.
func (d Document) joined(o Document) Document {
	d.Positions, d.Watermarks = maps.Clone(d.Positions), maps.Clone(d.Watermarks)
	if d.Watermarks == nil {
		d.Watermarks = map[record.ShardID]int64{}
	}
	for shard, next := range o.Positions {
		d.Positions[shard] = max(d.Positions[shard], next)
	}
	maps.Copy(d.Watermarks, o.Watermarks)
	return d
}

// without is the document less what it says of some shards.
func (d Document) without(gone func(record.ShardID) bool) Document {
	d.Positions, d.Watermarks = maps.Clone(d.Positions), maps.Clone(d.Watermarks)
	maps.DeleteFunc(d.Positions, func(s record.ShardID, _ record.Ordinal) bool { return gone(s) })
	maps.DeleteFunc(d.Watermarks, func(s record.ShardID, _ int64) bool { return gone(s) })
	return d
}
