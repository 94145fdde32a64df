// Package embedded is an S3-compatible server inside the process, for trying Millrace without
// any other software. Objects are plain files in a directory.
//
// The invariant to remember: an object is synced to disk, with its name, before a Put is
// acknowledged, and If-None-Match is honoured, so that what the sink promises holds here too.
// It is demo storage all the same: one directory, one process, no access control worth the name.
package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// Server is a running server.
type Server struct {
	// Endpoint is http://127.0.0.1:PORT; the port is a free one.
	Endpoint string
	// AccessKey is drawn at each start. Requests must name it, which keeps other users of the
	// machine and web pages out; signatures are not verified, so SecretKey may be anything.
	AccessKey, SecretKey string

	backend *backend
	http    *http.Server
	served  chan error
}

// Start serves the objects in dir, which is created if need be, on a free loopback port. Only one
// server may use a directory at a time.
func Start(dir string) (*Server, error) {
	b, err := newBackend(dir)
	if err != nil {
		return nil, fmt.Errorf("embedded storage: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("embedded storage: %w", err)
	}
	s := &Server{
		Endpoint:  "http://" + l.Addr().String(),
		AccessKey: rand.Text(), SecretKey: rand.Text(),
		backend: b, served: make(chan error, 1),
	}
	s.http = &http.Server{Handler: s.guard(gofakes3.New(b).Server()), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.served)
		s.served <- s.http.Serve(l)
	}()
	return s, nil
}

// guard lets requests through that name the access key.
func (s *Server) guard(next http.Handler) http.Handler {
	credential := "Credential=" + s.AccessKey + "/"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), credential) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<Error><Code>InvalidAccessKeyId</Code><Message>The access key is not that of this run.</Message></Error>`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// MakeBucket creates a bucket unless it exists.
func (s *Server) MakeBucket(name string) error {
	err := s.backend.CreateBucket(name)
	if gofakes3.HasErrorCode(err, gofakes3.ErrBucketAlreadyExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("embedded storage: create bucket %q: %w", name, err)
	}
	return nil
}

// Close waits up to five seconds for running requests and ends the server. It may be called again.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if served := <-s.served; served != nil && !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
