// Package s3test starts a real MinIO for tests.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/millrace-io/millrace/engine/loopback"
)

// Server is a MinIO on a free loopback port.
type Server struct {
	Endpoint             string
	AccessKey, SecretKey string
	// Client talks to the server with its own credentials.
	Client *minio.Client

	bin, dir, address string
	transport         *http.Transport
	process           *exec.Cmd
	output            bytes.Buffer
	exited            chan struct{}
}

// ErrMissing says that there is no MinIO on this machine.
var ErrMissing = errors.New("MinIO is not built; run e2e/minio.sh once, or set MILLRACE_MINIO to its binary")

// MinIO starts a server that ends with the test.
func MinIO(t testing.TB) *Server {
	t.Helper()
	s, err := New(t.TempDir())
	if err == nil {
		t.Cleanup(s.Close)
		err = s.Start()
	}
	Need(t, err)
	return s
}

// Need fails the test on an error. A missing MinIO only skips it, unless $CI is set.
func Need(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, ErrMissing) && os.Getenv("CI") == "":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}

// New is a server with its objects in dir, which Start starts. Error: ErrMissing.
func New(dir string) (*Server, error) {
	bin, err := binary()
	if err != nil {
		return nil, err
	}
	address, err := loopback.FreeAddress()
	if err != nil {
		return nil, err
	}
	s := &Server{
		Endpoint: "http://" + address, AccessKey: "millrace-test", SecretKey: "millrace-test-secret",
		bin: bin, dir: dir, address: address, transport: &http.Transport{},
	}
	s.Client, err = minio.New(address, &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Transport: s.transport, Region: "us-east-1", MaxRetries: 1,
	})
	return s, err
}

// binary is $MILLRACE_MINIO or what e2e/minio.sh builds.
func binary() (string, error) {
	path := os.Getenv("MILLRACE_MINIO")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		path = filepath.Join(cache, "millrace", "bin", "minio")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w (%w)", ErrMissing, err)
	}
	return path, nil
}

// Start starts the server, always at the same address with the same objects, and waits until it
// answers.
func (s *Server) Start() error {
	s.output.Reset()
	s.process = exec.Command(s.bin, "server", "--quiet", "--address", s.address, filepath.Join(s.dir, "objects"))
	s.process.Env = []string{
		"MINIO_ROOT_USER=" + s.AccessKey, "MINIO_ROOT_PASSWORD=" + s.SecretKey,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "HOME=" + s.dir, "PATH=" + os.Getenv("PATH"),
	}
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		s.process = nil
		return err
	}
	s.exited = make(chan struct{})
	process, exited := s.process, s.exited
	go func() { _ = process.Wait(); close(exited) }()
	if err := s.wait(); err != nil {
		s.Stop()
		return fmt.Errorf("%w\n%s", err, s.output.String())
	}
	return nil
}

// wait asks until the server answers. The health page says yes before the store does.
func (s *Server) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		_, err := s.Client.ListBuckets(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-s.exited:
			return errors.New("MinIO ended at once")
		case <-ctx.Done():
			return fmt.Errorf("MinIO does not answer: %w", err)
		}
	}
}

// Stop kills the server. It may be stopped already.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	<-s.exited
	s.process = nil
}

// Close stops the server for good.
func (s *Server) Close() {
	s.Stop()
	s.transport.CloseIdleConnections()
}

// Bucket creates a bucket.
func (s *Server) Bucket(t testing.TB, name string) {
	t.Helper()
	if err := s.Client.MakeBucket(context.Background(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Objects are the objects of a bucket by key. It fails when an upload was left unfinished.
func Objects(t testing.TB, client *minio.Client, bucket string) map[string][]byte {
	t.Helper()
	ctx := context.Background()
	all := make(map[string][]byte)
	for o := range client.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		r, err := client.GetObject(ctx, bucket, o.Key, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if all[o.Key], err = io.ReadAll(r); err != nil {
			t.Fatalf("%s: %v", o.Key, err)
		}
		if err := r.Close(); err != nil && !strings.Contains(err.Error(), "already closed") {
			t.Fatal(err)
		}
	}
	for u := range client.ListIncompleteUploads(ctx, bucket, "", true) {
		// A server that keeps none may say so like this.
		if minio.ToErrorResponse(u.Err).Code != minio.NoSuchUpload {
			t.Errorf("upload of %s was left unfinished (%v)", u.Key, u.Err)
		}
	}
	return all
}
