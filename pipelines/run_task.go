package pipelines

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
)

// queryTrigger saves a query's progress; windows that close cut a chunk by themselves.
var queryTrigger = flow.Trigger{Age: 5 * time.Second, Rows: 2_000_000}

// leaseExpiry is after how long without a renewal a task's lease is free. The owner of a data
// directory takes all leases when it starts, so nobody waits for it, and renewals are rare.
const leaseExpiry = time.Minute

// openTasks makes the tasks of each query and sink.
func (r *Run) openTasks() error {
	share := int64(r.pipeline.Memory) / 2 / int64(max(1, len(r.pipeline.Queries)+len(r.pipeline.Sinks)))
	for _, q := range r.pipeline.Queries {
		if err := r.openQuery(q, share); err != nil {
			return fmt.Errorf("query %q: %w", q.Name, err)
		}
	}
	for _, s := range r.pipeline.Sinks {
		if err := r.openSink(s, share/int64(s.Parallelism)); err != nil {
			return fmt.Errorf("sink %q: %w", s.Name, err)
		}
	}
	return nil
}

func (r *Run) openQuery(q *Query, share int64) error {
	out := r.feeds[q.Name]
	common := r.taskConfig(q.Name, q.Chain, q.Start, q.Generation)
	common.Kind, common.Trigger, common.Memory = "query", queryTrigger, share
	common.Needs = q.Chain.Needs(q.Query.Needs())
	out.join()
	c := &consumerRun{output: out}
	// A query has one task: its windows are not divided.
	return r.openConsumer(c, q.Chain.Root, 1, func(int) (flow.Config, error) {
		t := common
		t.Processor = &flow.Query{
			Identity: t.Identity,
			Target:   out.stream.Name(),
			Write:    out.stream.TryWrite,
			New:      q.Query.New,
			Windowed: q.Query.Windowed(),
			Memory:   share,
		}
		var err error
		t.Steps, err = q.Chain.Open()
		return t, err
	})
}

func (r *Run) openSink(s *Sink, share int64) error {
	common := r.taskConfig(s.Name, s.Chain, s.Start, s.Generation)
	common.Kind, common.Type, common.Memory = "sink", s.Component.Type, share
	common.Needs = s.Chain.Needs(s.Schema.Names())
	if common.Evolution.Versions != nil {
		common.Evolution.Rebuild = s.rebuild
	}
	c := &consumerRun{}
	return r.openConsumer(c, s.Chain.Root, s.Parallelism, func(task int) (flow.Config, error) {
		t := common
		t.Identity.Task = task
		dir := r.workDir(s.Name, task)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return t, err
		}
		sink, err := s.Component.Open(s.Config, sinks.Env{
			Identity:   t.Identity,
			Schema:     s.Schema,
			Generation: s.Generation,
			Dir:        dir,
			Data:       r.o.Data,
			Memory:     share,
			Log:        r.o.Log.With("sink", s.Name),
			Now:        r.o.Now,
			Stdout:     r.o.Stdout,
		})
		if err != nil {
			return t, err
		}
		c.show(sink)
		t.Processor, t.Trigger = sink, sink.Trigger()
		t.Steps, err = s.Chain.Open()
		return t, err
	})
}

// openConsumer makes a consumer of a stream.
func (r *Run) openConsumer(c *consumerRun, root string, tasks int, open func(task int) (flow.Config, error)) error {
	in := r.feeds[root].stream
	consumer, err := flow.NewConsumer(flow.ConsumerConfig{
		Stream: in.Name(), Incarnation: in.Incarnation(), Tasks: tasks, Open: open,
		Worker: fmt.Sprintf("pid-%d", os.Getpid()), Expiry: leaseExpiry,
	})
	if err != nil {
		return err
	}
	c.Consumer = consumer
	r.tasks = append(r.tasks, c)
	return nil
}

// taskConfig is what queries and sinks, and all tasks of one, have in common.
func (r *Run) taskConfig(name string, chain Chain, at Start, generation string) flow.Config {
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
	switch s, v := r.stream(chain.Root), r.versions[chain.Root]; {
	case v != nil:
		c.Evolution = flow.Evolution{Versions: v, Built: s.Version}
	case s != nil && s.Rest:
		c.Input.Decode = versions.Version{Schema: s.Schema, Declared: withoutRest(s.Schema).Names()}.Options()
	}
	if !r.expires(chain.Root) {
		c.Input.Hold = in.holder()
	}
	return c
}

// expires reports whether retention may take records of a stream that were not read yet.
func (r *Run) expires(stream string) bool {
	s := r.stream(stream)
	return s != nil && s.ExpireOnLag
}

// stream is a declared one, nil if there is none of the name.
func (r *Run) stream(name string) *Stream {
	for _, s := range r.pipeline.Streams {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// rebuild is what of the sink's tasks follows from the schema of its stream.
func (s *Sink) rebuild(in *column.Schema) (flow.Shape, error) {
	chain, err := s.Chain.With(in)
	if err != nil {
		return flow.Shape{}, err
	}
	out := chain.Output()
	steps, err := chain.Open()
	return flow.Shape{Steps: steps, Needs: chain.Needs(out.Names()), Output: out}, err
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
