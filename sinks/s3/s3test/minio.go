// Package s3test starts a real MinIO for tests.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Server is a MinIO on a free loopback port, with its objects in a directory of the test.
type Server struct {
	Endpoint             string
	AccessKey, SecretKey string
	// Client talks to the server with its own credentials.
	Client *minio.Client

	t       testing.TB
	dir     string
	address string
	process *exec.Cmd
	output  bytes.Buffer
	exited  chan struct{}
}

// MinIO starts a server and ends it with the test. The binary is $MILLRACE_MINIO or what
// e2e/minio.sh builds; without one the test is skipped, but fails where $CI is set.
func MinIO(t testing.TB) *Server {
	t.Helper()
	bin, err := binary()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s := &Server{
		Endpoint: "http://" + address, AccessKey: "millrace-test", SecretKey: "millrace-test-secret",
		t: t, dir: t.TempDir(), address: address,
	}
	s.Client, err = minio.New(address, &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Transport: transport, Region: "us-east-1", MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	s.start(bin)
	return s
}

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
		return "", fmt.Errorf("MinIO is not built (%w); run e2e/minio.sh once, or set MILLRACE_MINIO to its binary", err)
	}
	return path, nil
}

// Start starts a stopped server again, at the same address with the same objects.
func (s *Server) Start() {
	s.t.Helper()
	bin, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	s.start(bin)
}

func (s *Server) start(bin string) {
	s.t.Helper()
	s.output.Reset()
	s.process = exec.Command(bin, "server", "--quiet", "--address", s.address, filepath.Join(s.dir, "objects"))
	s.process.Env = []string{
		"MINIO_ROOT_USER=" + s.AccessKey, "MINIO_ROOT_PASSWORD=" + s.SecretKey,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "HOME=" + s.dir, "PATH=" + os.Getenv("PATH"),
	}
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan struct{})
	process, exited := s.process, s.exited
	go func() { _ = process.Wait(); close(exited) }()
	if err := s.wait(); err != nil {
		s.Stop()
		s.t.Fatalf("%v\n%s", err, s.output.String())
	}
}

// wait asks until the server answers. The health page says yes before the store does.
func (s *Server) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
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

// Bucket creates a bucket.
func (s *Server) Bucket(name string) {
	s.t.Helper()
	if err := s.Client.MakeBucket(context.Background(), name, minio.MakeBucketOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// Objects are the objects of a bucket by key.
func (s *Server) Objects(bucket string) map[string][]byte {
	s.t.Helper()
	return Objects(s.t, s.Client, bucket)
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
