package kinesis

import (
	"context"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// longestRetention is what streams that keep their records for ever are said to have.
const longestRetention = 8760 * time.Hour

// hashRange is HashKeyRange.
type hashRange struct{ start, end string }

func (h *hashRange) Fields(f *wire.Fields) {
	f.String("StartingHashKey", &h.start)
	f.String("EndingHashKey", &h.end)
}

// sequenceRange is SequenceNumberRange.
type sequenceRange struct{ start, end string }

func (q *sequenceRange) Fields(f *wire.Fields) {
	f.String("StartingSequenceNumber", &q.start)
	f.String("EndingSequenceNumber", &q.end)
}

// shardShape is Shard.
type shardShape struct {
	id, parent, adjacent string
	keys                 *hashRange
	numbers              *sequenceRange
}

func (s *shardShape) Fields(f *wire.Fields) {
	f.String("ShardId", &s.id)
	f.String("ParentShardId", &s.parent)
	f.String("AdjacentParentShardId", &s.adjacent)
	wire.Struct(f, "HashKeyRange", &s.keys, nil)
	wire.Struct(f, "SequenceNumberRange", &s.numbers, nil)
}

func keysOf(r record.Range) *hashRange { return &hashRange{r.Start.String(), r.End.String()} }

func shardOf(sh stream.Shard) shardShape {
	out := shardShape{id: sh.ID.String(), keys: keysOf(sh.Range), numbers: &sequenceRange{start: sh.First().String()}}
	if sh.State == stream.ShardClosed {
		out.numbers.end = sh.Last().String()
	}
	if len(sh.Parents) > 0 {
		out.parent = sh.Parents[0].String()
	}
	if len(sh.Parents) > 1 {
		out.adjacent = sh.Parents[1].String()
	}
	return out
}

// monitoring is EnhancedMetrics.
type monitoring struct{ metrics []string }

func (m *monitoring) Fields(f *wire.Fields) { f.Texts("ShardLevelMetrics", &m.metrics, nil, nil) }

// head is what DescribeStream and DescribeStreamSummary both tell.
type head struct {
	name, arn, status, encryption, key string
	mode                               *modeDetails
	retention                          int64
	created                            time.Time
	monitoring                         []monitoring
}

func (h *head) fields(f *wire.Fields) {
	f.String("StreamName", &h.name)
	f.String("StreamARN", &h.arn)
	f.String("StreamStatus", &h.status)
	wire.Struct(f, "StreamModeDetails", &h.mode, nil)
	f.Count("RetentionPeriodHours", &h.retention)
	f.Time("StreamCreationTimestamp", &h.created, nil)
	wire.List(f, "EnhancedMonitoring", &h.monitoring, nil)
	f.String("EncryptionType", &h.encryption)
	f.String("KeyId", &h.key)
}

// sight is a stream as clients see it.
type sight struct {
	stream.Description
	extra extra
}

// see looks at a stream in any state.
func (s *Service) see(ctx context.Context, t *target) (sight, error) {
	name, err := t.streamName()
	if err != nil {
		return sight{}, err
	}
	return s.seeNamed(ctx, name)
}

func (s *Service) seeNamed(ctx context.Context, name string) (sight, error) {
	state, changing := s.states.of(name)
	if changing && state.gone != nil {
		d := *state.gone
		d.Status, d.Shards = stream.Deleting, nil
		return sight{Description: d}, nil
	}
	st, err := s.open(ctx, name)
	if err != nil {
		return sight{}, err
	}
	e, err := s.extras.get(ctx, st)
	if err != nil {
		return sight{}, err
	}
	v := sight{Description: st.Describe(), extra: e}
	if changing {
		v.Status = state.status
	}
	if v.Status == stream.Creating {
		v.Shards, v.OpenShards = nil, 0
	}
	return v, nil
}

func modeOf(m stream.Mode) *modeDetails {
	mode := strings.ToUpper(string(m))
	return &modeDetails{&mode}
}

// encryptionOf is NONE or KMS, and the key.
func (v sight) encryption() (kind, key string) {
	if v.Settings.KeyID == "" || v.Settings.Encryption == stream.NoEncryption {
		return "NONE", ""
	}
	if v.extra.KeyID != "" {
		return "KMS", v.extra.KeyID
	}
	// A key that no client named: its place is nobody's business.
	return "KMS", defaultKeyID
}

// retentionHours as clients know it. What is kept for less than an hour is kept for one.
func retentionHours(d time.Duration) int64 {
	if d < 0 {
		d = longestRetention
	}
	return int64((d + time.Hour - 1) / time.Hour)
}

func (s *Service) headOf(v sight) head {
	h := head{
		name: v.Name, arn: s.arn(v.Name), status: strings.ToUpper(string(v.Status)), mode: modeOf(v.Settings.Mode),
		retention: retentionHours(v.Settings.Retention), created: v.Created,
		monitoring: []monitoring{{metrics: append([]string{}, v.extra.Monitoring...)}},
	}
	h.encryption, h.key = v.encryption()
	return h
}

type describeStreamInput struct {
	target
	limit *int64
	after *string
}

func (in *describeStreamInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Int("Limit", &in.limit, upTo10000)
	f.Text("ExclusiveStartShardId", &in.after, nameRule)
}

type streamDescription struct {
	head
	shards []shardShape
	more   bool
}

func (d *streamDescription) Fields(f *wire.Fields) {
	d.fields(f)
	wire.List(f, "Shards", &d.shards, nil)
	f.Flag("HasMoreShards", &d.more)
}

type describeStreamOutput struct{ description *streamDescription }

func (out *describeStreamOutput) Fields(f *wire.Fields) {
	wire.Struct(f, "StreamDescription", &out.description, nil)
}

// describeShards is how many shards a description has at most.
const describeShards = 100

// describeStream is DescribeStream.
func (s *Service) describeStream(ctx context.Context, in *describeStreamInput) (*describeStreamOutput, error) {
	v, err := s.see(ctx, &in.target)
	if err != nil {
		return nil, err
	}
	d := &streamDescription{head: s.headOf(v), shards: []shardShape{}}
	from, limit := int64(0), int64(describeShards)
	if in.limit != nil {
		limit = *in.limit
	}
	if in.after != nil {
		id, ok := parseShard(*in.after)
		if !ok {
			return nil, s.noShard(*in.after, v.Name)
		}
		from = int64(id) + 1
	}
	for _, sh := range v.Shards {
		if int64(sh.ID) < from {
			continue
		}
		if d.more = int64(len(d.shards)) == limit; d.more {
			break
		}
		d.shards = append(d.shards, shardOf(sh))
	}
	return &describeStreamOutput{d}, nil
}
