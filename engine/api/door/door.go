// Package door is the listener in front of the APIs: HTTP/1.1 and HTTP/2 on one port.
//
// The invariant to remember: whoever connects costs a bounded amount. Connections that say nothing are the first to
// go when there are too many, and a request has to arrive within a time.
package door

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// Limits of the server, so that clients that are slow, idle or many cost little.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = time.Minute
	idleTimeout    = 2 * time.Minute
	maxHeaders     = 32 << 10
	maxStreams     = 250 // requests at once on one connection of HTTP/2
	// maxConnections are open at once, unless the process may not have that many files.
	maxConnections = 4096
	// patience is how long requests under way may go on after a stop.
	patience = 10 * time.Second
)

// Options of a door. The zero value has the defaults.
type Options struct {
	// Connections that are open at once: 4096, or half of the files that the process may open.
	Connections int
	// Drain is called when the door is asked to close; it ends what would go on for long, such as subscriptions.
	Drain func()
	// Log gets what goes wrong with connections, on level debug; nil means nobody does.
	Log *slog.Logger
}

// Listen opens an address. The error of one that is taken says so.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: the port is taken; stop what uses it or choose another address", address)
	}
	return l, err // a *net.OpError names the address
}

// IsLoopback reports whether nobody but this machine reaches an address such as 127.0.0.1:4567.
func IsLoopback(address string) (bool, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false, fmt.Errorf("%q is no address; write HOST:PORT, as in 127.0.0.1:4567", address)
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback(), nil
}

// Serve answers on l until stop is closed, then finishes the requests it has and closes l. When ctx is done it ends at
// once. No request is being answered once it returned.
func Serve(ctx context.Context, stop <-chan struct{}, l net.Listener, handler http.Handler, o Options) error {
	requests, cancel := context.WithCancel(ctx)
	defer cancel()
	inside := &inside{handler: handler}
	server := newServer(requests, inside, o)
	failed := make(chan error, 1)
	var serving sync.WaitGroup
	serving.Go(func() { failed <- server.Serve(l) })
	defer serving.Wait()
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-stop:
		err = drain(ctx, server, o)
	case <-ctx.Done():
	}
	cancel()
	err = errors.Join(err, server.Close())
	inside.leave()
	return err
}

// inside are the requests that are being answered.
type inside struct {
	handler http.Handler

	mu      sync.RWMutex // held for reading by each of them
	stopped bool         // guarded by mu
}

// ServeHTTP implements http.Handler.
func (i *inside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if i.stopped {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	i.handler.ServeHTTP(w, r)
}

// leave waits until all are answered, and lets no other begin.
func (i *inside) leave() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stopped = true
}

// drain lets requests under way end by themselves for a while.
func drain(ctx context.Context, server *http.Server, o Options) error {
	if o.Drain != nil {
		o.Drain()
	}
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := server.Shutdown(limit)
	if limit.Err() != nil {
		if ctx.Err() == nil {
			o.log().Warn("requests were cut off", "after", patience)
		}
		return nil
	}
	return err
}

func (o Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// newServer speaks HTTP/2 too, with and without TLS.
func newServer(ctx context.Context, handler http.Handler, o Options) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	if o.Connections == 0 {
		o.Connections = affordable(maxConnections)
	}
	c := &crowd{most: o.Connections, quiet: map[net.Conn]*list.Element{}}
	s := &http.Server{
		Handler: handler, Protocols: &protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaders, ErrorLog: slog.NewLogLogger(o.log().Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState:   c.changed,
	}
	// Those that have not asked for anything would be waited for.
	s.RegisterOnShutdown(c.dismiss)
	return s
}
