package kinesis

import (
	"context"
	"encoding/json"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// shardFilter is ShardFilter.
type shardFilter struct {
	kind, shard *string
	at          time.Time
}

var filterRule = &wire.Rule{Required: true, Enum: []string{"AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"}}

func (x *shardFilter) Fields(f *wire.Fields) {
	f.Text("Type", &x.kind, filterRule)
	f.Text("ShardId", &x.shard, nameRule)
	f.Time("Timestamp", &x.at, nil)
}

type listShardsInput struct {
	target
	next, after *string
	limit       *int64
	created     time.Time
	filter      *shardFilter
}

func (in *listShardsInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Text("NextToken", &in.next, nextToken)
	f.Text("ExclusiveStartShardId", &in.after, nameRule)
	f.Int("MaxResults", &in.limit, upTo10000)
	f.Time("StreamCreationTimestamp", &in.created, nil)
	wire.Struct(f, "ShardFilter", &in.filter, nil)
}

type listShardsOutput struct {
	shards []shardShape
	next   string
}

func (out *listShardsOutput) Fields(f *wire.Fields) {
	wire.List(f, "Shards", &out.shards, nil)
	f.String("NextToken", &out.next)
}

// shardPage is what a token of ListShards says: where the list goes on.
type shardPage struct {
	Stream string `json:"s"`
	// Incarnation of the stream: the token of one that was deleted is good for no other.
	Incarnation string         `json:"i"`
	From        record.ShardID `json:"f"`
	Kind        string         `json:"k,omitempty"`
	At          time.Time      `json:"t,omitzero"`
}

// listedShards is how many shards a list has unless it is said.
const listedShards = 1000

// listShards is ListShards.
func (s *Service) listShards(ctx context.Context, in *listShardsInput) (*listShardsOutput, error) {
	page, err := s.shardPage(in)
	if err != nil {
		return nil, err
	}
	if state, ok := s.states.of(page.Stream); ok && state.status != stream.Updating {
		return nil, s.notActive(page.Stream, state.status)
	}
	st, err := s.open(ctx, page.Stream)
	if err != nil {
		return nil, err
	}
	if page.Incarnation != "" && page.Incarnation != st.Incarnation() {
		return nil, invalid("NextToken is of a stream that was deleted.")
	}
	d := st.Describe()
	if !in.created.IsZero() && !in.created.Truncate(time.Second).Equal(d.Created) {
		return nil, s.noStream(page.Stream)
	}
	page.Incarnation = d.Incarnation
	limit := listedShards
	if in.limit != nil {
		limit = int(*in.limit)
	}
	out := &listShardsOutput{shards: []shardShape{}}
	list := page.filter(d, s.o.Now())
	for i, sh := range list {
		if len(out.shards) == limit {
			page.From = list[i].ID
			out.next, err = s.sealPage(page)
			return out, err
		}
		out.shards = append(out.shards, shardOf(sh))
	}
	return out, nil
}

func (s *Service) sealPage(p shardPage) (string, error) {
	payload, err := json.Marshal(p)
	return s.tokens.seal(shardsToken, payload), err
}

// shardPage is where a request's list begins.
func (s *Service) shardPage(in *listShardsInput) (p shardPage, err error) {
	if in.next != nil {
		if in.name != nil || in.arn != nil || in.after != nil || in.filter != nil || !in.created.IsZero() {
			return p, invalid("NextToken and StreamName cannot be provided together.")
		}
		payload, err := s.page(shardsToken, *in.next)
		if err == nil && json.Unmarshal(payload, &p) != nil {
			err = invalid("NextToken is invalid.")
		}
		return p, err
	}
	if p.Stream, err = in.streamName(); err != nil {
		return p, err
	}
	after := in.after
	if f := in.filter; f != nil {
		p.Kind, p.At = *f.kind, f.at
		timed := p.Kind == "AT_TIMESTAMP" || p.Kind == "FROM_TIMESTAMP"
		switch {
		case p.Kind == "AFTER_SHARD_ID" && f.shard == nil:
			return p, invalid("ShardId must be specified for the shard filter AFTER_SHARD_ID.")
		case p.Kind != "AFTER_SHARD_ID" && f.shard != nil:
			return p, invalid("ShardId is for the shard filter AFTER_SHARD_ID only.")
		case timed == f.at.IsZero():
			return p, invalid("Timestamp must be specified for the shard filters AT_TIMESTAMP and FROM_TIMESTAMP, and for no other.")
		case timed && f.at.After(s.o.Now()):
			return p, invalid("Timestamp of the shard filter is in the future.")
		}
		if f.shard != nil {
			after = f.shard
		}
	}
	if after == nil {
		return p, nil
	}
	id, ok := parseShard(*after)
	if !ok {
		return p, s.noShard(*after, p.Stream)
	}
	p.From = id + 1
	return p, nil
}

// filter are the shards of a list (Kinesis API, ShardFilter).
func (p shardPage) filter(d stream.Description, now time.Time) (list []stream.Shard) {
	closed := map[record.ShardID]time.Time{}
	for _, sh := range d.Shards {
		closed[sh.ID] = sh.Closed
	}
	at := p.At
	if p.Kind == "AT_TRIM_HORIZON" {
		if at = d.Created; d.Settings.Retention > 0 && now.Add(-d.Settings.Retention).After(at) {
			at = now.Add(-d.Settings.Retention)
		}
	}
	if at.Before(d.Created) {
		at = d.Created
	}
	for _, sh := range d.Shards {
		// A shard begins where its parents end: its time of creation is rounded.
		begin := d.Created
		for _, parent := range sh.Parents {
			if c := closed[parent]; c.After(begin) {
				begin = c
			}
		}
		open := sh.State == stream.ShardOpen
		ok := true
		switch p.Kind {
		case "AT_LATEST":
			ok = open
		case "AT_TRIM_HORIZON", "AT_TIMESTAMP":
			ok = !begin.After(at) && (open || sh.Closed.After(at))
		case "FROM_TIMESTAMP":
			ok = open || !sh.Closed.Before(at)
		}
		if ok && sh.ID >= p.From {
			list = append(list, sh)
		}
	}
	return list
}
