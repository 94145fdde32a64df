package kinesis

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
)

// tag is Tag.
type tag struct{ key, value string }

func (t *tag) Fields(f *wire.Fields) {
	f.String("Key", &t.key)
	v := &t.value // an empty value is one
	f.Text("Value", &v, nil)
}

type addTagsInput struct {
	target
	tags map[string]string
}

func (in *addTagsInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Map("Tags", &in.tags, tagMapRequired, tagKey, tagValue)
}

// addTags is AddTagsToStream.
func (s *Service) addTags(ctx context.Context, in *addTagsInput) error {
	st, err := s.stream(ctx, &in.target)
	if err != nil {
		return err
	}
	return st.Tag(ctx, in.tags)
}

type removeTagsInput struct {
	target
	keys []string
}

func (in *removeTagsInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Texts("TagKeys", &in.keys, tagKeys, tagKey)
}

// removeTags is RemoveTagsFromStream.
func (s *Service) removeTags(ctx context.Context, in *removeTagsInput) error {
	st, err := s.stream(ctx, &in.target)
	if err != nil {
		return err
	}
	return st.Tag(ctx, nil, in.keys...)
}

type listTagsForStreamInput struct {
	target
	after *string
	limit *int64
}

func (in *listTagsForStreamInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Text("ExclusiveStartTagKey", &in.after, tagKey)
	f.Int("Limit", &in.limit, &wire.Rule{Min: 1, Max: 50})
}

type listTagsForStreamOutput struct {
	tags []tag
	more bool
}

func (out *listTagsForStreamOutput) Fields(f *wire.Fields) {
	wire.List(f, "Tags", &out.tags, nil)
	f.Flag("HasMoreTags", &out.more)
}

// sortedTags are tags by their keys.
func sortedTags(tags map[string]string) []tag {
	list := []tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, tag{k, tags[k]})
	}
	return list
}

// listTagsForStream is ListTagsForStream.
func (s *Service) listTagsForStream(ctx context.Context, in *listTagsForStreamInput) (*listTagsForStreamOutput, error) {
	st, err := s.stream(ctx, &in.target)
	if err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(sortedTags(st.Describe().Tags), func(t tag) bool { return strings.Compare(t.key, value(in.after)) <= 0 })
	out := &listTagsForStreamOutput{tags: list}
	if in.limit != nil && len(list) > int(*in.limit) {
		out.tags, out.more = list[:*in.limit], true
	}
	return out, nil
}

// resource is a stream or one of its consumers.
type resource struct {
	*stream.Stream
	// consumer is empty for the stream itself.
	consumer string
}

// resource finds what an ARN names.
func (s *Service) resource(ctx context.Context, arn string) (resource, error) {
	st, err := s.stream(ctx, &target{arn: &arn})
	if err != nil {
		return resource{}, err
	}
	r := resource{Stream: st}
	if !strings.Contains(arn, "/consumer/") {
		return r, nil
	}
	e, err := s.extras.get(ctx, st)
	if err != nil {
		return r, err
	}
	c, ok := s.consumerAt(st.Name(), e, arn)
	if !ok {
		return r, s.noConsumer(arn)
	}
	r.consumer = c.Name
	return r, nil
}

type tagResourceInput struct {
	arn, id *string
	tags    map[string]string
}

func (in *tagResourceInput) Fields(f *wire.Fields) {
	f.Map("Tags", &in.tags, tagMapRequired, tagKey, tagValue)
	f.Text("ResourceARN", &in.arn, resourceARN)
	f.Text("StreamId", &in.id, streamID)
}

// tagResource is TagResource.
func (s *Service) tagResource(ctx context.Context, in *tagResourceInput) error {
	return s.setTags(ctx, *in.arn, in.tags, nil)
}

type untagResourceInput struct {
	arn, id *string
	keys    []string
}

func (in *untagResourceInput) Fields(f *wire.Fields) {
	f.Texts("TagKeys", &in.keys, tagKeys, tagKey)
	f.Text("ResourceARN", &in.arn, resourceARN)
	f.Text("StreamId", &in.id, streamID)
}

// untagResource is UntagResource.
func (s *Service) untagResource(ctx context.Context, in *untagResourceInput) error {
	return s.setTags(ctx, *in.arn, nil, in.keys)
}

func (s *Service) setTags(ctx context.Context, arn string, set map[string]string, remove []string) error {
	r, err := s.resource(ctx, arn)
	if err != nil {
		return err
	}
	if r.consumer == "" {
		return r.Tag(ctx, set, remove...)
	}
	return s.editConsumer(ctx, r, func(c *consumer) (err error) {
		c.Tags, err = stream.ChangeTags(c.Tags, set, remove)
		return err
	})
}

type resourceInput struct{ arn, id *string }

func (in *resourceInput) Fields(f *wire.Fields) {
	f.Text("ResourceARN", &in.arn, resourceARN)
	f.Text("StreamId", &in.id, streamID)
}

type listTagsForResourceOutput struct{ tags []tag }

func (out *listTagsForResourceOutput) Fields(f *wire.Fields) { wire.List(f, "Tags", &out.tags, nil) }

// listTagsForResource is ListTagsForResource.
func (s *Service) listTagsForResource(ctx context.Context, in *resourceInput) (*listTagsForResourceOutput, error) {
	r, err := s.resource(ctx, *in.arn)
	if err != nil {
		return nil, err
	}
	if r.consumer == "" {
		return &listTagsForResourceOutput{sortedTags(r.Describe().Tags)}, nil
	}
	e, err := s.extras.get(ctx, r.Stream)
	if err != nil {
		return nil, err
	}
	c, _ := e.consumer(r.consumer)
	return &listTagsForResourceOutput{sortedTags(c.Tags)}, nil
}
