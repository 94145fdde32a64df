package s3

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/millrace-io/millrace/sinks/objects"
)

const (
	// singlePut is the largest object that goes in one request; larger ones go in parts.
	singlePut = 256 << 20
	partSize  = 64 << 20
	// mostSinglePut is what S3 takes in one request at most.
	mostSinglePut = 5 << 30
	// requestTimeout bounds a request without a body of note; uploads get a second more for each
	// slowest bytes.
	requestTimeout = 30 * time.Second
	slowest        = 256 << 10
)

// errExists is what a conditional request finds: there is an object of that key.
var errExists = errors.New("the object exists")

// store is the bucket of a sink.
type store struct {
	endpoint, bucket string
	core             *minio.Core
	transport        *http.Transport
	// hashPayload signs the bodies too, where neither TLS nor the machine protects them.
	hashPayload bool
	// conditionalPut and conditionalComplete are set when the store honours If-None-Match there.
	conditionalPut, conditionalComplete bool
	// singlePut and partSize are those above, except in tests.
	singlePut, partSize int64
}

func newStore(c *Config, endpoint string, keys credentials.Value) (*store, error) {
	at := c.Access
	at.Endpoint = endpoint
	client, err := at.Connect(keys)
	if err != nil {
		return nil, err
	}
	return &store{
		endpoint: endpoint, bucket: c.Bucket, singlePut: singlePut, partSize: partSize,
		hashPayload: client.HashPayload, core: client.Core, transport: client.Transport,
	}, nil
}

func (s *store) close() { s.transport.CloseIdleConnections() }

// conditional reports whether put refuses to replace an object of that size.
func (s *store) conditional(size int64) bool {
	return s.conditionalPut && (s.conditionalComplete || size <= mostSinglePut)
}

// put creates an object. Error: errExists, if the store honours conditions.
func (s *store) put(ctx context.Context, o objects.Object) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout+time.Duration(o.Size/slowest)*time.Second)
	defer cancel()
	most := s.singlePut
	if !s.conditionalComplete {
		most = mostSinglePut
	}
	if o.Size > most {
		return s.putParts(ctx, o)
	}
	opts := s.createOnly()
	opts.ContentType = o.ContentType
	opts.UserMetadata = map[string]string{minio.ChecksumCRC32C.Key(): checksum(o.CRC)}
	for k, v := range o.Metadata {
		opts.UserMetadata[k] = v
	}
	_, err := s.core.Client.PutObject(ctx, s.bucket, o.Key, io.NewSectionReader(o.Content, 0, o.Size), o.Size, opts)
	return exists(err)
}

// createOnly asks for the object to be created and never replaced.
func (s *store) createOnly() minio.PutObjectOptions {
	opts := minio.PutObjectOptions{DisableMultipart: true, DisableContentSha256: !s.hashPayload}
	opts.SetMatchETagExcept("*")
	return opts
}

// putParts uploads in parts, one after the other, and takes all back if it does not come to an end.
func (s *store) putParts(ctx context.Context, o objects.Object) error {
	// The condition belongs to the last request: S3 defines none for the first, and a store that
	// refused there would hide from the probe what it does at the end.
	opts := minio.PutObjectOptions{
		DisableContentSha256: !s.hashPayload,
		ContentType:          o.ContentType, UserMetadata: map[string]string{"x-amz-checksum-algorithm": "CRC32C"},
	}
	for k, v := range o.Metadata {
		opts.UserMetadata[k] = v
	}
	// Where only uploads of the very key are listed, this is when earlier ones are found.
	_, _ = s.sweep(ctx, o.Key, func(key string) bool { return key == o.Key })
	id, err := s.core.NewMultipartUpload(ctx, s.bucket, o.Key, opts)
	if err != nil {
		return exists(err)
	}
	parts, err := s.uploadParts(ctx, o, id)
	if err == nil {
		_, err = s.core.CompleteMultipartUpload(ctx, s.bucket, o.Key, id, parts, s.createOnly())
	}
	if err != nil {
		s.abort(ctx, o.Key, id)
	}
	return exists(err)
}

// abort is best effort: what it leaves behind costs space, not rows.
func (s *store) abort(ctx context.Context, key, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	_ = s.core.AbortMultipartUpload(ctx, s.bucket, key, id)
}

func (s *store) uploadParts(ctx context.Context, o objects.Object, id string) ([]minio.CompletePart, error) {
	var parts []minio.CompletePart
	for from := int64(0); from < o.Size; from += s.partSize {
		n := min(s.partSize, o.Size-from)
		sum := crc32.New(objects.Castagnoli)
		if _, err := io.Copy(sum, io.NewSectionReader(o.Content, from, n)); err != nil {
			return nil, fmt.Errorf("read the spool: %w", err)
		}
		check := checksum(sum.Sum32())
		p, err := s.core.PutObjectPart(ctx, s.bucket, o.Key, id, len(parts)+1, io.NewSectionReader(o.Content, from, n), n,
			minio.PutObjectPartOptions{
				DisableContentSha256: !s.hashPayload,
				CustomHeader:         http.Header{minio.ChecksumCRC32C.Key(): []string{check}},
			})
		if err != nil {
			return nil, err
		}
		parts = append(parts, minio.CompletePart{PartNumber: p.PartNumber, ETag: p.ETag, ChecksumCRC32C: check})
	}
	return parts, nil
}

// checksum is a CRC as S3 headers spell it.
func checksum(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// exists turns the refusal of a conditional request into errExists.
func exists(err error) error {
	if r := minio.ToErrorResponse(err); err != nil && (r.Code == "PreconditionFailed" || r.StatusCode == http.StatusPreconditionFailed) {
		return errExists
	}
	return err
}

// metadata of an object, with lower-case keys; ok is false when there is no such object.
func (s *store) metadata(ctx context.Context, key string) (m map[string]string, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := s.core.Client.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{})
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	m = make(map[string]string, len(info.UserMetadata))
	for k, v := range info.UserMetadata {
		m[strings.ToLower(k)] = v
	}
	return m, true, nil
}
