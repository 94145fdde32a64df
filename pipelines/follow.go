package pipelines

import (
	"context"
	"fmt"

	"github.com/millrace-io/millrace/engine/column/versions"
)

// followSchema makes the versions of a stream's schema known to its consumers.
func (r *Run) followSchema(ctx context.Context, s *Stream) error {
	if !s.Evolves() || len(r.pipeline.Queries)+len(r.pipeline.Sinks) == 0 {
		return nil
	}
	o := versions.Options{Add: s.Add, Now: r.o.Now}
	o.Changed = func(v versions.Version) { r.relock(s, v) }
	v, err := versions.Open(ctx, r.backend.Meta(), s.Name, r.feeds[s.Name].stream.Incarnation(), o)
	if err != nil {
		return err
	}
	if now := v.Current(); now.Number == 0 || now.Number != s.Version.Number {
		return fmt.Errorf("stream %q: the pipeline was loaded with version %d of its schema, and the data directory has %d; load it again with Resolve", s.Name, s.Version.Number, now.Number)
	}
	r.versions[s.Name] = v
	return nil
}

// relock writes a new version of the schema to the lock file, unless somebody edited it meanwhile:
// the edit holds from the next start.
func (r *Run) relock(s *Stream, v versions.Version) {
	log := r.o.Log.With("stream", s.Name, "version", v.Number)
	log.Info("records widened the schema")
	if s.Infer == nil {
		return
	}
	if lock, err := ReadLock(s.Infer.Lock); err == nil && lock.Version > 0 {
		written, err := r.versions[s.Name].At(context.Background(), lock.Version)
		if err != nil || !lock.equal(written.Schema) {
			log.Warn("the lock file was edited and is left as it is; it holds from the next start", "file", s.Infer.Lock)
			return
		}
	} else if err == nil {
		return
	}
	if err := writeLock(r.pipeline, s, v); err != nil {
		log.Warn("the lock file cannot be written; the schema is in the data directory", "file", s.Infer.Lock, "error", err)
	}
}
