package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-io/millrace/engine/bucket"
)

// MaxContent is the largest content of a table, in bytes.
const MaxContent = 1 << 30

// errContent is a content beyond MaxContent.
var errContent = fmt.Errorf("it is larger than %d MiB, which is more than a table may be", MaxContent>>20)

// File is a table in a file.
type File struct{ Path string }

// String is the path.
func (f *File) String() string { return f.Path }

// Fetch implements Source. The file is read each time: that costs less than a changed one that was missed.
func (f *File) Fetch(_ context.Context, _ string, w io.Writer) (string, error) {
	in, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no file %s; put it there, or correct path", f.Path)
	}
	if err != nil {
		return "", err
	}
	defer in.Close()
	before, err := in.Stat()
	if err != nil {
		return "", err
	}
	if before.IsDir() {
		return "", fmt.Errorf("%s is a directory; path names one file", f.Path)
	}
	if err := copyTo(w, in); err != nil {
		return "", err
	}
	after, err := in.Stat()
	if err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		err = fmt.Errorf("%s changed while it was read; write another file and rename it instead", f.Path)
	}
	return "", err
}

func copyTo(w io.Writer, from io.Reader) error {
	n, err := io.Copy(w, io.LimitReader(from, MaxContent+1))
	if err == nil && n > MaxContent {
		err = errContent
	}
	return err
}

// Object is a table in an object of S3-compatible storage.
type Object struct {
	Access bucket.Access
	Key    string

	client *bucket.Client
}

// String is where the object is.
func (o *Object) String() string { return "s3://" + o.Access.Bucket + "/" + o.Key }

// Fetch implements Source. The tag is the object's.
func (o *Object) Fetch(ctx context.Context, tag string, w io.Writer) (string, error) {
	if o.client == nil {
		client, err := o.Access.Connect(o.Access.Keys())
		if err != nil {
			return "", err
		}
		o.client = client
	}
	opts := minio.GetObjectOptions{}
	if tag != "" {
		if err := opts.SetMatchETagExcept(tag); err != nil {
			return "", err
		}
	}
	in, info, _, err := o.client.Core.GetObject(ctx, o.Access.Bucket, o.Key, opts)
	if err != nil {
		if r := minio.ToErrorResponse(err); tag != "" && (r.StatusCode == 304 || r.Code == "NotModified") {
			return tag, nil
		}
		return "", o.explain(err)
	}
	defer in.Close()
	if err := copyTo(w, in); err != nil {
		if errors.Is(err, errContent) {
			return "", err
		}
		return "", o.explain(err)
	}
	return info.ETag, nil
}

func (o *Object) explain(err error) error {
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return fmt.Errorf("there is no object %s (endpoint %s); put it there, or correct path", o, o.Access.Endpoint)
	}
	return o.Access.Explain(err, bucket.Use{Verb: "read from", Rights: "s3:GetObject"})
}

// Close lets go of connections.
func (o *Object) Close() {
	if o.client != nil {
		o.client.Close()
	}
}

// Content is a table whose content is given.
type Content []byte

// String says so.
func (c Content) String() string { return "given rows" }

// Fetch implements Source.
func (c Content) Fetch(_ context.Context, _ string, w io.Writer) (string, error) {
	_, err := w.Write(c)
	return "", err
}
