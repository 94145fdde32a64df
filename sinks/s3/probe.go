package s3

import (
	"context"
	"errors"
	"hash/crc32"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-io/millrace/sinks/objects"
)

// probe makes sure that objects can be created, and finds out whether the store honours
// conditions. It leaves nothing behind if it may delete.
func (s *store) probe(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	text := "Millrace tried whether this store honours If-None-Match. This object can be deleted.\n"
	o := objects.Object{
		Key: key, ContentType: "text/plain", Content: strings.NewReader(text), Size: int64(len(text)),
		CRC: crc32.Checksum([]byte(text), objects.Castagnoli),
	}
	// A probe that could not be deleted is as good as one just made.
	if err := s.put(ctx, o); err != nil && !errors.Is(err, errExists) {
		return err
	}
	switch err := s.put(ctx, o); {
	case errors.Is(err, errExists):
		s.conditionalPut = true
	case err != nil:
		return err
	default:
		s.conditionalPut = false
	}
	s.conditionalComplete = s.conditionalPut && s.probeComplete(ctx, o)
	// Without the right to delete the probe stays, and the next one finds it.
	_ = s.core.Client.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{})
	return nil
}

// probeComplete completes an upload of an object that exists; only a refusal is a yes. Stores
// without multipart uploads say no in their own way.
func (s *store) probeComplete(ctx context.Context, o objects.Object) bool {
	return errors.Is(s.putParts(ctx, o), errExists)
}
