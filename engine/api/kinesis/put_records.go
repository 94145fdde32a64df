package kinesis

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
)

type putRecordsInput struct {
	target
	records entries
	dryRun  *bool
}

func (in *putRecordsInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Value("Records", "list", &in.records, true, entriesRule)
	f.Bool("DryRun", &in.dryRun)
}

type putRecordsOutput struct {
	failed     int64
	results    results
	encryption string
}

func (out *putRecordsOutput) Fields(f *wire.Fields) {
	f.Count("FailedRecordCount", &out.failed)
	f.Value("Records", "list", &out.results, true, nil)
	f.String("EncryptionType", &out.encryption)
}

// results are where records are, or why not.
type results struct {
	numbers []stream.Sequence
	// faults are per entry; nil when all are stored, and then numbers are those of the entries in order.
	faults []*wire.Fault
}

// ReadWire implements wire.Value; answers are not read.
func (*results) ReadWire(r *wire.Reader) { r.Skip() }

// CheckWire implements wire.Value.
func (*results) CheckWire(*wire.Violations, string) {}

// WriteWire implements wire.Value.
func (x *results) WriteWire(w *wire.Writer) {
	var room [64]byte
	w.BeginArray()
	next := 0
	for i := range max(len(x.numbers), len(x.faults)) {
		w.BeginObject()
		if x.faults != nil && x.faults[i] != nil {
			w.Name("ErrorCode")
			w.String(x.faults[i].Type)
			w.Name("ErrorMessage")
			w.String(x.faults[i].Message)
			w.EndObject()
			continue
		}
		q := x.numbers[next]
		next++
		w.Name("SequenceNumber")
		w.Plain(q.Append(room[:0]))
		w.Name("ShardId")
		w.Plain(q.Shard.Append(room[:0]))
		w.EndObject()
	}
	w.EndArray()
}

// putRecords is PutRecords. What it says was stored is durable.
func (s *Service) putRecords(ctx context.Context, in *putRecordsInput) (*putRecordsOutput, error) {
	defer in.records.release()
	if in.records.bytes > stream.MaxPutBytes {
		return nil, invalid("Records size exceeds 10 MiB limit: %d bytes of data and partition keys.", in.records.bytes)
	}
	if in.records.outside != "" {
		return nil, outsideHashKey(in.records.outside)
	}
	st, v, err := s.writable(ctx, &in.target, &in.records)
	if err != nil {
		return nil, err
	}
	batch, faults := s.fitting(st, in.records.batch)
	if value(in.dryRun) {
		return nil, dryRun()
	}
	out := &putRecordsOutput{encryption: v, results: results{faults: faults}}
	for batch.Len() > 0 {
		out.results.numbers, err = st.Put(ctx, batch)
		var busy *capacity.ThrottledError
		if !errors.As(err, &busy) {
			break
		}
		less := s.without(st, busy, batch, in.records.count, out)
		if less.Len() == batch.Len() {
			break
		}
		// Nothing was stored, and the other shards take theirs.
		batch, out.results.numbers, err = less, nil, nil
	}
	if err != nil {
		f := s.streamFault(err)
		if f.Type != throughputExceeded {
			return nil, err
		}
		out.refuse(in.records.count, f)
	}
	s.o.Stored(len(out.results.numbers))
	for _, f := range out.results.faults {
		if f != nil {
			out.failed++
		}
	}
	return out, nil
}

// without is the batch without the records of a shard that takes no more now; they are refused.
func (s *Service) without(st *stream.Stream, busy *capacity.ThrottledError, b *record.Batch, count int, out *putRecordsOutput) *record.Batch {
	sh, ok := st.Shard(busy.Shard)
	if !ok {
		return b
	}
	if out.results.faults == nil {
		out.results.faults = make([]*wire.Fault, count)
	}
	refused := s.streamFault(busy)
	left, next := &record.Batch{}, 0
	for i, fault := range out.results.faults {
		if fault != nil {
			continue
		}
		if sh.Range.Contains(b.Hash(next)) {
			out.results.faults[i] = refused
		} else {
			left.AddFrom(b, next)
		}
		next++
	}
	return left
}

// refuse says of the records that have no number that they were not stored. Those of other shards may have one.
func (out *putRecordsOutput) refuse(n int, f *wire.Fault) {
	x := &out.results
	if x.faults == nil {
		x.faults = make([]*wire.Fault, n)
	}
	stored, next := x.numbers[:0], 0
	for i, have := range x.faults {
		if have != nil {
			continue
		}
		if q := x.numbers[next]; q == (stream.Sequence{}) {
			x.faults[i] = f
		} else {
			stored = append(stored, q)
		}
		next++
	}
	x.numbers = stored
}

// writable opens the stream of a put, gives records without keys what routes them, and returns how the stream is
// encrypted.
func (s *Service) writable(ctx context.Context, t *target, e *entries) (*stream.Stream, string, error) {
	st, err := s.stream(ctx, t)
	if err != nil {
		return nil, "", err
	}
	if owner := s.o.Streams.Owner(st.Name()); owner != "" {
		return nil, "", invalid("Stream %s under account %s is written by pipeline %s alone; put records into one of the streams that its file declares.", st.Name(), s.o.Account, owner)
	}
	x, err := s.extras.get(ctx, st)
	if err != nil {
		return nil, "", err
	}
	if !x.Auto && e.keyless > 0 {
		return nil, "", invalid("PartitionKey of record %d is missing; only streams with RecordDistributionStrategy AUTO do without.", e.keyless)
	}
	if x.Auto {
		spread := batches.Get().(*record.Batch)
		for i := range e.batch.Len() {
			r := e.batch.Record(i)
			spread.AddExplicit(r.Key, record.HashKey{Hi: rand.Uint64(), Lo: rand.Uint64()}, r.Data, 0)
		}
		e.release()
		e.batch = spread
	}
	kind := "NONE"
	if settings := st.Settings(); settings.KeyID != "" && settings.Encryption != stream.NoEncryption {
		kind = "KMS"
	}
	return st, kind, nil
}

// fitting is the batch without the records that are too large for the stream, and why they are not in it.
func (s *Service) fitting(st *stream.Stream, b *record.Batch) (*record.Batch, []*wire.Fault) {
	limit := recordLimit(st.Settings())
	if b.Within(limit, stream.MaxKey) {
		return b, nil
	}
	var faults []*wire.Fault
	fit := &record.Batch{}
	for i := range b.Len() {
		r := b.Record(i)
		if n := len(r.Key) + len(r.Data); n > limit {
			if faults == nil {
				faults = make([]*wire.Fault, b.Len())
			}
			faults[i] = tooLarge(n, limit)
			continue
		}
		fit.AddFrom(b, i)
	}
	if faults == nil {
		return b, nil
	}
	return fit, faults
}

func tooLarge(n, limit int) *wire.Fault {
	f := invalid("Data and partition key have %d bytes, more than the stream's maximum of %d.", n, limit)
	return f.(*wire.Fault)
}
