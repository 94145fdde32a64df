package pipelines

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/api/users"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/sources"
)

// sourceRun is a source at work.
type sourceRun struct {
	spec   *Source
	source sources.Source
	// feeds are what it writes to: one, or with clients who name the stream all that the file declares.
	feeds   []*feed
	writer  counter
	ended   atomic.Bool
	skipped atomic.Bool
	// rejected counts pieces of input that could not become records.
	rejected atomic.Int64

	mu  sync.Mutex
	now SourceStatus
}

// openSources makes the sources and announces them to their streams. With Drain, those without
// an end are left out.
func (r *Run) openSources() error {
	for i := range r.pipeline.Sources {
		spec := r.pipeline.Sources[i]
		s := &sourceRun{spec: spec}
		s.now = SourceStatus{Name: spec.Name, Type: spec.Component.Type, To: spec.To, State: "running"}
		s.writer.written.Store(spec.gathered.Written)
		s.rejected.Store(spec.gathered.Rejected)
		s.aim(r)
		source, err := spec.Component.Open(spec.Config, r.sourceEnv(s))
		if err != nil {
			return fmt.Errorf("source %q: %w", spec.Name, err)
		}
		if g, ok := source.(guarded); ok {
			g.Guard(r.o.Data, r.pipeline.Users)
		}
		s.source = source
		r.sources = append(r.sources, s)
		if r.o.Drain && !source.Bounded() {
			s.skipped.Store(true)
			s.ended.Store(true)
			s.now.State = "done"
			continue
		}
		for _, f := range s.feeds {
			f.join()
		}
	}
	return nil
}

// guarded is a source that lets in users: those of the file and those of the data directory.
type guarded interface {
	Guard(data string, declared []users.Fixed)
}

// anyStream is what a status says of a source whose clients name the stream.
const anyStream = "*"

// aim finds what a source writes to.
func (s *sourceRun) aim(r *Run) {
	if !s.spec.Component.AnyStream {
		s.feeds = []*feed{r.feeds[s.spec.To]}
		s.writer.Stream, s.writer.fault = s.feeds[0].stream, s.fault
		return
	}
	s.now.To = anyStream
	for _, x := range r.pipeline.Streams {
		s.feeds = append(s.feeds, r.feeds[x.Name])
	}
}

func (r *Run) sourceEnv(s *sourceRun) sources.Env {
	// A source has nothing better to do than to wait until its rejects are kept.
	patient := &flow.DeadLetters{Pipeline: r.pipeline.Name, Write: r.feeds[internalName(r.pipeline.Name, deadLetters)].stream.Write}
	env := sources.Env{
		Pipeline: r.pipeline.Name,
		Name:     s.spec.Name,
		Log:      r.o.Log.With("source", s.spec.Name),
		Now:      r.o.Now,
		// Half of the memory is that of sinks and queries, and the rest is shared with what they read and write.
		Memory:   int64(r.pipeline.Memory) / 4 / int64(len(r.pipeline.Sources)),
		Status:   s.fault,
		Progress: s.progress,
		Reject: func(ctx context.Context, x sources.Rejected) error {
			s.rejected.Add(1)
			l := flow.DeadLetter{Step: s.spec.Name, Code: x.Code, Reason: x.Reason, Ordinal: x.Position, Data: string(x.Data), Origin: x.Origin}
			if x.Size > int64(len(x.Data)) {
				l.Size = x.Size
			}
			return patient.Keep(ctx, x.Producer, x.Position, l)
		},
	}
	if s.spec.Component.AnyStream {
		env.Streams = r.directory.local
		env.Stored = func(records int) { s.writer.written.Add(int64(records)) }
	}
	return env
}

// run reads until the input ends. A source that ends because it was stopped has not ended: what
// follows must not close windows.
func (s *sourceRun) run(ctx context.Context, o Options, halt <-chan struct{}) error {
	if s.skipped.Load() {
		return nil
	}
	err := s.source.Run(ctx, &s.writer)
	s.done(err)
	if err != nil {
		return fmt.Errorf("source %q: %w", s.spec.Name, err)
	}
	select {
	case <-halt:
	default:
		return s.end(ctx, o)
	}
	return nil
}

// end tells that the input has ended, once all of it can be read: with a weaker sync mode that is
// later than when it was acknowledged.
func (s *sourceRun) end(ctx context.Context, o Options) error {
	for _, f := range s.feeds {
		err := untilRoom(ctx, o, func() error {
			err := f.stream.Sync(ctx)
			if vfs.IsFull(err) {
				s.fault(flow.WaitingForRoom(err))
			}
			return err
		})
		s.done(err)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("source %q: %w", s.spec.Name, err)
		}
	}
	s.ended.Store(true)
	for _, f := range s.feeds {
		f.leave()
	}
	return nil
}

// done notes that the source reads no more.
func (s *sourceRun) done(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.State, s.now.Error = "done", ""
	if err != nil {
		s.now.State, s.now.Error = "failed", err.Error()
	}
}

func (s *sourceRun) fault(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.State, s.now.Error = "running", ""
	if err != nil {
		s.now.State, s.now.Error = "retrying", err.Error()
	}
}

func (s *sourceRun) progress(done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Read, s.now.Total = done, total
}

func (s *sourceRun) status() SourceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.now
	out.Written, out.Rejected = s.writer.written.Load(), s.rejected.Load()
	return out
}
