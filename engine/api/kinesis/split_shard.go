package kinesis

import (
	"context"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

type splitShardInput struct {
	target
	shard, at *string
}

func (in *splitShardInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Text("ShardToSplit", &in.shard, nameRequired)
	f.Text("NewStartingHashKey", &in.at, hashKeyRequired)
}

// splitShard is SplitShard. The children take records when it returns.
func (s *Service) splitShard(ctx context.Context, in *splitShardInput) error {
	return s.reshape(ctx, &in.target, func(st *stream.Stream) error {
		sh, err := s.openShard(st, *in.shard)
		if err != nil {
			return err
		}
		at, err := record.ParseHashKey(*in.at)
		if err != nil || !sh.Range.Start.Next().Less(at) || sh.Range.Start == record.MaxHashKey || !at.Less(sh.Range.End) {
			return invalid("NewStartingHashKey %s used in SplitShard() on shard %s in stream %s under account %s is not both greater than one plus the shard's StartingHashKey %s and less than the shard's EndingHashKey %s.",
				*in.at, sh.ID, st.Name(), s.o.Account, sh.Range.Start, sh.Range.End)
		}
		if err := s.checkQuota(ctx, 1); err != nil {
			return err
		}
		return st.Split(ctx, sh.ID, at)
	})
}

// reshape is change for the shards of a stream that is provisioned.
func (s *Service) reshape(ctx context.Context, t *target, edit func(st *stream.Stream) error) error {
	return s.change(ctx, t, func(st *stream.Stream) error {
		if st.Settings().Mode == stream.OnDemand {
			return validation("Request is invalid. Stream %s under account %s is in on-demand mode, and its shards follow its load.", st.Name(), s.o.Account)
		}
		return edit(st)
	})
}

// openShard finds a shard that takes records.
func (s *Service) openShard(st *stream.Stream, id string) (stream.Shard, error) {
	sh, err := s.shardIn(st, id)
	if err == nil && sh.State != stream.ShardOpen {
		err = invalid("Shard %s in stream %s under account %s has already been merged or split, and thus is not eligible for merging or splitting.", sh.ID, st.Name(), s.o.Account)
	}
	return sh, err
}
