package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// ErrNoMinIO says that the server was not built yet.
var ErrNoMinIO = errors.New("MinIO is not built; run e2e/minio.sh once, or set MILLRACE_MINIO to its binary")

// MinIO is a running S3 server.
type MinIO struct {
	Endpoint             string // http://127.0.0.1:PORT
	AccessKey, SecretKey string
	Client               *minio.Client
	process              *Process
}

// Downloaded is an object that was copied to a local file.
type Downloaded struct {
	Key, Path string
	Bytes     int64
}

// minioBinary finds what e2e/minio.sh built.
func minioBinary() (string, error) {
	path := os.Getenv("MILLRACE_MINIO")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		path = filepath.Join(cache, "millrace", "bin", "minio")
	}
	if _, err := os.Stat(path); err != nil {
		return "", ErrNoMinIO
	}
	return path, nil
}

// StartMinIO starts the server on a loopback address with its objects in dir and waits until it
// answers. Error: ErrNoMinIO.
func StartMinIO(ctx context.Context, dir, address string) (*MinIO, error) {
	bin, err := minioBinary()
	if err != nil {
		return nil, err
	}
	m := &MinIO{Endpoint: "http://" + address, AccessKey: "millrace-test", SecretKey: "millrace-test-secret"}
	m.process, err = Command{
		Path: bin,
		Args: []string{"server", "--quiet", "--address", address, filepath.Join(dir, "objects")},
		Env: []string{
			"MINIO_ROOT_USER=" + m.AccessKey, "MINIO_ROOT_PASSWORD=" + m.SecretKey,
			"MINIO_BROWSER=off", "MINIO_UPDATE=off", "HOME=" + dir,
		},
	}.Start()
	if err != nil {
		return nil, err
	}
	m.Client, err = minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(m.AccessKey, m.SecretKey, "")})
	if err != nil {
		m.process.Kill()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err = Until(ctx, "MinIO at "+address, func() bool { return !m.process.Running() || m.answers(ctx) })
	if err == nil && !m.process.Running() {
		err = errors.New("MinIO ended at once")
	}
	if err != nil {
		exit := m.process.Kill()
		return nil, fmt.Errorf("%w\n%s%s", err, exit.Stdout, exit.Stderr)
	}
	return m, nil
}

// answers asks for the buckets: the health page says yes before the store does.
func (m *MinIO) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.Endpoint+"/minio/health/ready", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false
	}
	_, err = m.Client.ListBuckets(ctx)
	return err == nil
}

// Env is the credentials in the variables that pipeline files name.
func (m *MinIO) Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + m.AccessKey, "AWS_SECRET_ACCESS_KEY=" + m.SecretKey}
}

// Stop ends the server.
func (m *MinIO) Stop() { m.process.Kill() }

// List returns the objects under a prefix, multipart uploads not completed aside.
func (m *MinIO) List(ctx context.Context, bucket, prefix string) ([]Downloaded, error) {
	var all []Downloaded
	for o := range m.Client.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, fmt.Errorf("list %s/%s: %w", bucket, prefix, o.Err)
		}
		all = append(all, Downloaded{Key: o.Key, Bytes: o.Size})
	}
	return all, nil
}

// Download copies all objects under a prefix to files in dir, in the same tree.
func (m *MinIO) Download(ctx context.Context, bucket, prefix, dir string) ([]Downloaded, error) {
	all, err := m.List(ctx, bucket, prefix)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Path = filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(all[i].Key, prefix)))
		if err := m.Client.FGetObject(ctx, bucket, all[i].Key, all[i].Path, minio.GetObjectOptions{}); err != nil {
			return nil, fmt.Errorf("download %s/%s: %w", bucket, all[i].Key, err)
		}
	}
	return all, nil
}
