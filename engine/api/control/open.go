package control

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine/stream"
)

// Open returns the stream that the process works with. It stays open, and nobody else closes it.
// Error: stream.ErrNotFound.
func (l *Local) Open(ctx context.Context, name string) (*stream.Stream, error) {
	return l.stream(ctx, name)
}

// Names are those of all streams, sorted.
func (l *Local) Names(ctx context.Context) ([]string, error) { return stream.Names(ctx, l.backend) }

// New is Create for a spec with all that a stream can have.
func (l *Local) New(ctx context.Context, spec stream.Spec) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	spec.Now = l.now
	s, err := stream.Create(ctx, l.backend, spec)
	if err == nil {
		l.adopt(s)
	}
	return err
}

// Owner is the pipeline that alone writes to a stream, for its queries' results and its dead letters; empty for a
// stream that others write to.
func (l *Local) Owner(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owners[name]
}

// Change changes a stream, and keeps what consumers need of its new shards.
func (l *Local) Change(ctx context.Context, name string, change func(*stream.Stream) error) error {
	return l.change(ctx, name, change)
}

// Meta holds the documents of the directory.
func (l *Local) Meta() stream.Meta { return l.backend.Meta() }

// Look lets the shards of streams in mode on_demand follow their load. Whoever has the directory calls it
// every few seconds, from one goroutine. Streams that are shared are looked at by those who share them.
func (l *Local) Look(ctx context.Context) error {
	l.mu.Lock()
	names := make([]string, 0, len(l.governors))
	for name := range l.governors {
		names = append(names, name)
	}
	l.mu.Unlock()
	var errs []error
	for _, name := range names {
		l.mu.Lock()
		g := l.governors[name]
		l.mu.Unlock()
		if g == nil {
			continue // deleted meanwhile
		}
		if err := g.Look(ctx); err != nil && !errors.Is(err, stream.ErrNotFound) {
			errs = append(errs, fmt.Errorf("shards of stream %q: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
