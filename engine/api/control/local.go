package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/governor"
)

// recent is the time that Shard.Recent looks back.
const recent = time.Minute

// Local is the Admin of the process that has the backend.
type Local struct {
	backend stream.Backend
	now     func() time.Time

	mu sync.Mutex // guards what follows
	// shared are the streams that the process works with; they are not closed here.
	shared map[string]*stream.Stream
	// owners are the pipelines that alone write to a shared stream.
	owners map[string]string
	// own are those that were opened to be looked at.
	own map[string]*stream.Stream
	// governors are those of own.
	governors map[string]*governor.Governor
}

var _ Admin = (*Local)(nil)

// NewLocal makes an Admin of a backend. shared are the streams that the process has open: they
// are used, and not deleted. Close must follow, before they and the backend are closed.
func NewLocal(b stream.Backend, now func() time.Time, shared ...*stream.Stream) *Local {
	l := &Local{backend: b, now: now, shared: map[string]*stream.Stream{}, owners: map[string]string{}, own: map[string]*stream.Stream{}, governors: map[string]*governor.Governor{}}
	for _, s := range shared {
		l.Share(s, "")
	}
	return l
}

// Share adds a stream that the process works with. owner is the pipeline that alone writes to it, empty for none.
func (l *Local) Share(s *stream.Stream, owner string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shared[s.Name()] = s
	if owner != "" {
		l.owners[s.Name()] = owner
	}
}

// Close closes the streams that were opened to be looked at.
func (l *Local) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for name, s := range l.own {
		errs = append(errs, s.Close())
		delete(l.own, name)
	}
	return errors.Join(errs...)
}

// stream returns an open stream.
func (l *Local) stream(ctx context.Context, name string) (*stream.Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.shared[name]; s != nil {
		return s, nil
	}
	if s := l.own[name]; s != nil {
		return s, nil
	}
	s, err := stream.Attach(ctx, l.backend, name)
	if err == nil {
		l.adopt(s)
		err = l.keep(ctx, s)
	}
	if errors.Is(err, stream.ErrNotFound) {
		err = fmt.Errorf("stream %q: %w; `millrace stream list` shows those that there are", name, stream.ErrNotFound)
	}
	return s, err
}

// keep holds what consumers have not read of a stream that is not shared: they may be of a pipeline
// that does not run now.
func (l *Local) keep(ctx context.Context, s *stream.Stream) error {
	if l.shared[s.Name()] == s {
		return nil
	}
	return l.needs(ctx, s)
}

// Tidy removes what retention lets go of and no hold keeps. Those who run consumers set their
// holds first. A stream that is being opened here is not touched before keep has looked at it.
func (l *Local) Tidy(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, s := range l.own {
		errs = append(errs, l.needs(ctx, s))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	errs = []error{l.backend.Tidy(ctx, l.now())}
	for _, streams := range []map[string]*stream.Stream{l.shared, l.own} {
		for _, s := range streams {
			errs = append(errs, s.Tidy(ctx))
		}
	}
	return errors.Join(errs...)
}

// List implements Streams.
func (l *Local) List(ctx context.Context) ([]Stream, error) {
	names, err := stream.Names(ctx, l.backend)
	if err != nil {
		return nil, fmt.Errorf("list streams: %w", err)
	}
	all := []Stream{}
	for _, name := range names {
		s, err := l.Describe(ctx, name)
		if errors.Is(err, stream.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			// The others are listed nevertheless.
			s = Stream{Name: name, Shards: []Shard{}, Error: err.Error()}
		}
		all = append(all, s)
	}
	return all, nil
}

// Describe implements Streams.
func (l *Local) Describe(ctx context.Context, name string) (Stream, error) {
	s, err := l.stream(ctx, name)
	if err != nil {
		return Stream{}, err
	}
	d := s.Describe()
	out := Stream{
		Name: d.Name, Incarnation: d.Incarnation, Status: d.Status, Created: d.Created,
		RetentionSeconds: int64(max(d.Settings.Retention, 0) / time.Second),
		Settings:         settingsOf(d), Tags: d.Tags, Shards: []Shard{},
	}
	if d.Settings.Encryption != stream.NoEncryption {
		out.Key = d.Settings.KeyID
	}
	for _, sh := range d.Shards {
		log := s.Log(sh.ID)
		if log == nil {
			continue // expired meanwhile
		}
		described, err := l.shard(ctx, sh, log)
		if err != nil {
			return Stream{}, fmt.Errorf("describe %s of stream %q: %w", sh.ID, name, err)
		}
		out.Shards = append(out.Shards, described)
	}
	slices.SortFunc(out.Shards, func(a, b Shard) int { return int(a.ID) - int(b.ID) })
	out.Schema, err = l.schema(ctx, d.Name, d.Incarnation)
	return out, err
}

func (l *Local) shard(ctx context.Context, sh stream.Shard, log stream.Log) (Shard, error) {
	b := log.Bounds()
	out := Shard{
		ID: sh.ID, State: sh.State, Range: sh.Range, Parents: sh.Parents, Created: sh.Created,
		Oldest: b.Oldest, Records: int64(b.Next - b.Oldest), Bytes: b.Bytes,
	}
	since, err := log.Seek(ctx, l.now().Add(-recent))
	out.Recent = max(int64(b.Next-max(since, b.Oldest)), 0)
	return out, err
}

// Create implements Streams.
func (l *Local) Create(ctx context.Context, spec Spec) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	settings := spec.settings()
	settings.KeyID = spec.Key
	s, err := stream.Create(ctx, l.backend, stream.Spec{
		Name: spec.Name, Shards: spec.Shards, Retention: retention(time.Duration(spec.RetentionSeconds) * time.Second), Now: l.now,
		Settings: settings,
	})
	switch {
	case err == nil:
		l.adopt(s)
	case errors.Is(err, stream.ErrExists):
		return fmt.Errorf("stream %q %w; choose another name; `millrace stream describe` shows this one, `settings`, `retention` and `reshard` change it", spec.Name, stream.ErrExists)
	}
	return err
}

// adopt takes a stream that was opened here, and holds it to its limits. l.mu must be held.
func (l *Local) adopt(s *stream.Stream) {
	l.governors[s.Name()] = governor.New(s, governor.Options{Now: l.now})
	l.own[s.Name()] = s
}

// retention is a length of time as package stream has it.
func retention(d time.Duration) time.Duration {
	if d == 0 {
		return stream.Forever
	}
	return d
}

// Delete implements Streams.
func (l *Local) Delete(ctx context.Context, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shared[name] != nil {
		return fmt.Errorf("delete stream %q: %w", name, ErrInUse)
	}
	if s := l.own[name]; s != nil {
		delete(l.own, name)
		delete(l.governors, name)
		if err := s.Close(); err != nil {
			return err
		}
	}
	if err := stream.Delete(ctx, l.backend, name); err != nil {
		return err
	}
	return l.forget(ctx, name)
}

// Split implements Shards.
func (l *Local) Split(ctx context.Context, name string, shard record.ShardID, at *record.HashKey) error {
	return l.change(ctx, name, func(s *stream.Stream) error {
		sh, ok := s.Shard(shard)
		if !ok {
			return fmt.Errorf("split %s of stream %q: %w", shard, name, stream.ErrNotFound)
		}
		middle := sh.Range.Middle()
		if at == nil {
			at = &middle
		}
		return s.Split(ctx, shard, *at)
	})
}

// Merge implements Shards.
func (l *Local) Merge(ctx context.Context, name string, a, b record.ShardID) error {
	return l.change(ctx, name, func(s *stream.Stream) error { return s.Merge(ctx, a, b) })
}

// Reshard implements Shards.
func (l *Local) Reshard(ctx context.Context, name string, n int) error {
	return l.change(ctx, name, func(s *stream.Stream) error { return s.Reshard(ctx, n) })
}

// SetRetention implements Shards.
func (l *Local) SetRetention(ctx context.Context, name string, d time.Duration) error {
	return l.change(ctx, name, func(s *stream.Stream) error { return s.SetRetention(ctx, retention(d)) })
}

// Configure implements Shards.
func (l *Local) Configure(ctx context.Context, name string, settings Settings) error {
	return l.change(ctx, name, func(s *stream.Stream) error { return s.Configure(ctx, settings.settings()) })
}

// Encrypt implements Encryption.
func (l *Local) Encrypt(ctx context.Context, name, key string) error {
	return l.change(ctx, name, func(s *stream.Stream) error { return s.Encrypt(ctx, key) })
}

// Decrypt implements Encryption.
func (l *Local) Decrypt(ctx context.Context, name string) error {
	return l.change(ctx, name, func(s *stream.Stream) error { return s.Decrypt(ctx) })
}

// Rewrap implements Encryption.
func (l *Local) Rewrap(ctx context.Context, name string) (segments int, err error) {
	err = l.change(ctx, name, func(s *stream.Stream) error {
		segments, err = s.Rewrap(ctx)
		return err
	})
	return segments, err
}

// change changes a stream, and keeps what its new shards hold.
func (l *Local) change(ctx context.Context, name string, change func(*stream.Stream) error) error {
	s, err := l.stream(ctx, name)
	if err != nil {
		return err
	}
	return errors.Join(change(s), l.keep(ctx, s))
}
