package kinesis

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// target is the stream that a request is about: by name, by ARN, or by both when they agree.
type target struct {
	name, arn *string
	// id is reserved by AWS, and taken without a meaning.
	id *string
}

func (t *target) fields(f *wire.Fields) {
	f.Text("StreamName", &t.name, nameRule)
	f.Text("StreamARN", &t.arn, streamARN)
	f.Text("StreamId", &t.id, streamID)
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// streamName is the name that a request's target has.
func (t *target) streamName() (string, error) {
	if t.arn == nil {
		if t.name == nil {
			return "", invalid("Either StreamName or StreamARN must be specified.")
		}
		return *t.name, nil
	}
	name := nameInARN(*t.arn)
	if name == "" {
		return "", invalid("StreamARN %s is not that of a stream.", *t.arn)
	}
	if t.name != nil && *t.name != name {
		return "", invalid("StreamName %s and StreamARN %s do not match.", *t.name, *t.arn)
	}
	return name, nil
}

// nameInARN is the stream's name in the ARN of a stream or consumer. Region and account are not looked at:
// clients that speak to one server under several regions mean the same streams.
func nameInARN(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	name, ok := strings.CutPrefix(parts[5], "stream/")
	if !ok {
		return ""
	}
	name, _, _ = strings.Cut(name, "/")
	return name
}

var (
	accountSyntax = regexp.MustCompile(`^[0-9]{12}$`)
	regionSyntax  = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
)

// IsAccount reports whether ARNs may have the text as their account: clients' own checks refuse any other.
func IsAccount(text string) bool { return accountSyntax.MatchString(text) }

// IsRegion reports whether ARNs may have the text as their region.
func IsRegion(text string) bool { return regionSyntax.MatchString(text) }

// arn is that of a stream.
func (s *Service) arn(name string) string {
	return "arn:aws:kinesis:" + s.o.Region + ":" + s.o.Account + ":stream/" + name
}

// stream opens the stream of a request that works with its records or shards. One that is being created or
// deleted is not there yet, or no more.
func (s *Service) stream(ctx context.Context, t *target) (*stream.Stream, error) {
	name, err := t.streamName()
	if err != nil {
		return nil, err
	}
	if st, ok := s.states.of(name); ok && st.status != stream.Updating {
		return nil, s.noStream(name)
	}
	return s.open(ctx, name)
}

// known opens a stream in any state but DELETING.
func (s *Service) known(ctx context.Context, t *target) (*stream.Stream, error) {
	name, err := t.streamName()
	if err != nil {
		return nil, err
	}
	return s.open(ctx, name)
}

func (s *Service) open(ctx context.Context, name string) (*stream.Stream, error) {
	st, err := s.o.Streams.Open(ctx, name)
	if errors.Is(err, stream.ErrNotFound) || errors.Is(err, stream.ErrInvalid) {
		return nil, s.noStream(name)
	}
	return st, err
}

// change makes a change that a stream is UPDATING for, if it is ACTIVE.
func (s *Service) change(ctx context.Context, t *target, edit func(st *stream.Stream) error) error {
	st, err := s.known(ctx, t)
	if err != nil {
		return err
	}
	if other, ok := s.states.begin(st.Name(), state{status: stream.Updating}); !ok {
		return s.notActive(st.Name(), other.status)
	}
	err = s.o.Streams.Change(ctx, st.Name(), edit)
	s.states.end(st.Name(), err)
	return err
}

func (s *Service) notActive(name string, status stream.Status) error {
	return inUse("Stream %s under account %s not ACTIVE, instead in state %s", name, s.o.Account, strings.ToUpper(string(status)))
}

// shardIn finds a shard by an id as lenient as that of AWS: shardId-000000000000, shardId-0 and 0 are the same.
func (s *Service) shardIn(st *stream.Stream, id string) (stream.Shard, error) {
	n, ok := parseShard(id)
	if !ok {
		return stream.Shard{}, s.noShard(id, st.Name())
	}
	sh, ok := st.Shard(n)
	if !ok {
		return stream.Shard{}, s.noShard(n.String(), st.Name())
	}
	return sh, nil
}

func parseShard(id string) (record.ShardID, bool) {
	if _, after, ok := strings.Cut(id, "-"); ok {
		id = after
	}
	n, err := strconv.ParseUint(id, 10, 31)
	return record.ShardID(n), err == nil
}
