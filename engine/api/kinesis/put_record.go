package kinesis

import (
	"context"
	"slices"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

type putRecordInput struct {
	target
	data            []byte
	key, hash, last *string
	dryRun          *bool
}

func (in *putRecordInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Blob("Data", &in.data, dataRule)
	f.Text("PartitionKey", &in.key, partitionKey)
	f.Text("ExplicitHashKey", &in.hash, hashKey)
	f.Text("SequenceNumberForOrdering", &in.last, sequenceNumber)
	f.Bool("DryRun", &in.dryRun)
}

type putRecordOutput struct{ shard, number, encryption string }

func (out *putRecordOutput) Fields(f *wire.Fields) {
	f.String("ShardId", &out.shard)
	f.String("SequenceNumber", &out.number)
	f.String("EncryptionType", &out.encryption)
}

// putRecord is PutRecord. The number of SequenceNumberForOrdering is always below the new one if the shard of the record
// or one before it gave it, for numbers rise with every record; it may also be that of another shard. One that was not
// given yet could not be kept below, and is refused as the service refuses one of the future.
func (s *Service) putRecord(ctx context.Context, in *putRecordInput) (*putRecordOutput, error) {
	e := &entries{batch: batches.Get().(*record.Batch), count: 1, present: true}
	defer e.release()
	if in.key == nil {
		e.keyless = 1
	}
	var hash *record.HashKey
	if in.hash != nil {
		h, err := record.ParseHashKey(*in.hash)
		if err != nil {
			return nil, outsideHashKey(*in.hash)
		}
		hash = &h
	}
	copy(e.batch.AddSpace([]byte(value(in.key)), hash, len(in.data)), in.data)
	st, kind, err := s.writable(ctx, &in.target, e)
	if err != nil {
		return nil, err
	}
	if in.last != nil && !s.gave(st, *in.last) {
		return nil, invalid("ExclusiveMinimumSequenceNumber %s used in PutRecord on stream %s under account %s is invalid.", *in.last, st.Name(), s.o.Account)
	}
	if n, limit := len(in.data)+len(value(in.key)), recordLimit(st.Settings()); n > limit {
		return nil, tooLarge(n, limit)
	}
	if value(in.dryRun) {
		return nil, dryRun()
	}
	numbers, err := st.Put(ctx, e.batch)
	if err != nil {
		return nil, err
	}
	s.o.Stored(1)
	return &putRecordOutput{numbers[0].Shard.String(), numbers[0].String(), kind}, nil
}

// gave reports whether a sequence number may be one that the stream gave, or another of its name did before it.
func (s *Service) gave(st *stream.Stream, number string) bool {
	q, err := stream.ParseSequence(number)
	if err != nil || q.Arrived > s.o.Now().Unix()+1 {
		return false
	}
	sh, ok := st.Shard(q.Shard)
	if !ok {
		// Of a shard that expired nobody knows more than that others came after it.
		return slices.ContainsFunc(st.Shards(), func(sh stream.Shard) bool { return q.Created < sh.Created.Unix() })
	}
	if created := sh.Created.Unix(); q.Created != created {
		return q.Created < created
	}
	at, ok := q.Ordinal()
	if !ok || sh.State == stream.ShardClosed && q.Index == sh.Last().Index {
		return true
	}
	log := st.Log(sh.ID)
	// A shard that expired this moment had it, for all that is known.
	return log == nil || at < log.Bounds().Next
}

func outsideHashKey(hash string) error {
	return invalid("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was %s", hash)
}
