package http

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/sources"
)

// grace is how long running requests get when the source is stopped.
const grace = 10 * time.Second

type source struct {
	cfg Config
	env sources.Env
}

// Bounded is sources.Source.
func (s *source) Bounded() bool { return false }

// Run is sources.Source.
func (s *source) Run(ctx context.Context, w sources.Writer) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: the port is taken; stop what uses it or set another listen address", s.cfg.Listen)
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err // a *net.OpError names the address
	}
	return s.serve(ctx, l, w)
}

// serve answers until ctx is done, and then finishes the requests it has.
func (s *source) serve(ctx context.Context, l net.Listener, w sources.Writer) error {
	h := newHandler(s.cfg, s.env, w)
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: s.cfg.Timeout.Std(),
		ReadTimeout:       s.cfg.Timeout.Std(),
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.env.Log.Handler(), slog.LevelDebug),
	}
	s.env.Log.Info("taking records by POST", "url", "http://"+l.Addr().String()+s.cfg.Path)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("serve on %s: %w", l.Addr(), err), server.Close())
	case <-ctx.Done():
	}
	h.stopping.Store(true)
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := server.Shutdown(limit)
	if err != nil {
		s.env.Log.Warn("requests were cut off", "after", grace)
		err = server.Close()
	}
	<-failed
	h.running.Wait()
	return err
}
