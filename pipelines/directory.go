package pipelines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/checkpoint"
	streams "github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sources"
)

// Directory is an open data directory: pipelines run in it, and others work on its streams meanwhile.
type Directory struct {
	o       Options
	backend *disk.Backend
	local   *control.Local
	server  *control.Server

	mu   sync.Mutex // guards runs
	runs []*Run
}

// OpenDirectory opens the data directory that the options name. Close must follow.
func OpenDirectory(ctx context.Context, o Options) (*Directory, error) {
	backend, err := openData(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Directory{o: o, backend: backend, local: control.NewLocal(backend, o.Now)}, nil
}

// Open opens everything that a pipeline needs in the directory, and starts nothing. Pipelines of one directory are
// opened before the first of them runs, and share neither names nor streams.
func (d *Directory) Open(ctx context.Context, p *Pipeline, o Options) (*Run, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, other := range d.runs {
		if err := collide(other.pipeline, p); err != nil {
			return nil, err
		}
	}
	if len(d.runs) == 0 {
		// Nobody else can be alive, so the leases of a process that was killed are free.
		err := untilRoom(ctx, o, func() error {
			_, err := checkpoint.Vacate(ctx, d.backend.Meta())
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	r := newRun(d, p, o)
	if err := r.build(ctx); err != nil {
		return nil, errors.Join(err, r.closeStreams())
	}
	d.share(r)
	d.runs = append(d.runs, r)
	return r, nil
}

// claimed is what a source or sink of a pipeline wants for itself.
type claimed struct{ by, what string }

// claims are those of all sources and sinks.
func (p *Pipeline) claims() (all []claimed) {
	for _, s := range p.Sources {
		for _, c := range sourceClaims(s.Config) {
			all = append(all, claimed{fmt.Sprintf("source %q", s.Name), c.What})
		}
	}
	for _, s := range p.Sinks {
		for _, c := range sinkClaims(s.Config) {
			all = append(all, claimed{fmt.Sprintf("sink %q", s.Name), c.What})
		}
	}
	return all
}

func sourceClaims(cfg any) []sources.Claim {
	if c, ok := cfg.(sources.Claimer); ok {
		return c.Claims()
	}
	return nil
}

func sinkClaims(cfg any) []sinks.Claim {
	if c, ok := cfg.(sinks.Claimer); ok {
		return c.Claims()
	}
	return nil
}

// Together reports what two of several pipelines both want for themselves.
func Together(list []*Pipeline) error {
	var errs []error
	for i, p := range list {
		for _, other := range list[:i] {
			errs = append(errs, collide(other, p))
		}
	}
	return errors.Join(errs...)
}

// collide tells what two pipelines both want for themselves.
func collide(a, b *Pipeline) error {
	if a.Name == b.Name {
		return fmt.Errorf("%s and %s are both named %q, and positions are kept by name; add another name: to one of them", a.File, b.File, a.Name)
	}
	for _, s := range b.Streams {
		if a.stream(s.Name) != nil {
			return fmt.Errorf("%s and %s both declare the stream %q; keep it in one of them, with all that reads it", a.File, b.File, s.Name)
		}
	}
	for _, x := range b.claims() {
		for _, y := range a.claims() {
			if x.what == y.what {
				return fmt.Errorf("%s of %s and %s of %s both want the %s; choose another one", y.by, a.File, x.by, b.File, x.what)
			}
		}
	}
	return nil
}

// Serve lets `millrace stream` work on the directory meanwhile. Where the file system has no sockets, it has to wait.
func (d *Directory) Serve() {
	server, err := control.Serve(d.o.Data, d.local, d.o.Log)
	if err != nil {
		d.o.Log.Warn("`millrace stream` has to wait until this process ends", "error", err)
		return
	}
	d.server = server
}

// Streams are all of the directory, for those who serve them to others.
func (d *Directory) Streams() *control.Local { return d.local }

// Tidy removes what retention lets go of and no consumer needs.
func (d *Directory) Tidy(ctx context.Context) error {
	d.mu.Lock()
	runs := slices.Clone(d.runs)
	d.mu.Unlock()
	for _, r := range runs {
		for _, f := range r.feeds {
			f.holdAll()
		}
	}
	return d.local.Tidy(ctx)
}

// share makes the streams of a run those that others work on.
func (d *Directory) share(r *Run) {
	declared := map[*streams.Stream]bool{}
	for _, s := range r.pipeline.Streams {
		declared[r.feeds[s.Name].stream] = true
	}
	for _, f := range r.feeds {
		if declared[f.stream] {
			d.local.Share(f.stream, "")
			continue
		}
		d.local.Share(f.stream, r.pipeline.Name)
	}
}

// Close lets go of the directory. Its runs have ended.
func (d *Directory) Close() error {
	var errs []error
	if d.server != nil {
		errs = append(errs, d.server.Close())
	}
	errs = append(errs, d.local.Close())
	for _, r := range d.runs {
		errs = append(errs, r.closeStreams())
	}
	return errors.Join(append(errs, d.backend.Close())...)
}
