package kinesis

import (
	"context"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
)

type mergeShardsInput struct {
	target
	shard, adjacent *string
}

func (in *mergeShardsInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Text("ShardToMerge", &in.shard, nameRequired)
	f.Text("AdjacentShardToMerge", &in.adjacent, nameRequired)
}

// mergeShards is MergeShards.
func (s *Service) mergeShards(ctx context.Context, in *mergeShardsInput) error {
	return s.reshape(ctx, &in.target, func(st *stream.Stream) error {
		a, err := s.openShard(st, *in.shard)
		if err != nil {
			return err
		}
		b, err := s.openShard(st, *in.adjacent)
		if err != nil {
			return err
		}
		if !a.Range.Precedes(b.Range) && !b.Range.Precedes(a.Range) {
			return invalid("Shards %s and %s in stream %s under account %s are not an adjacent pair of shards eligible for merging", a.ID, b.ID, st.Name(), s.o.Account)
		}
		return st.Merge(ctx, a.ID, b.ID)
	})
}
