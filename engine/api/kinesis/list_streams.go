package kinesis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
)

type listStreamsInput struct {
	limit       *int64
	after, next *string
}

func (in *listStreamsInput) Fields(f *wire.Fields) {
	f.Int("Limit", &in.limit, upTo10000)
	f.Text("ExclusiveStartStreamName", &in.after, nameRule)
	f.Text("NextToken", &in.next, nextToken)
}

// streamSummary is StreamSummary.
type streamSummary struct {
	name, arn, status string
	mode              *modeDetails
	created           time.Time
}

func (d *streamSummary) Fields(f *wire.Fields) {
	f.String("StreamName", &d.name)
	f.String("StreamARN", &d.arn)
	f.String("StreamStatus", &d.status)
	wire.Struct(f, "StreamModeDetails", &d.mode, nil)
	f.Time("StreamCreationTimestamp", &d.created, nil)
}

type listStreamsOutput struct {
	names     []string
	more      bool
	next      string
	summaries []streamSummary
}

func (out *listStreamsOutput) Fields(f *wire.Fields) {
	f.Texts("StreamNames", &out.names, nil, nil)
	f.Flag("HasMoreStreams", &out.more)
	f.String("NextToken", &out.next)
	wire.List(f, "StreamSummaries", &out.summaries, nil)
}

// listed is how many streams a list has unless it is said.
const listed = 100

// listStreams is ListStreams.
func (s *Service) listStreams(ctx context.Context, in *listStreamsInput) (*listStreamsOutput, error) {
	after := value(in.after)
	if in.next != nil {
		last, err := s.page(streamsToken, *in.next)
		if err != nil {
			return nil, err
		}
		after = string(last)
	}
	names, err := s.o.Streams.Names(ctx)
	if err != nil {
		return nil, err
	}
	// Those whose deletion is still seen.
	names = append(names, s.states.deleting()...)
	slices.Sort(names)
	limit := listed
	if in.limit != nil {
		limit = int(*in.limit)
	}
	out := &listStreamsOutput{names: []string{}, summaries: []streamSummary{}}
	for _, name := range slices.Compact(names) {
		if strings.Compare(name, after) <= 0 {
			continue
		}
		if out.more = len(out.names) == limit; out.more {
			out.next = s.tokens.seal(streamsToken, []byte(out.names[limit-1]))
			break
		}
		v, err := s.seeNamed(ctx, name)
		var f *wire.Fault
		if errors.As(err, &f) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		h := s.headOf(v)
		out.names = append(out.names, name)
		out.summaries = append(out.summaries, streamSummary{h.name, h.arn, h.status, h.mode, h.created})
	}
	return out, nil
}

// page is what the token of a list says.
func (s *Service) page(kind byte, token string) ([]byte, error) {
	payload, made, err := s.tokens.open(kind, token)
	if err != nil {
		return nil, invalid("NextToken is invalid.")
	}
	if s.tokens.expired(made) {
		return nil, &wire.Fault{Type: "ExpiredNextTokenException", Message: "NextToken has expired: it is good for 300 seconds."}
	}
	return payload, nil
}
