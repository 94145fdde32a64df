// Package cert has the certificates of a server: its own, read from files again when they change, one that it
// signs itself, and those by which it knows its clients.
//
// The invariant to remember: a private key is readable by its owner only, and never leaves its file.
package cert

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// Files are what a server's TLS is made of, in PEM.
type Files struct {
	// Certificate with those that signed it behind it, and Key, its private key.
	Certificate, Key string
	// ClientCA are the certificates that sign those of clients, who must then show one; empty asks for none.
	ClientCA string
}

// lookEvery is how often files are looked at, while clients connect.
const lookEvery = time.Second

// Server gives connections the certificates that the files hold now. Its methods may be called from any goroutine.
type Server struct {
	files Files
	now   func() time.Time
	log   *slog.Logger

	mu     sync.Mutex // guards what follows
	looked time.Time
	stamp  string
	config *tls.Config
}

// Open reads the files. When they change later, new connections get what is in them; while they cannot be read,
// what was there before, and the log says so.
func Open(files Files, now func() time.Time, log *slog.Logger) (*Server, error) {
	s := &Server{files: files, now: now, log: log, looked: now(), stamp: files.stamp()}
	var err error
	s.config, err = files.load()
	return s, err
}

// Config is for a listener of HTTP/1.1 and HTTP/2.
func (s *Server) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols(),
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current(), nil },
		// It is never used: http.Server wants to see one.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &s.current().Certificates[0], nil },
	}
}

func protocols() []string { return []string{"h2", "http/1.1"} }

// current is the configuration for a new connection.
func (s *Server) current() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if now.Sub(s.looked).Abs() < lookEvery {
		return s.config
	}
	s.looked = now
	stamp := s.files.stamp()
	if stamp == s.stamp {
		return s.config
	}
	config, err := s.files.load()
	if err != nil {
		// Half written, perhaps: the stamp stays, so that it is tried again.
		s.log.Error("the certificate files changed and cannot be used; the former ones are", "error", err)
		return s.config
	}
	s.config, s.stamp = config, stamp
	s.log.Info("certificates were read again", "certificate", s.files.Certificate)
	return s.config
}

// Fingerprint is the SHA-256 of the certificate in use, in hexadecimal with colons, as browsers and openssl show it.
func (s *Server) Fingerprint() string {
	sum := sha256.Sum256(s.current().Certificates[0].Certificate[0])
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return strings.Join(pairs, ":")
}

// stamp changes when a file does.
func (f Files) stamp() string {
	var b strings.Builder
	for _, name := range []string{f.Certificate, f.Key, f.ClientCA} {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(&b, "%d.%d/", info.ModTime().UnixNano(), info.Size())
		}
	}
	return b.String()
}

// load reads the files.
func (f Files) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s with key %s: %w", f.Certificate, f.Key, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols(), Certificates: []tls.Certificate{pair}}
	if f.ClientCA == "" {
		return c, nil
	}
	text, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("read certificates of client authorities: %w", err)
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read certificates of client authorities: %w", errors.New(f.ClientCA+" holds none in PEM"))
	}
	return c, nil
}
