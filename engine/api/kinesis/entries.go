package kinesis

import (
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// entries are the records of a PutRecords. They are decoded straight into the batch that is stored: data in base64
// is written once, where the log takes it from.
type entries struct {
	batch *record.Batch
	// count is how many there are, also when they are too many to keep.
	count int
	// bytes of data and keys.
	bytes int
	// wrong is what the rules say against entries.
	wrong []violation
	// keyless is set when some entry has no partition key, which only a stream that spreads records itself takes.
	keyless int
	// outside is an explicit hash key that no shard has: 2^128 or more.
	outside string
	present bool
}

// violation is a rule that a field of an entry breaks.
type violation struct{ value, field, must string }

// maxWrong bounds the violations kept; an answer names no more.
const maxWrong = 10

var batches = sync.Pool{New: func() any { return &record.Batch{} }}

// release gives the batch back once nobody uses it.
func (e *entries) release() {
	if e.batch == nil {
		return
	}
	if e.batch.Size() <= kept {
		e.batch.Reset()
		batches.Put(e.batch)
	}
	e.batch = nil
}

// entry is a record as it is read.
type entry struct {
	data                     wire.Blob
	key, hash                []byte
	hasData, hasKey, hasHash bool
}

// ReadWire implements wire.Value.
func (e *entries) ReadWire(r *wire.Reader) {
	e.present = true
	e.batch = batches.Get().(*record.Batch)
	for r.BeginArray(); r.NextItem(); {
		var x entry
		r.BeginObject()
		for {
			name, ok := r.NextField()
			if !ok {
				break
			}
			if r.Null() {
				continue
			}
			switch string(name) {
			case "Data":
				x.data, x.hasData = r.Blob(), true
			case "PartitionKey":
				x.key, x.hasKey = r.Text(), true
			case "ExplicitHashKey":
				x.hash, x.hasHash = r.Text(), true
			default:
				r.Skip()
			}
		}
		if r.Err() != nil {
			return
		}
		e.add(r, &x)
	}
}

// add checks an entry and puts it into the batch, unless there are too many or something is wrong already.
func (e *entries) add(r *wire.Reader, x *entry) {
	e.count++
	if e.keyless == 0 && !x.hasKey {
		e.keyless = e.count
	}
	hash := e.check(x)
	size := x.data.Len()
	e.bytes += size + len(x.key)
	if len(e.wrong) > 0 || e.count > stream.MaxPutRecords || e.bytes > stream.MaxPutBytes {
		return
	}
	if err := x.data.Decode(e.batch.AddSpace(x.key, hash, size)); err != nil {
		r.Fail(err)
	}
}

func (e *entries) note(value, field, must string) {
	if len(e.wrong) < maxWrong {
		e.wrong = append(e.wrong, violation{value, "records." + strconv.Itoa(e.count) + ".member." + field, must})
	}
}

// check notes what is wrong with an entry, and returns its explicit hash key.
func (e *entries) check(x *entry) *record.HashKey {
	if !x.hasData {
		e.note("null", "data", "not be null")
	} else if n := x.data.Len(); n > int(dataRule.Max) {
		e.note(wire.QuotedBlob(n), "data", "have length less than or equal to "+strconv.FormatInt(dataRule.Max, 10))
	}
	if n := len(x.key); x.hasKey && (n == 0 || n > stream.MaxKey && utf8.RuneCount(x.key) > stream.MaxKey) {
		if n == 0 {
			e.note("''", "partitionKey", "have length greater than or equal to 1")
		} else {
			e.note(wire.Quoted(x.key), "partitionKey", "have length less than or equal to 256")
		}
	}
	if !utf8.Valid(x.key) {
		e.note("'?'", "partitionKey", "be UTF-8")
	}
	if !x.hasHash {
		return nil
	}
	hash, err := record.ParseHashKey(string(x.hash))
	switch text := string(x.hash); {
	case err == nil && text[0] > '0' || text == "0":
	case !hashKey.Holds(text):
		e.note(wire.Quoted(x.hash), "explicitHashKey", "satisfy regular expression pattern: "+hashKey.Pattern)
	case e.outside == "":
		e.outside = text
	}
	return &hash
}

// WriteWire implements wire.Value; requests are not written.
func (e *entries) WriteWire(w *wire.Writer) { w.Null() }

// CheckWire implements wire.Value.
func (e *entries) CheckWire(v *wire.Violations, path string) {
	if !e.present {
		v.Missing(path)
		return
	}
	v.Length(path, e.count, entriesRule)
	for _, x := range e.wrong {
		v.Add(x.value, x.field, x.must)
	}
}
