// Package serve is the HTTP server of sinks that are asked for what they hold, instead of bringing it
// somewhere.
//
// The invariant to remember: rows leave the machine only if the file says so. Without a token a server
// on a loopback address answers requests that name one, so that no web page can read it under a name
// of its own; any other address needs a token or insecure: true.
package serve

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sinks"
)

// Config is the keys of a sink that listens.
type Config struct {
	// Listen is the address and port to listen on. Other machines reach it only if it is not a
	// loopback address; then token or insecure must be set.
	Listen string `yaml:"listen"`
	// Token that clients must send, as in "Authorization: Bearer TOKEN".
	Token config.Secret `yaml:"token"`
	// Insecure lets everybody who reaches the address read.
	Insecure bool `yaml:"insecure"`
}

// Validate implements config.Validator. No address is no mistake here.
func (c *Config) Validate() []config.Problem {
	if c.Listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n > 65535 {
		return []config.Problem{config.Problemf("listen", "%q is no address; write host:port, as in 127.0.0.1:8080", c.Listen)}
	}
	if !Loopback(host) && c.Token.Empty() && !c.Insecure {
		return []config.Problem{config.Problemf("listen", "%s can be reached from other machines; set token, or insecure: true if everybody may read", c.Listen)}
	}
	return nil
}

// Loopback reports whether a host, without its port, is this machine's own.
func Loopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// grace is how long running requests get when a server closes.
const grace = 2 * time.Second

// Server answers requests from Open to Close.
type Server struct {
	server *http.Server
	addr   net.Addr
	done   chan struct{}
	// stop ends the requests that go on for ever: see Stopping.
	stop    chan struct{}
	closing sync.Once
	err     error
}

// stopKey finds the channel of Stopping in a request's context.
type stopKey struct{}

// Stopping is closed when the server of a request is asked to end.
func Stopping(r *http.Request) <-chan struct{} {
	c, _ := r.Context().Value(stopKey{}).(chan struct{})
	return c
}

// Open listens and answers with h the requests that the configuration lets in. Close must follow.
func Open(ctx context.Context, c Config, h http.Handler, log *slog.Logger) (*Server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: the port is taken; stop what uses it or set another listen address", c.Listen)
	}
	if err != nil {
		return nil, err // a *net.OpError names the address
	}
	stop := make(chan struct{})
	s := &Server{addr: l.Addr(), done: make(chan struct{}), stop: stop, server: &http.Server{
		Handler:           guard(c, h),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(context.Background(), stopKey{}, stop) },
	}}
	go func() {
		defer close(s.done)
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("server stopped", "address", s.addr, "error", err)
		}
	}()
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.addr.String() }

// Close ends the server and waits for it. It may be called several times.
func (s *Server) Close() error {
	s.closing.Do(func() {
		close(s.stop)
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		if s.err = s.server.Shutdown(ctx); errors.Is(s.err, context.DeadlineExceeded) {
			s.err = s.server.Close()
		}
		<-s.done
	})
	return s.err
}

// guard answers those who may not read.
func guard(c Config, next http.Handler) http.Handler {
	host, _, _ := net.SplitHostPort(c.Listen)
	local := Loopback(host)
	want := sha256.Sum256([]byte(c.Token.Reveal()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.Token.Empty() {
			scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			got := sha256.Sum256([]byte(token))
			if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
				w.Header().Set("WWW-Authenticate", "Bearer")
				http.Error(w, "send the token: Authorization: Bearer TOKEN", http.StatusUnauthorized)
				return
			}
		} else if local && !c.Insecure && !Loopback(hostOf(r)) {
			http.Error(w, "ask for a loopback address or localhost", http.StatusForbidden)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// hostOf is the host that a request names, without the port.
func hostOf(r *http.Request) string {
	if h, _, err := net.SplitHostPort(r.Host); err == nil {
		return h
	}
	return r.Host
}

// Claims are those of an address: two sinks cannot listen on one.
func Claims(listen string) []sinks.Claim {
	if listen == "" || strings.HasSuffix(listen, ":0") {
		return nil
	}
	return []sinks.Claim{{Path: "listen", What: "address " + listen}}
}
