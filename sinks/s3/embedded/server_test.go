package embedded

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server with a bucket "lake".
func serve(t *testing.T, dir string) (*Server, *minio.Client) {
	t.Helper()
	s, err := Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.MakeBucket("lake"); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: "us-east-1", Transport: transport, MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func put(ctx context.Context, c *minio.Client, key, text string, create bool) error {
	opts := minio.PutObjectOptions{DisableContentSha256: true, UserMetadata: map[string]string{"says": text}}
	if create {
		opts.SetMatchETagExcept("*")
	}
	_, err := c.PutObject(ctx, "lake", key, strings.NewReader(text), int64(len(text)), opts)
	return err
}

func TestObjectsArePlainFilesThatSurviveTheServer(t *testing.T) {
	dir := t.TempDir()
	s, c := serve(t, dir)
	if err := put(t.Context(), c, "a/b=1/c.txt", "hello", true); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "lake", "a", "b=1", "c.txt")); string(text) != "hello" || err != nil {
		t.Errorf("%q %v", text, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, c = serve(t, dir)
	info, err := c.StatObject(t.Context(), "lake", "a/b=1/c.txt", minio.StatObjectOptions{})
	if err != nil || info.Size != 5 || info.UserMetadata["Says"] != "hello" {
		t.Errorf("%+v %v", info, err)
	}
	if err := put(t.Context(), c, "a/b=1/c.txt", "other", true); minio.ToErrorResponse(err).Code != "PreconditionFailed" {
		t.Errorf("created twice: %v", err)
	}
	opts := minio.GetObjectOptions{}
	if err := opts.SetRange(1, 3); err != nil {
		t.Fatal(err)
	}
	o, err := c.GetObject(t.Context(), "lake", "a/b=1/c.txt", opts)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if text, err := io.ReadAll(o); string(text) != "ell" || err != nil {
		t.Errorf("range: %q %v", text, err)
	}
}

func TestOneOfManyCreatesAnObject(t *testing.T) {
	_, c := serve(t, t.TempDir())
	for round := range 5 {
		key := fmt.Sprint("round-", round)
		var created atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				err := put(t.Context(), c, key, fmt.Sprint("from ", i), true)
				switch {
				case err == nil:
					created.Add(1)
				case minio.ToErrorResponse(err).Code != "PreconditionFailed":
					t.Error(err)
				}
			})
		}
		wg.Wait()
		info, err := c.StatObject(t.Context(), "lake", key, minio.StatObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		o, err := c.GetObject(t.Context(), "lake", key, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(o)
		if err != nil {
			t.Fatal(err)
		}
		o.Close()
		if created.Load() != 1 || string(text) != info.UserMetadata["Says"] {
			t.Errorf("%d created it; it holds %q and says %q", created.Load(), text, info.UserMetadata["Says"])
		}
	}
}

func TestListingIsInTheOrderOfKeysAndPaged(t *testing.T) {
	_, c := serve(t, t.TempDir())
	keys := []string{"a-b", "a/b", "a/c/d", "b"}
	for _, k := range keys {
		if err := put(t.Context(), c, k, k, true); err != nil {
			t.Fatal(err)
		}
	}
	list := func(o minio.ListObjectsOptions) (got []string) {
		for info := range c.ListObjectsIter(t.Context(), "lake", o) {
			if info.Err != nil {
				t.Fatal(info.Err)
			}
			got = append(got, info.Key)
		}
		return got
	}
	if d := cmp.Diff(keys, list(minio.ListObjectsOptions{Recursive: true, MaxKeys: 2})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a/b", "a/c/"}, list(minio.ListObjectsOptions{Prefix: "a/"})); d != "" {
		t.Error(d)
	}
	if err := c.RemoveObject(t.Context(), "lake", "a/b", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := list(minio.ListObjectsOptions{Recursive: true}); slices.Contains(got, "a/b") || len(got) != 3 {
		t.Errorf("%v", got)
	}
}

func TestNothingOutsideTheBucketsIsReached(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := serve(t, filepath.Join(root, "s3"))
	for _, path := range []string{
		"/..", "/../secret", "/lake/../../secret", "/lake/%2e%2e/%2e%2e/secret", "/%2e%2e/secret", "/.millrace/metadata",
		"/lake/a//b", "/lake/..%2f..%2fsecret", "/lake/a%00b",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
			status := raw(t, s, method, path)
			if status < 400 && !(method == http.MethodDelete && status == http.StatusNoContent) {
				t.Errorf("%s %s: %d", method, path, status)
			}
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, "secret")); string(text) != "x" || err != nil {
		t.Errorf("the file beside the store: %q %v", text, err)
	}
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != 2 {
		t.Errorf("beside the store: %v %v", entries, err)
	}
}

// raw sends a request as it is; a client would clean the path.
func raw(t *testing.T, s *Server, method, path string) int {
	t.Helper()
	req, err := http.NewRequest(method, s.Endpoint, bytes.NewReader([]byte("y")))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = path
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+s.AccessKey+"/x")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestStrangersAreTurnedAway(t *testing.T) {
	s, _ := serve(t, t.TempDir())
	other := *s
	other.AccessKey = "somebody"
	if status := raw(t, &other, http.MethodGet, "/lake"); status != http.StatusForbidden {
		t.Errorf("status %d", status)
	}
}

func TestPoolEndsTheServerWithItsLastUser(t *testing.T) {
	var p Pool
	dir := t.TempDir()
	a, releaseA, err := p.Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, releaseB, err := p.Acquire(dir)
	if err != nil || a != b {
		t.Fatal(a, b, err)
	}
	if err := releaseA(); err != nil {
		t.Fatal(err)
	}
	if status := raw(t, a, http.MethodGet, "/"); status != http.StatusOK {
		t.Errorf("status %d while in use", status)
	}
	if err := releaseB(); err != nil {
		t.Fatal(err)
	}
	c, releaseC, err := p.Acquire(dir)
	if err != nil || c == a {
		t.Fatal(c == a, err)
	}
	if err := releaseC(); err != nil {
		t.Fatal(err)
	}
}
