package column

import (
	"sync"

	"github.com/millrace-io/millrace/engine/record"
)

// Options of a Decoder. The zero Options are the defaults.
type Options struct {
	// MaxRow is how many bytes one row may take in the columns, 16 MiB if zero. Lists of wide
	// structs can take far more than their JSON.
	MaxRow int
	// Plain keeps strings out of dictionaries.
	Plain bool
	// Dictionaries is how many bytes those of all columns may take together, 16 MiB if zero. Each has 16 KiB at
	// least and 1 MiB at most.
	Dictionaries int
	// Kept is how many bytes of texts a column keeps memory for from batch to batch, 6 MiB if zero.
	Kept int
	// Rest names a json column that takes what has no place in the others, as an object: fields that
	// the schema does not have, and values that their columns do not take, each by the name of the
	// top-level field and as a whole. Such a value is null in its own column. Empty means that unknown
	// fields are dropped and a value that does not fit makes the row bad.
	Rest string
	// Fixed columns are those whose values must fit, whatever Rest says.
	Fixed []string
	// Text lets string columns, but for those that are Strict, take numbers and booleans, as they are
	// written.
	Text   bool
	Strict []string
	// Misfit, if not nil, is told of each top-level field that the schema does not have and of each
	// value that does not fit a column which is not fixed; for an unknown field within a value, of
	// the whole value. What it gets is valid until it returns.
	Misfit func(name, value []byte)
}

// maxBatch keeps the 32-bit offsets of a batch from overflowing, whatever the caller does.
const maxBatch = 1 << 30

// Decoder turns JSON objects into the columns of a schema.
//
// Fields may come in any order; a field that is missing or null is null; fields that the schema
// does not have are checked and dropped; a field of the schema that occurs twice makes the row bad.
// Numbers are taken from JSON numbers only: int and bigint if they are integral however written
// (1.0, 1e3), decimals if no digit is lost. A decimal may also be a string with nothing but such a
// number. Strings come from JSON strings only. A timestamp is a
// string as ParseTimestamp takes it or an integer of milliseconds since the epoch; a date is
// "2006-01-02", a time "15:04:05.999999", binary is base64, and json is any value as compact text.
//
// A Decoder is used by one goroutine, but for Release, which may be called from another.
type Decoder struct {
	schema *Schema
	o      Options
	root   *object
	// cur has the rows since the last Take, nil while there are none.
	cur  *frame
	size int
	// rowEnd is the size at which the current row is too large.
	rowEnd  int
	epoch   uint64
	scratch []byte
	bad     *RowError
	day     dayCache
	// spare is nil when nothing is asked for that has no place.
	spare *spare

	mu   sync.Mutex
	free []*frame
}

// frame is the memory of one batch.
type frame struct {
	batch    Batch
	builders []*builder
	loose    bool
}

// NewDecoder makes a decoder for the schema, which must be valid. needs names the top-level fields to
// decode, nil for all of them; the others are nil in Batch.Columns. Where only fields within a struct are named
// (Within), the others of it are null in each row and only checked as JSON, unless misfits are asked for.
func NewDecoder(schema *Schema, needs []string, o Options) *Decoder {
	if o.MaxRow <= 0 {
		o.MaxRow = 16 << 20
	}
	if o.Dictionaries <= 0 {
		o.Dictionaries = allDictionaries
	}
	if o.Kept <= 0 {
		o.Kept = keptBytes
	}
	want := newWants(needs, o.Rest != "" || o.Misfit != nil)
	d := &Decoder{schema: schema, o: o, root: newObject(schema.Fields, want, o)}
	d.openSpare()
	d.root.share(o.Dictionaries)
	return d
}

// Add appends one row. An error is a *RowError; the row has left no trace then.
func (d *Decoder) Add(data []byte, ordinal record.Ordinal, arrival int64) error {
	if d.cur == nil {
		d.use(d.nextFrame())
	}
	row := d.Len()
	before := d.size
	d.size += len(data) + d.root.width + 16
	d.rowEnd = before + d.o.MaxRow
	if d.row(data) < 0 {
		d.size = before
		d.rollback(row)
		return d.explain(data)
	}
	b := &d.cur.batch
	b.Origin.Ordinals = append(b.Origin.Ordinals, ordinal)
	b.Origin.Arrivals = append(b.Origin.Arrivals, arrival)
	return nil
}

func (d *Decoder) row(data []byte) int {
	if d.size > d.rowEnd || d.size > maxBatch {
		return d.fail(CodeTooLarge, 0, "the row is too large")
	}
	if d.spare != nil {
		d.spare.reset(d.epoch + 1)
	}
	i := space(data, 0)
	if i >= len(data) || data[i] != '{' {
		return d.want(data, i, "an object")
	}
	if i = d.object(d.root, data, i, MaxDepth); i < 0 {
		return i
	}
	if i = space(data, i); i < len(data) {
		return d.want(data, i, "the end of the row")
	}
	if d.spare != nil {
		return d.endSpare(data, i)
	}
	return i
}

func (d *Decoder) rollback(row int) {
	for _, b := range d.cur.builders {
		if b != nil {
			b.truncate(row)
		}
	}
}

// explain returns why the row is bad. A row that is not JSON must be called so by every consumer,
// so it is checked to its end if a consumer's own columns were in the way of that.
func (d *Decoder) explain(data []byte) error {
	e := d.bad
	d.bad = nil
	switch e.Code {
	case CodeMismatch, CodeRange, CodeDuplicate, CodeTooLarge:
		i := d.skip(data, space(data, 0), MaxDepth)
		if i >= 0 && space(data, i) < len(data) {
			d.want(data, space(data, i), "the end of the row")
		}
		if d.bad != nil {
			e, d.bad = d.bad, nil
		}
	}
	return e
}

// Len is the number of rows since the last Take.
func (d *Decoder) Len() int {
	if d.cur == nil {
		return 0
	}
	return len(d.cur.batch.Origin.Ordinals)
}

// Bytes is about how much memory the rows since the last Take use.
func (d *Decoder) Bytes() int { return d.size }

// Take finishes the batch of the rows added since the last Take. Stream, input and shard of the origin
// are kept, ordinals and arrivals are those of the rows. Watermarks is empty and may be appended to.
// The batch is the caller's until Release.
func (d *Decoder) Take(origin Origin) *Batch {
	if d.cur == nil {
		d.use(d.nextFrame())
	}
	b := &d.cur.batch
	b.Schema, b.Rows = d.schema, d.Len()
	b.Origin.Stream, b.Origin.Input, b.Origin.Shard = origin.Stream, origin.Input, origin.Shard
	for i, c := range d.cur.builders {
		if c != nil {
			b.Columns[i] = c.finish()
		}
	}
	d.root.taken()
	if cap(d.scratch) > d.o.Kept {
		d.scratch = nil
	}
	// What comes next is not begun before it comes, so that it has the memory of a batch that is released until then.
	d.cur, d.size = nil, 0
	return b
}

// nextFrame is memory for a batch.
func (d *Decoder) nextFrame() *frame {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.free) - 1
	if n < 0 {
		return d.newFrame()
	}
	f := d.free[n]
	d.free = d.free[:n]
	return f
}

// Release gives the memory of a batch back to the decoder that made it. Neither b nor a copy of it
// may be used afterwards. It may be called from any goroutine, and not at all.
func (d *Decoder) Release(b *Batch) {
	f := b.frame
	d.mu.Lock()
	defer d.mu.Unlock()
	if f == nil || f.loose || len(d.free) >= maxFree {
		return
	}
	for _, c := range f.builders {
		if c != nil {
			c.trim(d.o.Kept)
		}
	}
	f.loose = true
	d.free = append(d.free, f)
}

// maxFree is how many batches' memory a decoder keeps for later.
const maxFree = 4

func (d *Decoder) newFrame() *frame {
	f := &frame{builders: make([]*builder, len(d.schema.Fields))}
	f.batch.frame = f
	f.batch.Columns = make([]*Column, len(d.schema.Fields))
	for i, c := range d.root.fields {
		if c.wanted {
			f.builders[i] = newBuilder(c.typ)
		}
	}
	return f
}

// use makes f the memory that rows are added to.
func (d *Decoder) use(f *frame) {
	f.loose = false
	b := &f.batch
	b.Rows, b.Selection, b.Watermarks = 0, nil, b.Watermarks[:0]
	b.Origin.Ordinals, b.Origin.Arrivals = b.Origin.Ordinals[:0], b.Origin.Arrivals[:0]
	for i, c := range d.root.fields {
		if c.wanted {
			f.builders[i].reset()
			c.bind(f.builders[i])
		}
	}
	d.cur, d.size = f, 0
}
