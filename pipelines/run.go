package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	streams "github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/table"
	"github.com/millrace-io/millrace/engine/vfs"
)

// tidyEvery is how often expired segments are removed.
const tidyEvery = 30 * time.Second

// Options are the settings of a run.
type Options struct {
	// Data is the data directory, and FS what it is on; nil means the operating system's.
	Data string
	FS   vfs.FS
	// Drain starts no unbounded source and ends once what is stored is delivered.
	Drain bool
	// Serve says that others than the sources write to the pipeline's streams: their input never ends, and the run
	// goes on until Stop.
	Serve bool
	// SkipDamaged goes on behind damaged records instead of stopping.
	SkipDamaged bool
	// Reset names queries that start over.
	Reset []string
	// Stop asks for an orderly end: commit what was read, close no window.
	Stop   <-chan struct{}
	Stdout io.Writer
	Log    *slog.Logger
	Now    func() time.Time
	// Capacity has the rules of streams in mode on_demand, and LookEvery how often they are looked
	// at; zero means the defaults, 5 s.
	Capacity  capacity.Options
	LookEvery time.Duration
	// Lease is after how long without a renewal the lease of a task is free. The owner of a data
	// directory takes all leases when it starts, so nobody waits for it, and renewals are rare: zero
	// means a minute.
	Lease time.Duration
}

// Run is a pipeline between Open and Close.
type Run struct {
	pipeline  *Pipeline
	o         Options
	directory *Directory
	// alone is set when the directory is closed with the run.
	alone   bool
	backend *disk.Backend
	feeds   map[string]*feed
	// versions are those of the schemas that records decide on, by stream.
	versions map[string]*versions.Stream
	dead     *flow.DeadLetters
	sources  []*sourceRun
	tasks    []*consumerRun
	tables   map[string]*table.Table
	// frontiers are those of queries by name, where it is known how early their rows may be.
	frontiers map[string]*flow.Frontier
	// buffers are those of all tasks.
	buffers *flow.Buffers
	began   time.Time
	deadOld int64
	halt    chan struct{}
	halting sync.Once
}

// Open opens the data directory and everything the pipeline needs in it, and starts nothing.
// Close must follow.
func Open(ctx context.Context, p *Pipeline, o Options) (*Run, error) {
	d, err := OpenDirectory(ctx, o)
	if err != nil {
		return nil, err
	}
	r, err := d.Open(ctx, p, o)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	r.alone = true
	d.Serve()
	return r, nil
}

func newRun(d *Directory, p *Pipeline, o Options) *Run {
	return &Run{
		pipeline: p, o: o, directory: d, backend: d.backend, feeds: map[string]*feed{}, versions: map[string]*versions.Stream{},
		buffers: flow.NewBuffers(runtime.GOMAXPROCS(0)), began: o.Now(), halt: make(chan struct{}),
	}
}

func (r *Run) build(ctx context.Context) error {
	if err := r.warnOfRenaming(ctx); err != nil {
		return err
	}
	if err := r.openStreams(ctx); err != nil {
		return err
	}
	if err := r.openSources(); err != nil {
		return err
	}
	if err := r.openTables(ctx); err != nil {
		return err
	}
	if err := r.openTasks(ctx); err != nil {
		return err
	}
	if r.o.Serve {
		for _, s := range r.pipeline.Streams {
			r.feeds[s.Name].join()
		}
	}
	for _, f := range r.feeds {
		f.seal()
	}
	return nil
}

// openStreams opens the streams of the pipeline and those of its own.
func (r *Run) openStreams(ctx context.Context) error {
	for _, s := range r.pipeline.Streams {
		if err := r.openStream(ctx, s.Name, s.spec()); err != nil {
			return err
		}
		r.govern(s)
		if err := untilRoom(ctx, r.o, func() error { return r.followSchema(ctx, s) }); err != nil {
			return err
		}
	}
	for _, q := range r.pipeline.Queries {
		if q.Into != "" {
			r.feeds[q.Name] = r.feeds[q.Into]
			continue
		}
		spec := streams.Spec{Name: internalName(r.pipeline.Name, q.Name), Shards: q.Shards, Retention: r.retention(q)}
		if err := r.openStream(ctx, q.Name, spec); err != nil {
			return err
		}
	}
	dead := internalName(r.pipeline.Name, deadLetters)
	if err := r.openStream(ctx, dead, streams.Spec{Name: dead, Shards: 1, Retention: deadRetention}); err != nil {
		return err
	}
	r.dead = &flow.DeadLetters{Pipeline: r.pipeline.Name, Write: r.feeds[dead].stream.TryWrite}
	r.deadOld, _ = r.feeds[dead].records()
	return nil
}

// warnOfRenaming tells when the data directory knows other pipelines but not this one: under
// another name, sources and sinks start over.
func (r *Run) warnOfRenaming(ctx context.Context) error {
	keys, err := r.backend.Meta().List(ctx, "tasks/")
	if err != nil {
		return err
	}
	var others []string
	for _, key := range keys {
		name, _, _ := strings.Cut(strings.TrimPrefix(key, "tasks/"), "/")
		if name == r.pipeline.Name {
			return nil
		}
		if !slices.Contains(others, name) {
			others = append(others, name)
		}
	}
	if len(others) > 0 {
		r.o.Log.Warn("this pipeline is new in the data directory and starts from the beginning; if it was renamed, write its old name as `name:`",
			"name", r.pipeline.Name, "known", strings.Join(others, ", "))
	}
	return nil
}

// deadRetention is how long dead letters are kept.
const deadRetention = 30 * 24 * time.Hour

// retention of a query's output is that of the streams it reads in the end, the longest of them.
func (r *Run) retention(q *Query) time.Duration {
	longest := time.Duration(0)
	for _, c := range q.Chains {
		if s := r.pipeline.stream(c.Root); s != nil {
			longest = max(longest, s.Retention)
			continue
		}
		i := slices.IndexFunc(r.pipeline.Queries, func(x *Query) bool { return x.Name == c.Root })
		longest = max(longest, r.retention(r.pipeline.Queries[i]))
	}
	return longest
}

// internalName names a stream that belongs to a pipeline. Ids have no dot, so it cannot meet a
// declared one.
func internalName(pipeline, id string) string { return pipeline + "." + id }

func (r *Run) openStream(ctx context.Context, id string, spec streams.Spec) error {
	spec.Now = r.o.Now
	// Sources and sinks bound their records themselves; what one took must not be refused here.
	spec.Settings.MaxRecord = streams.AnyRecord
	if spec.Settings.Mode == "" {
		spec.Settings.Mode, spec.Settings.Limits = streams.Provisioned, streams.NoLimits
	}
	var s *streams.Stream
	err := untilRoom(ctx, r.o, func() (err error) {
		s, err = streams.Open(ctx, r.backend, spec)
		return err
	})
	if err != nil {
		return err
	}
	r.feeds[id] = newFeed(s)
	return nil
}

// Wait runs the pipeline until all input ended and is delivered, or Stop was closed. ctx ends it
// at once. An error means that a component failed for good; the others were stopped in order.
func (r *Run) Wait(ctx context.Context) error {
	var g errgroup.Group
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	for _, t := range r.tasks {
		g.Go(func() error { return r.haltOn(t.work(ctx)) })
	}
	for _, s := range r.sources {
		g.Go(func() error { return r.haltOn(s.run(reading, r.o, r.halt)) })
	}
	finished := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(ctx, finished, stopReading) })
	watching.Go(func() { r.scale(ctx, finished) })
	refreshing, stopRefreshing := context.WithCancel(ctx)
	defer stopRefreshing()
	for _, t := range r.tables {
		watching.Go(func() { t.Run(refreshing) })
	}
	err := g.Wait()
	close(finished)
	stopRefreshing()
	watching.Wait()
	return err
}

// haltOn stops the pipeline when a component failed.
func (r *Run) haltOn(err error) error {
	if err != nil {
		r.stop()
	}
	return err
}

func (r *Run) stop() { r.halting.Do(func() { close(r.halt) }) }

// watch passes a stop on and removes what retention lets go of.
func (r *Run) watch(ctx context.Context, finished <-chan struct{}, stopReading func()) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	stop := r.o.Stop
	halt := (<-chan struct{})(r.halt)
	for {
		select {
		case <-finished:
			return
		case <-stop:
			stop = nil
			r.stop()
		case <-halt:
			halt = nil
			stopReading()
		case <-tick.C:
			if err := r.directory.Tidy(ctx); err != nil {
				r.o.Log.Warn("removing expired records", "error", err)
			}
		}
	}
}

// Delivered reports whether all input ended and is delivered.
func (r *Run) Delivered() bool {
	for _, t := range r.tasks {
		if !t.Drained() {
			return false
		}
	}
	for _, s := range r.sources {
		if !s.ended.Load() {
			return false
		}
	}
	return true
}

// Close lets go of the data directory. A run in a Directory that others share is closed with that.
func (r *Run) Close() error {
	if r.alone {
		return r.directory.Close()
	}
	return nil
}

func (r *Run) closeStreams() error {
	var errs []error
	for _, t := range r.tables {
		t.Close()
	}
	for _, f := range r.feeds {
		errs = append(errs, f.stream.Close())
	}
	return errors.Join(errs...)
}

// Status is a snapshot. It may be called from any goroutine.
func (r *Run) Status() Status {
	s := Status{Pipeline: r.pipeline.Name}
	for _, x := range r.pipeline.Streams {
		s.Streams = append(s.Streams, r.streamStatus(x.Name))
	}
	s.DeadLetters = r.streamStatus(internalName(r.pipeline.Name, deadLetters))
	for _, x := range r.sources {
		st := x.status()
		s.Sources = append(s.Sources, st)
		if st.Error != "" {
			s.Faults = append(s.Faults, Fault{Component: "sources." + st.Name, Error: st.Error})
		}
	}
	starting := false
	for _, t := range r.tasks {
		st := t.Status()
		s.Tasks = append(s.Tasks, st)
		starting = starting || st.State == "starting"
		if st.Error != "" {
			s.Faults = append(s.Faults, Fault{Component: componentName(st), Error: st.Error})
		}
	}
	for _, t := range r.pipeline.Tables {
		if running := r.tables[t.Name]; running != nil {
			s.Tables = append(s.Tables, running.Status())
		}
	}
	s.Ready = len(s.Faults) == 0 && !starting
	return s
}

func componentName(t flow.Status) string {
	if t.Kind == "query" {
		return "queries." + t.Name
	}
	return "sinks." + t.Name
}

func (r *Run) streamStatus(id string) StreamStatus {
	f := r.feeds[id]
	records, bytes := f.records()
	d := f.stream.Describe()
	s := StreamStatus{Name: id, Shards: len(d.Shards), Records: records, Bytes: bytes, StreamCapacity: capacityOf(d)}
	if f.governor != nil {
		s.govern(f.governor.Report())
	}
	return s
}

// Summary is what the run did so far.
func (r *Run) Summary() Summary {
	result := "stopped"
	if r.Delivered() {
		result = "delivered"
	}
	return summarize(r.Status(), result, r.o.Now().Sub(r.began).Seconds(), r.deadOld)
}

// start returns the positions that a new consumer begins at.
func start(f *feed, at Start) func() (map[record.ShardID]record.Ordinal, error) {
	return func() (map[record.ShardID]record.Ordinal, error) {
		positions := map[record.ShardID]record.Ordinal{}
		for _, sh := range f.stream.Shards() {
			log := f.stream.Log(sh.ID)
			bounds := log.Bounds()
			positions[sh.ID] = bounds.Oldest
			switch {
			case at.Latest:
				positions[sh.ID] = bounds.Next
			case !at.Time.IsZero():
				ordinal, err := log.Seek(context.Background(), at.Time)
				if err != nil {
					return nil, fmt.Errorf("find where %s stood at %s: %w", sh.ID, at.Time, err)
				}
				positions[sh.ID] = ordinal
			}
		}
		return positions, nil
	}
}

// stateDir is where a query keeps large state.
func (r *Run) stateDir(query string) string {
	return filepath.Join(r.o.Data, "state", r.pipeline.Name, query)
}

// workDir is a directory for the temporary files of one of a sink's tasks.
func (r *Run) workDir(name string, task int) string {
	return filepath.Join(r.o.Data, "work", r.pipeline.Name, name, strconv.Itoa(task))
}
