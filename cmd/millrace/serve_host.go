package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/api/users"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/pipelines"
)

const (
	// tendEvery is how often shards follow their load, and every so many times what expired is removed.
	tendEvery = 5 * time.Second
	tidyEvery = 6
)

// host is the process's data directory, with the pipelines that run in it.
type host struct {
	directory *pipelines.Directory
	runs      []*pipelines.Run
	// users are those of the files.
	users []users.Fixed
	// halt is closed to end the pipelines.
	halt chan struct{}
}

// open opens the data directory and what the files need in it. It gives up when stop is closed.
func (c *serveCommand) open(ctx context.Context, a *app, stop <-chan struct{}) (*host, error) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	})
	h := &host{halt: make(chan struct{})}
	options := pipelines.Options{Data: c.Data, Serve: true, Stop: h.halt, Stdout: a.stdout, Log: a.log, Now: time.Now}
	list, err := c.load(ctx, a, options)
	if err != nil {
		return nil, err
	}
	memory := int64(requestMemory)
	for _, p := range list {
		h.users = append(h.users, p.Users...)
	}
	// A file of users has nothing to run.
	list = slices.DeleteFunc(list, func(p *pipelines.Pipeline) bool { return len(p.Streams) == 0 })
	for _, p := range list {
		memory += int64(p.Memory)
	}
	debug.SetMemoryLimit(max(memory, 2*requestMemory))
	if h.directory, err = pipelines.OpenDirectory(ctx, options); err != nil {
		var locked *disk.LockedError
		if errors.As(err, &locked) {
			err = usageError{fmt.Errorf("%w; stop it, or give its pipeline file to `millrace serve`", err)}
		}
		return nil, err
	}
	for _, p := range list {
		r, err := h.directory.Open(ctx, p, options)
		if err != nil {
			return nil, errors.Join(err, h.directory.Close())
		}
		h.runs = append(h.runs, r)
	}
	h.directory.Serve()
	return h, nil
}

// load reads the files. A schema that records decide on is looked for one after the other, for each opens the directory.
func (c *serveCommand) load(ctx context.Context, a *app, options pipelines.Options) (list []*pipelines.Pipeline, err error) {
	load := loadOptions()
	load.Written, load.UsersAlone = true, true
	for _, file := range c.Files {
		p, err := loaded(a)(pipelines.Resolve(ctx, file, components(), pipelines.ResolveOptions{
			Load: load, Run: options, Say: func(text string) { fmt.Fprintln(a.stderr, text) },
		}))
		if err != nil {
			return nil, err
		}
		for _, s := range p.Sources {
			if s.Component.AnyStream {
				return nil, usageError{fmt.Errorf("%s: source %q opens the API itself, and one is enough for all streams; run the file with `millrace run`, or remove the source", file, s.Name)}
			}
		}
		list = append(list, p)
	}
	if err := pipelines.Together(list); err != nil {
		return nil, usageError{err}
	}
	return list, nil
}

// run runs the pipelines next to the API until stop is closed or one of them fails. The API closes first.
func (h *host) run(ctx context.Context, stop <-chan struct{}, log *slog.Logger, serve func(stop <-chan struct{}) error) error {
	tending, cancel := context.WithCancel(ctx)
	defer cancel()
	shut := make(chan struct{})
	failed := make(chan error, len(h.runs))
	ended := make(chan struct{})
	var all, doorkeeper sync.WaitGroup
	all.Go(func() { h.tend(tending, log) })
	for _, r := range h.runs {
		all.Go(func() { failed <- r.Wait(ctx) })
	}
	var errs []error
	doorkeeper.Go(func() {
		defer close(shut)
		for {
			select {
			case <-stop:
				return
			case <-ended:
				return
			case err := <-failed:
				// One that ends by itself has delivered all that there will be.
				if err != nil {
					errs = append(errs, err)
					return
				}
			}
		}
	})
	err := serve(shut)
	close(ended)
	doorkeeper.Wait()
	close(h.halt)
	cancel()
	all.Wait()
	close(failed)
	for more := range failed {
		errs = append(errs, more)
	}
	return errors.Join(append(errs, err, ctx.Err())...)
}

// tend lets shards follow their load and removes what retention lets go of.
func (h *host) tend(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := h.directory.Streams().Look(ctx); err != nil && ctx.Err() == nil {
			log.Warn("shards do not follow the load; it is tried again", "error", err)
		}
		if n%tidyEvery != 0 {
			continue
		}
		if err := h.directory.Tidy(ctx); err != nil && ctx.Err() == nil {
			log.Warn("removing expired records", "error", err)
		}
	}
}
