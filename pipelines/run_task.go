package pipelines

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
)

// queryTrigger saves a query's progress; windows that close cut a chunk by themselves.
var queryTrigger = flow.Trigger{Age: 5 * time.Second, Rows: 2_000_000}

// leaseExpiry is the default of Options.Lease.
const leaseExpiry = time.Minute

// openTasks makes the tasks of each query and sink.
func (r *Run) openTasks(ctx context.Context) error {
	share := r.share()
	for _, name := range r.o.Reset {
		if !slices.ContainsFunc(r.pipeline.Queries, func(q *Query) bool { return q.Name == name }) {
			return fmt.Errorf("reset %q: the file has no query of this name; a sink starts over under another name", name)
		}
	}
	r.frontiers = frontiers(r.pipeline.Queries)
	for _, q := range r.pipeline.Queries {
		if err := r.openQuery(ctx, q, share); err != nil {
			return fmt.Errorf("query %q: %w", q.Name, err)
		}
	}
	for _, s := range r.pipeline.Sinks {
		if err := r.openSink(ctx, s, share/int64(s.Parallelism)); err != nil {
			return fmt.Errorf("sink %q: %w", s.Name, err)
		}
	}
	return untilRoom(ctx, r.o, func() error { return r.keepGenerations(ctx) })
}

// share is the memory of each query and sink.
func (r *Run) share() int64 {
	return (int64(r.pipeline.Memory)/2 - r.pipeline.tableMemory()) / int64(max(1, len(r.pipeline.Queries)+len(r.pipeline.Sinks)))
}

// consumerOf says what a task works for: a consumer of this run's pipeline, or of one that is recorded.
type consumerOf struct {
	pipeline *Pipeline
	// name is that of the tasks' documents and in object keys.
	name   string
	inputs []inputOf
	start  Start
	// generation of the configuration.
	generation string
	// past is set for a recorded configuration: the present tasks hold the records that it needs.
	past bool
	// share is the memory of a task, in bytes.
	share int64
	// crowded is that of sinks.Env.
	crowded *sync.Once
}

// inputOf is one of the things that a consumer reads. A sink has one.
type inputOf struct {
	// name tells those of a query apart.
	name  string
	feed  *feed
	chain Chain
	// label is what it is called in the ledger and in rejected rows; empty for the chain's root.
	label string
}

// inputs are those of a query.
func (r *Run) inputs(q *Query) []inputOf {
	var all []inputOf
	for i, name := range q.Query.Inputs() {
		c := q.Chains[i]
		all = append(all, inputOf{name: name, feed: r.feeds[c.Root], chain: c})
	}
	return all
}

// incarnation is that of what a consumer reads, which is part of what it makes: of several streams together, in
// whatever order they are read.
func incarnation(inputs []inputOf) string {
	var each []string
	for _, in := range inputs {
		each = append(each, in.feed.stream.Incarnation())
	}
	slices.Sort(each)
	if each = slices.Compact(each); len(each) == 1 {
		return each[0]
	}
	sum := sha256.Sum256([]byte(strings.Join(each, " ")))
	return hex.EncodeToString(sum[:8])
}

func (r *Run) openQuery(ctx context.Context, q *Query, share int64) error {
	of := consumerOf{pipeline: r.pipeline, name: q.Name, inputs: r.inputs(q), start: q.Start, generation: q.Generation, share: share}
	open, err := r.queryTask(ctx, of, q)
	if err != nil {
		return err
	}
	if slices.Contains(r.o.Reset, q.Name) {
		if err := r.reset(ctx, open); err != nil {
			return err
		}
	}
	out := r.feeds[q.Name]
	out.join()
	// A query has one task: its windows are not divided.
	c := &consumerRun{outputs: []*feed{out}}
	if q.Late != "" {
		late := r.feeds[q.Late]
		late.join()
		c.outputs = append(c.outputs, late)
	}
	return r.openConsumer(ctx, c, 1, func(int) (flow.Config, error) {
		t, err := open()
		t.Recorded, t.Frontier = r.recordedQuery(q, share), r.frontiers[q.Name]
		if len(q.Chains) > 1 || t.Frontier != nil {
			for i, c := range q.Chains {
				t.Feeds[i].Upstream = r.frontiers[c.Root]
			}
		}
		return t, err
	})
}

// frontiers are those of queries that are alone in writing to their streams, and that a query over several inputs reads,
// itself or behind others. Where one input is all there is, time passes by its own rows, and nothing overtakes them.
func frontiers(queries []*Query) map[string]*flow.Frontier {
	waits := map[string]bool{}
	var wait func(q *Query)
	wait = func(q *Query) {
		for _, c := range q.Chains {
			i := slices.IndexFunc(queries, func(x *Query) bool { return x.Name == c.Root })
			if i >= 0 && !waits[c.Root] {
				waits[c.Root] = true
				wait(queries[i])
			}
		}
	}
	for _, q := range queries {
		if len(q.Chains) > 1 {
			wait(q)
		}
	}
	all := map[string]*flow.Frontier{}
	for _, q := range queries {
		if waits[q.Name] && q.Into == "" && q.Query.Bounded() {
			all[q.Name] = flow.NewFrontier(q.Name)
		}
	}
	return all
}

// reset makes a query start over.
func (r *Run) reset(ctx context.Context, open func() (flow.Config, error)) error {
	config, err := open()
	if err != nil {
		return err
	}
	err = untilRoom(ctx, r.o, func() error { return flow.StartOver(ctx, config) })
	err = errors.Join(err, config.Processor.Close())
	if errors.Is(err, checkpoint.ErrPending) {
		return fmt.Errorf("start over: %w; run once without --reset to deliver it", err)
	}
	if err == nil {
		r.o.Log.Info("starting over", "query", config.Identity.Name)
	}
	return err
}

// queryTask returns what makes the configuration of a query's task.
func (r *Run) queryTask(ctx context.Context, of consumerOf, q *Query) (func() (flow.Config, error), error) {
	common, err := r.taskConfig(ctx, of)
	if err != nil {
		return nil, err
	}
	out := r.feeds[q.Name]
	if q.Late != "" {
		late := r.feeds[q.Late]
		if late == nil {
			return nil, fmt.Errorf("stream %q, which its late rows went to, is not in the file any more", q.Late)
		}
		common.Late = late.stream.TryWrite
	}
	// Each lane takes memory, and more than there are cores bring nothing.
	lanes := min(max(q.Parallelism, 1), runtime.GOMAXPROCS(0))
	common.Kind, common.Trigger, common.Memory, common.Parallelism = "query", queryTrigger, of.share, lanes
	for i, c := range q.Chains {
		common.Feeds[i].Needs = c.Needs(q.Query.Needs(i))
		common.Feeds[i].Input.Arrival = q.Query.ByArrival(i)
	}
	return func() (flow.Config, error) {
		t := common
		t.Processor = &flow.Query{
			Identity: t.Identity,
			Target:   out.stream.Name(),
			Write:    out.stream.TryWrite,
			New:      q.Query.New,
			Joins:    r.joins(of, q),
			Windowed: q.Query.Windowed(),
			Memory:   of.share,
			Lanes:    lanes,
			Dir:      r.stateDir(of.name),
			FS:       r.o.FS,
		}
		t.Feeds = slices.Clone(common.Feeds)
		for i, c := range q.Chains {
			if err := openSteps(&t.Feeds[i], c, lanes); err != nil {
				return t, err
			}
		}
		return t, nil
	}, nil
}

func (r *Run) openSink(ctx context.Context, s *Sink, share int64) error {
	of := consumerOf{pipeline: r.pipeline, name: s.Name, inputs: []inputOf{{name: s.Chain.Root, feed: r.feeds[s.Chain.Root], chain: s.Chain}}, start: s.Start, generation: s.Generation, share: share, crowded: new(sync.Once)}
	open, err := r.sinkTask(ctx, of, s)
	if err != nil {
		return err
	}
	c := &consumerRun{}
	return r.openConsumer(ctx, c, s.Parallelism, func(task int) (flow.Config, error) {
		t, sink, err := open(task)
		if err != nil {
			return t, err
		}
		c.show(sink)
		t.Recorded = r.recordedSink(of, &s.recorded, task)
		return t, nil
	})
}

// sinkTask returns what makes the configurations of a sink's tasks.
func (r *Run) sinkTask(ctx context.Context, of consumerOf, s *Sink) (func(task int) (flow.Config, sinks.Sink, error), error) {
	common, err := r.taskConfig(ctx, of)
	if err != nil {
		return nil, err
	}
	common.Kind, common.Type, common.Memory = "sink", s.Component.Type, of.share
	in := &common.Feeds[0]
	in.Needs = s.Chain.Needs(s.Schema.Names())
	if in.Evolution.Versions != nil {
		in.Evolution.Rebuild = s.rebuild
	}
	return func(task int) (flow.Config, sinks.Sink, error) {
		t := common
		t.Identity.Task = task
		dir := r.workDir(of.name, task)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return t, nil, err
		}
		sink, err := s.Component.Open(s.Config, sinks.Env{
			Identity:   t.Identity,
			Schema:     s.Schema,
			Generation: of.generation,
			Dir:        dir,
			Data:       r.o.Data,
			Memory:     of.share,
			Log:        r.o.Log.With("sink", of.name),
			Now:        r.o.Now,
			Stdout:     r.o.Stdout,
			Crowded:    of.crowded,
		})
		if err != nil {
			return t, nil, err
		}
		t.Processor, t.Trigger = sink, sink.Trigger()
		t.Feeds = slices.Clone(common.Feeds)
		if err := openSteps(&t.Feeds[0], s.Chain, 1); err != nil {
			return t, nil, errors.Join(err, sink.Close())
		}
		return t, sink, nil
	}, nil
}

// openSteps opens the transforms of a chain for each lane.
func openSteps(f *flow.Feed, c Chain, lanes int) error {
	f.Steps = make([][]flow.Step, lanes)
	for i := range f.Steps {
		var err error
		if f.Steps[i], err = c.Open(); err != nil {
			return err
		}
	}
	return nil
}

// openConsumer makes a consumer of streams.
func (r *Run) openConsumer(ctx context.Context, c *consumerRun, tasks int, open func(task int) (flow.Config, error)) error {
	var consumer *flow.Consumer
	err := untilRoom(ctx, r.o, func() (err error) {
		consumer, err = flow.NewConsumer(flow.ConsumerConfig{
			Tasks: tasks, Open: open,
			Worker: fmt.Sprintf("pid-%d", os.Getpid()), Expiry: cmp.Or(r.o.Lease, leaseExpiry),
		})
		return err
	})
	if err != nil {
		return err
	}
	c.Consumer = consumer
	r.tasks = append(r.tasks, c)
	return nil
}

// taskConfig is what queries and sinks, and all tasks of one, have in common.
func (r *Run) taskConfig(ctx context.Context, of consumerOf) (flow.Config, error) {
	c := flow.Config{
		Identity:    flow.Identity{Pipeline: r.pipeline.Name, Name: of.name, Incarnation: incarnation(of.inputs)},
		Meta:        r.backend.Meta(),
		Generation:  of.generation,
		DeadLetters: r.dead,
		Buffers:     r.buffers,
		SkipDamaged: r.o.SkipDamaged,
		Stop:        r.halt,
		Now:         r.o.Now,
		Log:         r.o.Log,
	}
	for _, in := range of.inputs {
		f, err := r.feedOf(ctx, of, in)
		if err != nil {
			return c, err
		}
		c.Feeds = append(c.Feeds, f)
	}
	return c, nil
}

// feedOf is an input as a task reads it.
func (r *Run) feedOf(ctx context.Context, of consumerOf, in inputOf) (flow.Feed, error) {
	chain, label := in.chain, cmp.Or(in.label, in.chain.Root)
	f := flow.Feed{
		Name: in.name,
		Input: flow.Input{
			Name:        label,
			Stream:      in.feed.stream.Name(),
			Incarnation: in.feed.stream.Incarnation(),
			Shards:      in.feed.shards,
			Updated:     in.feed.stream.Updated,
			Ended:       in.feed.ended,
			Schema:      chain.Schema,
			EventTime:   chain.EventTime,
			Delay:       chain.Delay,
		},
		Start: start(in.feed, of.start),
	}
	s := of.pipeline.stream(chain.Root)
	if s != nil {
		f.Input.UserRecords = s.UserRecords
	}
	switch {
	case s != nil && s.Evolves():
		v, err := r.versionsOf(ctx, s)
		if err != nil {
			return f, err
		}
		f.Evolution = flow.Evolution{Versions: v, Built: s.Version}
	case s != nil && s.Rest:
		f.Input.Decode = versions.Version{Schema: s.Schema, Declared: withoutRest(s.Schema).Names()}.Options()
	}
	if !of.past && !r.expires(label) {
		f.Input.Hold = in.feed.holder()
	}
	return f, nil
}

// versionsOf are those of a stream's schema, also for a stream whose schema the file has by now.
func (r *Run) versionsOf(ctx context.Context, s *Stream) (*versions.Stream, error) {
	if v := r.versions[s.Name]; v != nil {
		return v, nil
	}
	return versions.Open(ctx, r.backend.Meta(), s.Name, r.feeds[s.Name].stream.Incarnation(), versions.Options{Add: s.Add, Now: r.o.Now})
}

// expires reports whether retention may take records of a stream that were not read yet.
func (r *Run) expires(stream string) bool {
	s := r.pipeline.stream(stream)
	return s != nil && s.ExpireOnLag
}

// stream is a declared one, nil if there is none of the name.
func (p *Pipeline) stream(name string) *Stream {
	for _, s := range p.Streams {
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
