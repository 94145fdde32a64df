package kinesis

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

type getShardIteratorInput struct {
	target
	shard, kind, number *string
	at                  time.Time
	dryRun              *bool
}

func (in *getShardIteratorInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Text("ShardId", &in.shard, nameRequired)
	f.Text("ShardIteratorType", &in.kind, iteratorType)
	f.Text("StartingSequenceNumber", &in.number, sequenceNumber)
	f.Time("Timestamp", &in.at, nil)
	f.Bool("DryRun", &in.dryRun)
}

type getShardIteratorOutput struct{ iterator string }

func (out *getShardIteratorOutput) Fields(f *wire.Fields) {
	f.String("ShardIterator", &out.iterator)
}

// position is what an iterator says: where in which shard of which stream.
type position struct {
	stream, incarnation string
	shard               record.ShardID
	next                record.Ordinal
}

func (p position) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(p.shard))
	b = binary.AppendUvarint(b, uint64(p.next))
	b = binary.AppendUvarint(b, uint64(len(p.incarnation)))
	b = append(b, p.incarnation...)
	return append(b, p.stream...)
}

// decodePosition reads what encode wrote; its signature was verified.
func decodePosition(b []byte) (p position, err error) {
	var n [3]uint64
	for i := range n {
		size := 0
		if n[i], size = binary.Uvarint(b); size <= 0 {
			return p, errToken
		}
		b = b[size:]
	}
	if n[2] > uint64(len(b)) {
		return p, errToken
	}
	return position{shard: record.ShardID(n[0]), next: record.Ordinal(n[1]), incarnation: string(b[:n[2]]), stream: string(b[n[2]:])}, nil
}

func (s *Service) iterator(p position) string { return s.tokens.seal(iteratorToken, p.encode()) }

// getShardIterator is GetShardIterator.
func (s *Service) getShardIterator(ctx context.Context, in *getShardIteratorInput) (*getShardIteratorOutput, error) {
	st, err := s.stream(ctx, &in.target)
	if err != nil {
		return nil, err
	}
	sh, err := s.shardIn(st, *in.shard)
	if err != nil {
		return nil, err
	}
	if err := s.paceIn("GetShardIterator", st.Name(), sh, ""); err != nil {
		return nil, err
	}
	from := stream.From{Type: stream.IteratorType(*in.kind), Sequence: value(in.number), Time: in.at}
	next, err := s.begin(ctx, st, sh, from)
	if err != nil {
		return nil, err
	}
	if value(in.dryRun) {
		return nil, dryRun()
	}
	return &getShardIteratorOutput{s.iterator(position{st.Name(), st.Incarnation(), sh.ID, next})}, nil
}

// begin is where reading a shard begins. What retention took is passed over, as AWS does.
func (s *Service) begin(ctx context.Context, st *stream.Stream, sh stream.Shard, from stream.From) (record.Ordinal, error) {
	if err := checkFrom(from); err != nil {
		return 0, err
	}
	next, err := st.Iterator(ctx, sh.ID, from)
	var trimmed *stream.TrimmedError
	switch {
	case errors.As(err, &trimmed):
		return trimmed.Oldest, nil
	case errors.Is(err, stream.ErrNotFound):
		return 0, s.noShard(sh.ID.String(), st.Name())
	case !errors.Is(err, stream.ErrInvalid):
		return next, err
	case from.Type == stream.AtTimestamp:
		return 0, invalid("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: %d, currentTimestampInMillis: %d",
			from.Time.UnixMilli(), s.o.Now().UnixMilli())
	}
	return 0, invalid("StartingSequenceNumber %s used in GetShardIterator on shard %s in stream %s under account %s is invalid because it did not come from this stream.",
		from.Sequence, sh.ID, st.Name(), s.o.Account)
}

// checkFrom refuses a place that is said twice or not at all.
func checkFrom(from stream.From) error {
	numbered := from.Type == stream.AtSequence || from.Type == stream.AfterSequence
	switch {
	case from.Type == stream.AtTimestamp && from.Time.IsZero():
		return invalid("Must specify timestamp parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.")
	case from.Type != stream.AtTimestamp && !from.Time.IsZero():
		return invalid("Must either specify iterator type AT_TIMESTAMP and timestamp parameter, or another iterator type without it. Current request has iterator type %s and a timestamp.", from.Type)
	case numbered && from.Sequence == "":
		return invalid("Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. "+
			"Request specified %s and no StartingSequenceNumber.", from.Type)
	case !numbered && from.Sequence != "":
		return invalid("Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. "+
			"Request specified %s and also a StartingSequenceNumber.", from.Type)
	}
	return nil
}
