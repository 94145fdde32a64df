package s3

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/objects"
)

// ErrorObjects implements sinks.ErrorReader. from is s3://BUCKET/PREFIX in the sink's store.
func (s *sink) ErrorObjects(ctx context.Context, from string) ([]string, error) {
	bucket := s.config.Bucket
	own := objects.OwnErrors(s.env.Identity)
	prefix, ok := s.chunk.ErrorPath()
	switch {
	case from != "":
		bucket, prefix, _ = strings.Cut(strings.TrimPrefix(from, "s3://"), "/")
		own = func(string) bool { return true }
	case !ok:
		return nil, s.wrap(sinks.ErrNoErrorPrefix)
	}
	if s.store == nil {
		if err := s.connect(); err != nil {
			return nil, s.wrap(err)
		}
	}
	var names []string
	for o := range s.store.core.Client.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, s.wrap(fmt.Errorf("list s3://%s/%s: %w", bucket, prefix, s.store.explain(o.Err)))
		}
		if own(o.Key) {
			names = append(names, "s3://"+bucket+"/"+o.Key)
		}
	}
	return names, nil
}

// OpenErrors implements sinks.ErrorReader.
func (s *sink) OpenErrors(ctx context.Context, name string) (io.ReadCloser, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(name, "s3://"), "/")
	o, err := s.store.core.Client.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, s.wrap(fmt.Errorf("get %s: %w", name, s.store.explain(err)))
	}
	return o, nil
}
