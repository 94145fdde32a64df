package pipelines

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
)

// queryTrigger saves a query's progress; windows that close cut a chunk by themselves.
var queryTrigger = flow.Trigger{Age: 5 * time.Second, Rows: 2_000_000}

// openTasks makes a task for each query and sink.
func (r *Run) openTasks() error {
	share := int64(r.pipeline.Memory) / 2 / int64(max(1, len(r.pipeline.Queries)+len(r.pipeline.Sinks)))
	for _, q := range r.pipeline.Queries {
		if err := r.openQuery(q, share); err != nil {
			return fmt.Errorf("query %q: %w", q.Name, err)
		}
	}
	for _, s := range r.pipeline.Sinks {
		if err := r.openSink(s, share); err != nil {
			return fmt.Errorf("sink %q: %w", s.Name, err)
		}
	}
	return nil
}

func (r *Run) openQuery(q *Query, share int64) error {
	out := r.feeds[q.Name]
	c, err := r.taskConfig(q.Name, q.Chain, q.Start, q.Generation)
	if err != nil {
		return err
	}
	c.Kind, c.Trigger, c.Memory = "query", queryTrigger, share
	c.Needs = q.Chain.Needs(q.Query.Needs())
	c.Processor = &flow.Query{
		Identity: c.Identity,
		Target:   out.stream.Name(),
		Write:    out.stream.TryWrite,
		New:      q.Query.New,
		Windowed: q.Query.Windowed(),
		Memory:   share,
	}
	out.join()
	r.tasks = append(r.tasks, &taskRun{Task: flow.NewTask(c), output: out})
	return nil
}

func (r *Run) openSink(s *Sink, share int64) error {
	c, err := r.taskConfig(s.Name, s.Chain, s.Start, s.Generation)
	if err != nil {
		return err
	}
	dir := r.workDir(s.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	sink, err := s.Component.Open(s.Config, sinks.Env{
		Identity: c.Identity,
		Schema:   s.Schema,
		Dir:      dir,
		Data:     r.o.Data,
		Memory:   share,
		Log:      r.o.Log.With("sink", s.Name),
		Now:      r.o.Now,
		Stdout:   r.o.Stdout,
	})
	if err != nil {
		return err
	}
	c.Kind, c.Type, c.Processor, c.Trigger, c.Memory = "sink", s.Component.Type, sink, sink.Trigger(), share
	c.Needs = s.Chain.Needs(s.Schema.Names())
	r.tasks = append(r.tasks, &taskRun{Task: flow.NewTask(c), sink: sink})
	return nil
}

// taskConfig is what queries and sinks have in common.
func (r *Run) taskConfig(name string, chain Chain, at Start, generation string) (flow.Config, error) {
	in := r.feeds[chain.Root]
	c := flow.Config{
		Identity: flow.Identity{Pipeline: r.pipeline.Name, Name: name, Incarnation: in.stream.Incarnation()},
		Input: flow.Input{
			Name:      chain.Root,
			Shards:    in.shards,
			Updated:   in.stream.Updated,
			Ended:     in.ended,
			Schema:    chain.Schema,
			EventTime: chain.EventTime,
			Delay:     chain.Delay,
		},
		Meta:        r.backend.Meta(),
		Start:       start(in, at),
		Generation:  generation,
		DeadLetters: r.dead,
		SkipDamaged: r.o.SkipDamaged,
		Stop:        r.halt,
		Now:         r.o.Now,
		Log:         r.o.Log,
	}
	if !r.expires(chain.Root) {
		c.Input.Hold = in.holder()
	}
	steps, err := chain.Open()
	c.Steps = steps
	return c, err
}

// expires reports whether retention may take records of a stream that were not read yet.
func (r *Run) expires(stream string) bool {
	for _, s := range r.pipeline.Streams {
		if s.Name == stream {
			return s.ExpireOnLag
		}
	}
	return false
}

// Guarantee is what a sink promises as far as can be said without asking its destination.
func (p *Pipeline) Guarantee(s *Sink) string {
	sink, err := s.Component.Open(s.Config, sinks.Env{
		Identity: flow.Identity{Pipeline: p.Name, Name: s.Name},
		Schema:   s.Schema,
		Log:      slog.New(slog.DiscardHandler),
		Now:      time.Now,
		Stdout:   io.Discard,
	})
	if err != nil {
		return err.Error()
	}
	defer sink.Close()
	return sink.Guarantee()
}
