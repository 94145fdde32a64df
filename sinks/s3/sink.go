package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/millrace-io/millrace/engine/bucket"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/encode"
	"github.com/millrace-io/millrace/sinks/objects"
	"github.com/millrace-io/millrace/sinks/s3/embedded"
)

// sink delivers chunks of rows, each as one object for each partition.
type sink struct {
	config  Config
	env     sinks.Env
	servers *embedded.Pool
	chunk   *objects.Chunk
	// store is nil until Start.
	store   *store
	release func() error
}

func newSink(c Config, env sinks.Env, servers *embedded.Pool) (*sink, error) {
	writer, err := encode.NewWriter(env.Schema, c.Format.Options())
	if err != nil {
		return nil, &config.PathError{Path: "format", Err: err}
	}
	chunk, err := objects.New(objects.Settings{
		Layout: c.Layout, Identity: env.Identity, Writer: writer, Schema: env.Schema, Dir: env.Dir, Memory: env.Memory, Log: env.Log, Crowded: env.Crowded, Generation: env.Generation,
	})
	if err != nil {
		return nil, err
	}
	return &sink{config: c, env: env, servers: servers, chunk: chunk}, nil
}

func (s *sink) Trigger() flow.Trigger { return s.config.trigger() }

func (s *sink) Guarantee() string {
	switch {
	case s.config.Endpoint == bucket.Embedded:
		return "exactly once into demo storage: plain files in " + s.embeddedDir() + ", no redundancy, no access control"
	case s.store == nil:
		return "exactly once, if the store honours If-None-Match, which is tried at the start"
	case !s.store.conditionalPut:
		return "AT LEAST ONCE: the store ignores If-None-Match, so two processes could write the same chunk; a restart finds its own objects by their keys"
	case !s.store.conditionalComplete:
		return "exactly once: objects are created with If-None-Match, in one request each because the store ignores it on CompleteMultipartUpload; at least once for objects beyond 5 GiB"
	}
	return "exactly once: objects are created with If-None-Match, and whoever repeats a chunk finds its own"
}

// Hint says how to look at what embedded storage holds.
func (s *sink) Hint() string {
	if s.config.Endpoint != bucket.Embedded || s.config.Format.Type != encode.Parquet {
		return ""
	}
	files := filepath.Join(s.embeddedDir(), s.config.Bucket, s.config.Static(), "**", "*.parquet")
	return fmt.Sprintf(`look at it with DuckDB, for example: duckdb -c "FROM read_parquet('%s') LIMIT 5"`, files)
}

// Start connects, and tries whether the bucket can be written.
func (s *sink) Start(ctx context.Context, _ json.RawMessage) error {
	if err := s.chunk.Start(); err != nil {
		return s.wrap(err)
	}
	if s.store == nil {
		if err := s.connect(); err != nil {
			return s.wrap(err)
		}
	}
	if err := s.store.probe(ctx, s.config.Static()+".millrace-probe-"+objects.TaskName(s.env.Identity)); err != nil {
		return s.wrap(s.store.explain(err))
	}
	s.sweepOwn(ctx)
	if !s.store.conditionalPut {
		s.env.Log.Warn("AT LEAST ONCE: the store ignores If-None-Match on Put, so exactly-once delivery cannot be promised",
			"endpoint", s.store.endpoint)
	}
	return nil
}

func (s *sink) embeddedDir() string { return filepath.Join(s.env.Data, "s3") }

func (s *sink) connect() error {
	endpoint := s.config.Endpoint
	keys := s.config.Keys()
	if endpoint == bucket.Embedded {
		server, release, err := s.servers.Acquire(s.embeddedDir())
		if err != nil {
			return err
		}
		if err := server.MakeBucket(s.config.Bucket); err != nil {
			return errors.Join(err, release())
		}
		s.release = release
		endpoint, keys = server.Endpoint, credentials.Value{AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey}
	}
	var err error
	s.store, err = newStore(&s.config, endpoint, keys)
	return err
}

func (s *sink) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	outcome, err := s.chunk.Add(b)
	if err != nil {
		return outcome, s.wrap(err)
	}
	return outcome, nil
}

// KeepsRejects implements flow.RejectKeeper.
func (s *sink) KeepsRejects() bool { return s.chunk.KeepsRejects() }

// Reject implements flow.RejectKeeper.
func (s *sink) Reject(r flow.Rejected) error {
	if err := s.chunk.Reject(r); err != nil {
		return s.wrap(err)
	}
	return nil
}

func (s *sink) Open() flow.Open { return s.chunk.Open() }

// Figures implements flow.Figured.
func (s *sink) Figures() flow.Figures { return s.chunk.Figures() }

// Plan completes the objects; their keys follow from the task and the chunk's number.
func (s *sink) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	plan, err := s.chunk.Plan(cut)
	if err != nil {
		return plan, s.wrap(err)
	}
	return plan, nil
}

// Put uploads the objects. Those that are there already are compared, never replaced.
func (s *sink) Put(ctx context.Context, plan flow.Plan) error {
	if err := s.chunk.Put(ctx, plan, s.putObject); err != nil {
		return s.wrap(err)
	}
	return nil
}

func (s *sink) putObject(ctx context.Context, o objects.Object) error {
	if !s.store.conditional(o.Size) {
		// Without conditions looking first is the best there is.
		if done, err := s.compare(ctx, o); done || err != nil {
			return err
		}
	}
	err := s.store.put(ctx, o)
	if !errors.Is(err, errExists) {
		if err != nil {
			return fmt.Errorf("put %s: %w", o.Key, s.store.explain(err))
		}
		return nil
	}
	done, err := s.compare(ctx, o)
	if err == nil && !done {
		err = fmt.Errorf("put %s: it existed and was gone a moment later", o.Key)
	}
	return err
}

// compare reports whether the object is in the bucket. Error: permanent, when its metadata is
// not what it should be.
func (s *sink) compare(ctx context.Context, o objects.Object) (done bool, err error) {
	have, ok, err := s.store.metadata(ctx, o.Key)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", o.Key, s.store.explain(err))
	}
	if !ok {
		return false, nil
	}
	if why := o.Differs(have); why != "" {
		return false, flow.Permanent(fmt.Errorf(
			"object %s exists in bucket %q with other content: %s; it was not replaced. Was the data directory restored from a copy? Move the object away to deliver the chunk",
			o.Key, s.store.bucket, why))
	}
	return true, nil
}

func (s *sink) Published(flow.Plan) {
	// A spool that cannot be removed is removed at the next start.
	if err := s.chunk.Drop(); err != nil {
		s.env.Log.Warn("remove a spool", "error", err)
	}
}

func (s *sink) Close() error {
	err := s.chunk.Drop()
	if s.store != nil {
		s.store.close()
	}
	if s.release != nil {
		err = errors.Join(err, s.release())
		s.release = nil
	}
	if err != nil {
		return s.wrap(err)
	}
	return nil
}

// wrap names the sink. It keeps a permanent error permanent.
func (s *sink) wrap(err error) error {
	return fmt.Errorf("s3 sink %q: %w", s.env.Identity.Name, err)
}
