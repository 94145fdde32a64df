package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/pipelines"
)

// A data directory that another command uses is free again soon.
const (
	patience  = 3 * time.Second
	openEvery = 50 * time.Millisecond
)

// openOptions say how a session begins.
type openOptions struct {
	data string
	log  *slog.Logger
	// create makes the data directory if it is not there.
	create bool
	// serve lets other commands work on the directory meanwhile, because this one takes long.
	serve bool
	// abrupt lets a signal end the process at once, because it may be waiting for input.
	abrupt bool
}

// session is an Admin of a data directory: of the process that has it, or of this one.
type session struct {
	control.Admin
	o     openOptions
	close func() error
}

// Close lets go of the directory.
func (s *session) Close() error { return s.close() }

// openSession opens the directory, or asks the process that has it.
func openSession(ctx context.Context, o openOptions) (*session, error) {
	if _, err := os.Stat(o.data); errors.Is(err, fs.ErrNotExist) && !o.create {
		return nil, usageError{fmt.Errorf("data directory %s does not exist; `millrace stream create NAME` makes one, --data DIR names another", o.data)}
	}
	s := &session{o: o}
	return s, s.open(ctx)
}

// Describe implements control.Streams. It can be asked again of whoever has the directory next.
func (s *session) Describe(ctx context.Context, name string) (control.Stream, error) {
	return again(ctx, s, func() (control.Stream, error) { return s.Admin.Describe(ctx, name) })
}

// List implements control.Streams, like Describe.
func (s *session) List(ctx context.Context) ([]control.Stream, error) {
	return again(ctx, s, func() ([]control.Stream, error) { return s.Admin.List(ctx) })
}

// Consumers implements control.Streams, like Describe.
func (s *session) Consumers(ctx context.Context, name string) ([]control.Consumer, error) {
	return again(ctx, s, func() ([]control.Consumer, error) { return s.Admin.Consumers(ctx, name) })
}

// Read implements control.Records, like Describe.
func (s *session) Read(ctx context.Context, r control.ReadRequest) (control.Page, error) {
	return unthrottled(ctx, func() (control.Page, error) {
		return again(ctx, s, func() (control.Page, error) { return s.Admin.Read(ctx, r) })
	})
}

// Put implements control.Records. It waits for the limits of the stream.
func (s *session) Put(ctx context.Context, name string, records []control.Record) ([]control.Placed, error) {
	return unthrottled(ctx, func() ([]control.Placed, error) { return s.Admin.Put(ctx, name, records) })
}

// unthrottled asks again as long as the limits of a stream refuse, each time after as long as they
// say. What they refuse was not done.
func unthrottled[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for {
		answer, err := ask()
		var limit *capacity.ThrottledError
		if !errors.As(err, &limit) {
			return answer, err
		}
		retry := time.NewTimer(max(limit.RetryAfter, time.Millisecond))
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			return answer, err
		}
	}
}

// again asks until there is an answer, also when the process that was asked goes away. It is for what
// changes nothing.
func again[T any](ctx context.Context, s *session, ask func() (T, error)) (T, error) {
	for {
		answer, err := ask()
		if !errors.Is(err, control.ErrUnreachable) || ctx.Err() != nil {
			return answer, err
		}
		if err := s.reopen(ctx); err != nil {
			return answer, err
		}
	}
}

// reopen is for when the process that was asked went away.
func (s *session) reopen(ctx context.Context) error {
	if err := s.close(); err != nil {
		return err
	}
	return s.open(ctx)
}

// open tries until the directory can be had or asked: a process may be about to end, or to serve.
func (s *session) open(ctx context.Context) error {
	s.close = func() error { return nil }
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		var locked *disk.LockedError
		err := s.local()
		if !errors.As(err, &locked) {
			return err
		}
		client, err := control.Dial(ctx, s.o.data)
		if err == nil {
			s.Admin, s.close = client, client.Close
			return nil
		}
		retry := time.NewTimer(openEvery)
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			return ctx.Err()
		case <-timeout.C:
			retry.Stop()
			return fmt.Errorf("%w, which cannot be asked (%w); stop it, or try again when it has ended", locked, err)
		}
	}
}

// local opens the directory.
func (s *session) local() error {
	backend, err := disk.Open(vfs.OS{}, s.o.data, disk.Options{Log: s.o.log, Keys: pipelines.Keyring})
	if err != nil {
		return err
	}
	local := control.NewLocal(backend, time.Now)
	s.Admin = local
	s.close = func() error { return errors.Join(local.Tidy(context.Background()), local.Close(), backend.Close()) }
	if !s.o.serve {
		return nil
	}
	server, err := control.Serve(s.o.data, local, s.o.log)
	if err != nil {
		s.o.log.Warn("other commands have to wait for this one", "error", err)
		return nil
	}
	release := s.close
	s.close = func() error { return errors.Join(server.Close(), release()) }
	return nil
}

// mistake marks errors that are the caller's, for the exit code.
func mistake(err error) error {
	for _, target := range []error{stream.ErrInvalid, stream.ErrNotFound, stream.ErrExists, stream.ErrKey, control.ErrInUse} {
		if errors.Is(err, target) {
			return usageError{err}
		}
	}
	return err
}
