package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/encode"
	"github.com/millrace-io/millrace/sinks/s3/embedded"
)

// sink delivers chunks of rows, each as one object for each partition.
type sink struct {
	config  Config
	env     sinks.Env
	servers *embedded.Pool
	chunk   chunk
	// frozen are the objects of the planned chunk by key.
	frozen map[string]*part
	// store is nil until Start.
	store   *store
	release func() error
}

func newSink(c Config, env sinks.Env, servers *embedded.Pool) (*sink, error) {
	writer, err := encode.NewWriter(env.Schema, c.options())
	if err != nil {
		return nil, &config.PathError{Path: "format", Err: err}
	}
	s := &sink{config: c, env: env, servers: servers}
	s.chunk = newChunk(writer, env.Schema, env.Dir, env.Memory)
	if len(c.PartitionBy) > 0 {
		s.chunk.partitioner, err = newPartitioner(c.PartitionBy, env.Schema)
	}
	return s, err
}

func (s *sink) Trigger() flow.Trigger { return s.config.trigger() }

func (s *sink) Guarantee() string {
	switch {
	case s.config.Endpoint == embeddedEndpoint:
		return "exactly once into demo storage: plain files in " + s.embeddedDir() + ", no redundancy, no access control"
	case s.store == nil:
		return "exactly once, if the store honours If-None-Match, which is tried at the start"
	case !s.store.conditionalPut:
		return "AT LEAST ONCE: the store ignores If-None-Match, so two processes could write the same chunk; a restart finds its own objects by their keys"
	}
	return "exactly once: objects are created with If-None-Match, and whoever repeats a chunk finds its own"
}

// Hint says how to look at what embedded storage holds.
func (s *sink) Hint() string {
	if s.config.Endpoint != embeddedEndpoint || s.config.Format.Type != encode.Parquet {
		return ""
	}
	files := filepath.Join(s.embeddedDir(), s.config.Bucket, s.config.prefix(), "**", "*.parquet")
	return fmt.Sprintf(`look at it with DuckDB, for example: duckdb -c "FROM read_parquet('%s') LIMIT 5"`, files)
}

// Start connects, and tries whether the bucket can be written.
func (s *sink) Start(ctx context.Context, _ json.RawMessage) error {
	if err := dropSpools(s.env.Dir); err != nil {
		return s.wrap(fmt.Errorf("remove old spools: %w", err))
	}
	if s.store == nil {
		if err := s.connect(); err != nil {
			return s.wrap(err)
		}
	}
	if err := s.store.probe(ctx, s.config.prefix()+".millrace-probe-"+s.name()); err != nil {
		return s.wrap(s.store.explain(err))
	}
	if !s.store.conditionalPut {
		s.env.Log.Warn("AT LEAST ONCE: the store ignores If-None-Match on Put, so exactly-once delivery cannot be promised",
			"endpoint", s.store.endpoint)
	}
	return nil
}

func (s *sink) embeddedDir() string { return filepath.Join(s.env.Data, "s3") }

func (s *sink) connect() error {
	endpoint, access, secret := s.config.Endpoint, s.config.AccessKey.Reveal(), s.config.SecretKey.Reveal()
	if endpoint == embeddedEndpoint {
		server, release, err := s.servers.Acquire(s.embeddedDir())
		if err != nil {
			return err
		}
		if err := server.MakeBucket(s.config.Bucket); err != nil {
			return errors.Join(err, release())
		}
		s.release = release
		endpoint, access, secret = server.Endpoint, server.AccessKey, server.SecretKey
	}
	var err error
	s.store, err = newStore(&s.config, endpoint, access, secret)
	return err
}

func (s *sink) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	outcome, err := s.chunk.add(b)
	if err != nil {
		return outcome, s.wrap(err)
	}
	return outcome, nil
}

func (s *sink) Open() flow.Open {
	return flow.Open{Rows: s.chunk.rows, Encoded: s.chunk.encoded, Memory: s.chunk.memory}
}

// Plan completes the objects; their keys follow from the task and the chunk's number.
func (s *sink) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	parts, err := s.chunk.freeze()
	if err != nil {
		return flow.Plan{}, s.wrap(err)
	}
	plan := flow.Plan{Cut: cut}
	s.frozen = make(map[string]*part, len(parts))
	for _, p := range parts {
		key := s.key(p.path, cut.Chunk)
		s.frozen[key] = p
		plan.Objects = append(plan.Objects, flow.Object{
			Key: key, Rows: p.rows, Hash: p.hash.String(), Bytes: p.spool.size(),
		})
	}
	return plan, nil
}

// name is the task in keys and metadata.
func (s *sink) name() string {
	id := s.env.Identity
	return strings.Join([]string{url.PathEscape(id.Pipeline), url.PathEscape(id.Name), id.Incarnation, strconv.Itoa(id.Task)}, "-")
}

func (s *sink) key(path string, chunk int64) string {
	return fmt.Sprintf("%s%s%s-%010d%s", s.config.prefix(), path, s.name(), chunk, s.chunk.writer.Options().Extension())
}

// Put uploads the objects. Those that are there already are compared, never replaced.
func (s *sink) Put(ctx context.Context, plan flow.Plan) error {
	for _, o := range plan.Objects {
		p := s.frozen[o.Key]
		if p == nil {
			return flow.Permanent(s.wrap(fmt.Errorf("chunk %d was planned with object %s, which it does not have now", plan.Cut.Chunk, o.Key)))
		}
		if p.done {
			continue
		}
		if err := s.putObject(ctx, plan.Cut, o, p); err != nil {
			return s.wrap(err)
		}
		p.done = true
	}
	return nil
}

func (s *sink) putObject(ctx context.Context, cut flow.Cut, planned flow.Object, p *part) error {
	content, err := p.spool.content()
	if err != nil {
		return err
	}
	o := object{
		key: planned.Key, contentType: s.chunk.writer.Options().ContentType(),
		metadata: s.metadata(cut, planned), content: content, size: p.spool.size(), crc: p.spool.crc,
	}
	if !s.store.conditionalPut {
		// Without conditions looking first is the best there is.
		if done, err := s.compare(ctx, o); done || err != nil {
			return err
		}
	}
	err = s.store.put(ctx, o)
	if !errors.Is(err, errExists) {
		if err != nil {
			return fmt.Errorf("put %s: %w", o.key, s.store.explain(err))
		}
		return nil
	}
	done, err := s.compare(ctx, o)
	if err == nil && !done {
		err = fmt.Errorf("put %s: it existed and was gone a moment later", o.key)
	}
	return err
}

// compare reports whether the object is in the bucket. Error: permanent, when its metadata is
// not what it should be.
func (s *sink) compare(ctx context.Context, o object) (done bool, err error) {
	have, ok, err := s.store.metadata(ctx, o.key)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", o.key, s.store.explain(err))
	}
	if !ok {
		return false, nil
	}
	for _, k := range []string{metaTask, metaChunk, metaRows, metaHash} {
		if have[k] != o.metadata[k] {
			return false, flow.Permanent(fmt.Errorf(
				"object %s exists in bucket %q with other content: its %s is %q instead of %q; it was not replaced. Was the data directory restored from a copy? Move the object away to deliver the chunk",
				o.key, s.store.bucket, k, have[k], o.metadata[k]))
		}
	}
	return true, nil
}

// The metadata of an object, x-amz-meta-…. The first four are compared when an object exists.
const (
	metaTask   = "millrace-task"
	metaChunk  = "millrace-chunk"
	metaRows   = "millrace-rows"
	metaHash   = "millrace-hash"
	metaReason = "millrace-reason"
	metaRanges = "millrace-ranges"
)

// maxRanges bounds the ranges in the metadata, which S3 limits to 2 KiB in all. The checkpoint has
// them in any case.
const maxRanges = 1 << 10

func (s *sink) metadata(cut flow.Cut, o flow.Object) map[string]string {
	m := map[string]string{
		metaTask:   s.name(),
		metaChunk:  strconv.FormatInt(cut.Chunk, 10),
		metaRows:   strconv.FormatInt(o.Rows, 10),
		metaHash:   o.Hash,
		metaReason: cut.Reason,
	}
	var ranges []string
	for shard, r := range cut.Ranges {
		ranges = append(ranges, fmt.Sprintf("%s:%d-%d", shard, r.From, r.To))
	}
	slices.Sort(ranges)
	if text := strings.Join(ranges, " "); len(text) <= maxRanges {
		m[metaRanges] = text
	}
	return m
}

func (s *sink) Published(flow.Plan) {
	// A spool that cannot be removed is removed at the next start.
	if err := s.chunk.drop(); err != nil {
		s.env.Log.Warn("remove a spool", "error", err)
	}
	s.frozen = nil
}

func (s *sink) Close() error {
	err := s.chunk.drop()
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
