package pipelines

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/config"
)

// inferSpec says how a schema is found in the records.
type inferSpec struct {
	// Sample is how many records the schema is inferred from.
	Sample int `yaml:"sample" min:"1" max:"100000"`
	// Wait is how long the first run waits for so many records, counted from the first one.
	Wait config.Duration `yaml:"wait" min:"0s" max:"1h"`
	// Lock is the file with the schema, beside the pipeline file. It is written when it is not there
	// and when the schema changes; what you change in it holds from the next start. Default: the
	// stream's id with .schema.yaml.
	Lock string `yaml:"lock"`
}

func defaultInfer() inferSpec {
	return inferSpec{Sample: 1000, Wait: config.Duration(5 * time.Second)}
}

// Infer says how a stream's schema is found in its records.
type Infer struct {
	// Sample is how many records it is inferred from, Wait how long a first run waits for them.
	Sample int
	Wait   time.Duration
	// Lock is the path of the file with the schema.
	Lock string
}

// Evolves reports whether records may change the schema.
func (s *Stream) Evolves() bool { return s.Infer != nil || s.Add }

// findSchema decides which schema the stream has, as far as that is known by now.
func (l *loader) findSchema(s *stream) {
	infer, unknown := s.at.Get("infer"), s.at.Get("unknown")
	switch {
	case infer != nil && s.at.Get("schema") != nil:
		l.d.KeyErrorf(infer, "the stream has a schema; remove schema to infer one, or infer to keep it")
		s.broken = true
		return
	case infer == nil && s.Schema == nil:
		if unknown != nil && !s.broken {
			l.d.KeyErrorf(unknown, "the stream has no schema; add schema: {field: type} or infer: {}")
		}
		return
	}
	kept := cmp.Or(s.spec.Unknown, map[bool]string{true: "rest", false: "ignore"}[infer != nil])
	s.Rest, s.Add = kept != "ignore", kept == "add"
	if infer != nil {
		lock := cmp.Or(s.spec.Infer.Lock, s.Name+".schema.yaml")
		if !filepath.IsAbs(lock) {
			lock = filepath.Join(filepath.Dir(l.file), lock)
		}
		s.Infer = &Infer{Sample: s.spec.Infer.Sample, Wait: s.spec.Infer.Wait.Std(), Lock: lock}
		l.checkLock(s, infer)
	}
	if s.broken {
		return
	}
	if v, ok := l.schemas[s.Name]; ok {
		s.Schema, s.Version = v.Schema, v
		return
	}
	if s.Infer != nil && !l.readLock(s, infer) || !s.Rest {
		return
	}
	if s.Schema.Index(versions.Rest) >= 0 {
		l.d.KeyErrorf(s.at.Get("schema"), "the name %s is that of the column for unknown fields; rename the field", versions.Rest)
		s.broken = true
		return
	}
	s.Schema = withRest(s.Schema)
}

// withRest is the schema with the column for what has no other.
func withRest(s *column.Schema) *column.Schema {
	if s.Index(versions.Rest) >= 0 {
		return s
	}
	return &column.Schema{Fields: append(slices.Clip(slices.Clone(s.Fields)), column.Field{Name: versions.Rest, Type: column.Type{Kind: column.JSON}})}
}

// withoutRest is the schema as people write it.
func withoutRest(s *column.Schema) *column.Schema {
	i := s.Index(versions.Rest)
	if i < 0 {
		return s
	}
	return &column.Schema{Fields: slices.Delete(slices.Clone(s.Fields), i, i+1)}
}

// checkLock demands that each stream has a lock file of its own.
func (l *loader) checkLock(s *stream, at *config.Node) {
	if filepath.Clean(s.Infer.Lock) == filepath.Clean(l.file) {
		l.d.KeyErrorf(at, "lock is the pipeline file itself; name another file")
		s.broken = true
	}
	for _, other := range l.streams {
		if other.Infer != nil && filepath.Clean(other.Infer.Lock) == filepath.Clean(s.Infer.Lock) {
			l.d.KeyErrorf(at, "stream %q has the same lock file %s; name one for each", other.Name, s.spec.Infer.Lock)
			s.broken = true
		}
	}
}

// readLock takes the schema from the stream's lock file and reports whether there is one.
func (l *loader) readLock(s *stream, at *config.Node) bool {
	lock, err := ReadLock(s.Infer.Lock)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.waits = true
		return false
	case err != nil:
		l.d.KeyErrorf(at, "%v", err)
		s.broken = true
		return false
	}
	s.Schema = lock.Schema
	return true
}
