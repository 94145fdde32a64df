package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/flow"
	streams "github.com/millrace-io/millrace/engine/stream"
)

// generationVersion is that of the documents' layout, see docs/formats/generations.md.
const generationVersion = 1

// generationDocument is a configuration of a consumer, kept as long as a plan may need it.
type generationDocument struct {
	Version int `json:"version"`
	// File is a pipeline file with the consumer alone.
	File string `json:"file"`
	// Evolving are the streams in it whose records decide on the schema.
	Evolving []string `json:"evolving,omitempty"`
	// Inputs are those of a query that reads several.
	Inputs []recordedInput `json:"inputs,omitempty"`
	Type   string          `json:"type,omitempty"`
	// Own are the keys that File lacks; those that hold secrets are references, or not here.
	Own []ownKey `json:"own,omitempty"`
}

func generationKeys(pipeline string) string { return "generations/" + pipeline + "/" }

func generationKey(pipeline, consumer, generation string) string {
	return generationKeys(pipeline) + consumer + "/" + generation
}

// keepGeneration stores a configuration before anything can be planned with it.
func (r *Run) keepGeneration(ctx context.Context, consumer, generation string, rec recorded) error {
	value, err := json.Marshal(generationDocument{Version: generationVersion, File: rec.File, Evolving: rec.Evolving, Inputs: rec.Inputs, Type: rec.Type, Own: rec.Own})
	if err != nil {
		return err
	}
	key := generationKey(r.pipeline.Name, consumer, generation)
	have, revision, err := r.backend.Meta().Get(ctx, key)
	switch {
	case err == nil && string(have) == string(value):
		return nil
	case err != nil && !errors.Is(err, streams.ErrNotFound):
		return fmt.Errorf("configuration %s: %w", key, err)
	case err == nil && !r.replaceable(ctx, consumer, generation):
		return nil
	}
	if _, err := r.backend.Meta().CAS(ctx, key, value, revision); err != nil {
		return fmt.Errorf("keep configuration %s: %w", key, err)
	}
	return nil
}

// readGeneration returns what is kept. Error: ErrNotFound.
func (r *Run) readGeneration(ctx context.Context, consumer, generation string) (recorded, error) {
	key := generationKey(r.pipeline.Name, consumer, generation)
	value, _, err := r.backend.Meta().Get(ctx, key)
	if err != nil {
		return recorded{}, fmt.Errorf("configuration %s: %w", key, err)
	}
	var d generationDocument
	if err := json.Unmarshal(value, &d); err != nil {
		return recorded{}, fmt.Errorf("configuration %s: %w", key, err)
	}
	if d.Version != generationVersion {
		return recorded{}, fmt.Errorf("configuration %s: version %d; this program reads version %d", key, d.Version, generationVersion)
	}
	return recorded{File: d.File, Evolving: d.Evolving, Inputs: d.Inputs, Type: d.Type, Own: d.Own}, nil
}

// dropGenerations removes the configurations that are neither those of the present file nor those of
// pending plans.
func (r *Run) dropGenerations(ctx context.Context, present map[string]string) error {
	meta := r.backend.Meta()
	keys, err := meta.List(ctx, generationKeys(r.pipeline.Name))
	if err != nil {
		return fmt.Errorf("list configurations: %w", err)
	}
	for _, key := range keys {
		consumer, generation, ok := strings.Cut(strings.TrimPrefix(key, generationKeys(r.pipeline.Name)), "/")
		if !ok || present[consumer] == generation {
			continue
		}
		needed, err := r.pendingWith(ctx, consumer, generation)
		if err != nil || needed {
			if err != nil {
				return err
			}
			continue
		}
		_, revision, err := meta.Get(ctx, key)
		if err == nil {
			err = meta.Delete(ctx, key, revision)
		}
		if err != nil && !errors.Is(err, streams.ErrNotFound) {
			return fmt.Errorf("remove configuration %s: %w", key, err)
		}
	}
	return nil
}

// pendingWith reports whether a task of a consumer has a pending plan of a generation.
func (r *Run) pendingWith(ctx context.Context, consumer, generation string) (bool, error) {
	group := checkpoint.TaskGroup{Pipeline: r.pipeline.Name, Consumer: consumer}
	docs, err := checkpoint.ReadTasks(ctx, r.backend.Meta(), group.Documents())
	if err != nil {
		return false, err
	}
	for _, doc := range docs {
		if doc.Pending != nil && doc.Pending.Generation == generation {
			return true, nil
		}
	}
	return false, nil
}

// replaceable reports whether a kept configuration of the same hash may give way to one that is
// written differently: no plan needs it.
func (r *Run) replaceable(ctx context.Context, consumer, generation string) bool {
	pending, err := r.pendingWith(ctx, consumer, generation)
	return err == nil && !pending
}

// restore loads the pipeline of a record as it was when a chunk was planned. present is what the
// consumer has in the file now, nil if that is nothing.
func (r *Run) restore(ctx context.Context, rec recorded, present *recorded, planned checkpoint.Pending) (*Pipeline, error) {
	schemas, err := r.schemasAt(ctx, rec, planned.Plan.Cut)
	if err != nil {
		return nil, err
	}
	p, err := r.pipeline.reload(rec.with(present), schemas)
	if err != nil {
		return nil, fmt.Errorf("load the configuration that is recorded: %w", err)
	}
	return p, nil
}

// schemasAt are the schemas that records decide on: the version that a chunk was planned with if a
// stream has one of that number, else the latest.
func (r *Run) schemasAt(ctx context.Context, rec recorded, cut flow.Cut) (map[string]versions.Version, error) {
	schemas := map[string]versions.Version{}
	for _, name := range rec.Evolving {
		f := r.feeds[name]
		if f == nil {
			continue
		}
		v, err := versions.Open(ctx, r.backend.Meta(), name, f.stream.Incarnation(), versions.Options{})
		if err != nil {
			return nil, err
		}
		at := v.Current()
		if number := rec.planned(name, cut); number > 0 {
			planned, err := v.At(ctx, number)
			if err == nil {
				at = planned
			} else if !errors.Is(err, streams.ErrNotFound) {
				return nil, err
			}
		}
		if at.Number > 0 {
			schemas[name] = at
		}
	}
	return schemas, nil
}

// keepGenerations keeps the configurations of the run's consumers and removes those that nothing needs
// any more. It comes before any task runs.
func (r *Run) keepGenerations(ctx context.Context) error {
	present := map[string]string{}
	for _, q := range r.pipeline.Queries {
		present[q.Name] = q.Generation
		if err := r.keepGeneration(ctx, q.Name, q.Generation, q.recorded); err != nil {
			return err
		}
	}
	for _, s := range r.pipeline.Sinks {
		present[s.Name] = s.Generation
		if err := r.keepGeneration(ctx, s.Name, s.Generation, s.recorded); err != nil {
			return err
		}
	}
	return r.dropGenerations(ctx, present)
}

// recordedSink makes the configuration of a sink's task as it was when a plan was recorded.
func (r *Run) recordedSink(of consumerOf, present *recorded, task int) flow.Recorded {
	return func(ctx context.Context, planned checkpoint.Pending) (flow.Config, error) {
		p, err := r.restored(ctx, of.name, present, planned)
		if err != nil {
			return flow.Config{}, err
		}
		if len(p.Sinks) != 1 {
			return flow.Config{}, fmt.Errorf("the configuration that is recorded has %d sinks", len(p.Sinks))
		}
		s, past := p.Sinks[0], of
		past.pipeline, past.generation, past.past = p, planned.Generation, true
		past.inputs = slices.Clone(of.inputs)
		past.inputs[0].chain = s.Chain
		open, err := r.sinkTask(ctx, past, s)
		if err != nil {
			return flow.Config{}, err
		}
		c, _, err := open(task)
		return c, err
	}
}

// recordedQuery makes the configuration of a query as it was when a plan was recorded.
func (r *Run) recordedQuery(q *Query, share int64) flow.Recorded {
	return func(ctx context.Context, planned checkpoint.Pending) (flow.Config, error) {
		p, err := r.restored(ctx, q.Name, &q.recorded, planned)
		if err != nil {
			return flow.Config{}, err
		}
		for _, x := range p.Queries {
			if x.Name != q.Name {
				continue
			}
			open, err := r.queryTask(ctx, consumerOf{
				pipeline: p, name: q.Name, inputs: r.inputs(x), generation: planned.Generation, past: true, share: share,
			}, x)
			if err != nil {
				return flow.Config{}, err
			}
			return open()
		}
		return flow.Config{}, fmt.Errorf("the configuration that is recorded has no query %q", q.Name)
	}
}

// restored is the pipeline of a consumer as it was when a chunk was planned. Error: ErrNotFound, when
// nothing is recorded.
func (r *Run) restored(ctx context.Context, consumer string, present *recorded, planned checkpoint.Pending) (*Pipeline, error) {
	rec, err := r.readGeneration(ctx, consumer, planned.Generation)
	if err != nil {
		return nil, err
	}
	p, err := r.restore(ctx, rec, present, planned)
	if err != nil {
		return nil, err
	}
	for _, s := range p.Streams {
		if r.feeds[s.Name] == nil {
			return nil, fmt.Errorf("it reads stream %q, which the pipeline file no longer has; put it back for one run", s.Name)
		}
	}
	for _, q := range p.Queries {
		if r.feeds[q.Name] == nil {
			return nil, fmt.Errorf("it reads query %q, which the pipeline file no longer has; put it back for one run", q.Name)
		}
	}
	return p, nil
}
