package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/column/infer"
	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/record/aggregate"
	streams "github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/sinks"
)

// ErrUnsampled reports that a run was stopped before there was a record to infer a schema from.
var ErrUnsampled = errors.New("stopped before there was a record to infer the schema from")

// ResolveOptions are what Resolve needs.
type ResolveOptions struct {
	Load LoadOptions
	// Run is as for Open.
	Run Options
	// Say is told, in a line for people, what takes time and what was written; it may be nil.
	Say func(text string)
}

// Resolve is Load for a pipeline that is to run: it brings up to date the schemas that records decide
// on, in the data directory and in their lock files. Where there is none yet, it lets the sources run
// until there are enough records to infer one from.
func Resolve(ctx context.Context, path string, c Components, o ResolveOptions) (*Pipeline, error) {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	p, err := Load(path, c, o.Load)
	if err != nil || !slices.ContainsFunc(p.Streams, (*Stream).Evolves) {
		return p, err
	}
	did, err := p.gather(ctx, o)
	if err != nil {
		return nil, err
	}
	var settled *Pipeline
	err = untilRoom(ctx, o.Run, func() error {
		backend, err := openData(ctx, o.Run)
		if err != nil {
			return err
		}
		s := settling{o: o, backend: backend, streams: map[string]*versions.Stream{}, next: map[string]versions.Version{}, locks: map[string]Lock{}}
		settled, err = s.settle(ctx, path, c, p)
		return errors.Join(err, backend.Close())
	})
	if err != nil {
		return settled, err
	}
	for _, x := range settled.Sources {
		x.gathered = did[x.Name]
	}
	return settled, nil
}

// settling brings schemas up to date.
type settling struct {
	o       ResolveOptions
	backend *disk.Backend
	streams map[string]*versions.Stream
	// next are the versions that should be current, locks the files as they are.
	next  map[string]versions.Version
	locks map[string]Lock
	// inferring are the streams with infer.
	inferring []*Stream
}

func (s *settling) settle(ctx context.Context, path string, c Components, p *Pipeline) (*Pipeline, error) {
	for _, x := range p.Streams {
		if !x.Evolves() {
			continue
		}
		if err := s.find(ctx, x); err != nil {
			return nil, fmt.Errorf("stream %q: %w", x.Name, err)
		}
	}
	load := s.o.Load
	load.Schemas = s.next
	p, err := Load(path, c, load)
	if err != nil {
		return nil, errors.Join(err, s.leave())
	}
	for _, x := range p.Streams {
		if !x.Evolves() {
			continue
		}
		if err := s.keep(ctx, p, x); err != nil {
			return nil, fmt.Errorf("stream %q: %w", x.Name, err)
		}
	}
	return p, nil
}

// find decides which schema a stream should have.
func (s *settling) find(ctx context.Context, x *Stream) error {
	opened, err := streams.Open(ctx, s.backend, x.spec())
	if err != nil {
		return err
	}
	defer opened.Close()
	v, err := versions.Open(ctx, s.backend.Meta(), x.Name, opened.Incarnation(), versions.Options{Add: x.Add, Now: s.o.Run.Now})
	if err != nil {
		return err
	}
	s.streams[x.Name] = v
	var next versions.Version
	if x.Infer != nil {
		s.inferring = append(s.inferring, x)
		next, err = s.inferred(ctx, x, v, opened)
	} else {
		next = declared(x, v.Current())
	}
	if err != nil {
		return err
	}
	switch {
	case !x.Rest:
		next.Schema = withoutRest(next.Schema)
	default:
		next.Schema = withRest(next.Schema)
	}
	s.next[x.Name] = next
	return nil
}

// declared is the schema of the file with the columns that records added to it.
func declared(x *Stream, have versions.Version) versions.Version {
	next := versions.Version{Schema: &column.Schema{Fields: slices.Clone(x.Schema.Fields)}, Origin: versions.FromFile}
	next.Declared = withoutRest(x.Schema).Names()
	if have.Schema == nil {
		return next
	}
	for _, f := range have.Schema.Fields {
		// A column that was declared is gone when the file has it no more.
		if next.Schema.Index(f.Name) < 0 && !slices.Contains(have.Declared, f.Name) {
			next.Schema.Fields = append(next.Schema.Fields, f)
		}
	}
	return next
}

// inferred is the schema of the lock file if somebody edited it, else the current version, else that
// of a sample.
func (s *settling) inferred(ctx context.Context, x *Stream, v *versions.Stream, opened *streams.Stream) (versions.Version, error) {
	have := v.Current()
	lock, err := ReadLock(x.Infer.Lock)
	switch {
	case err == nil:
		s.locks[x.Name] = lock
		edited, err := s.edited(ctx, v, lock)
		if err != nil || !edited {
			return have, err
		}
		return versions.Version{Schema: lock.Schema, Origin: versions.FromFile}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return have, err
	case have.Number > 0:
		return have, nil
	}
	return s.sample(ctx, x, opened)
}

// edited reports whether a lock file has another schema than the version it was written from.
func (s *settling) edited(ctx context.Context, v *versions.Stream, lock Lock) (bool, error) {
	have := v.Current()
	if have.Number == 0 || lock.equal(have.Schema) {
		return have.Number == 0, nil
	}
	if lock.Version == 0 {
		return true, nil
	}
	from, err := v.At(ctx, lock.Version)
	if errors.Is(err, streams.ErrNotFound) {
		return true, nil // it was written beside another data directory
	}
	return err == nil && !lock.equal(from.Schema), err
}

// sample infers the schema from the oldest records.
func (s *settling) sample(ctx context.Context, x *Stream, opened *streams.Stream) (versions.Version, error) {
	sample := infer.New(infer.Limits{})
	add := func(r []byte) error {
		if err := sample.Add(r); errors.Is(err, infer.ErrTooManyFields) {
			return err
		}
		return nil
	}
	if x.UserRecords {
		add = eachUser(add)
	}
	err := oldest(ctx, opened, x.Infer.Sample, add)
	if err != nil {
		return versions.Version{}, err
	}
	schema := sample.Schema(infer.MixedText)
	switch {
	case sample.Rows()+sample.Bad() == 0:
		return versions.Version{}, errors.New("it has no records to infer a schema from; put some in, or write schema: {field: type}")
	case sample.Rows() == 0:
		return versions.Version{}, fmt.Errorf("none of the %d records looked at is a JSON object, so no schema can be inferred", sample.Bad())
	case len(schema.Fields) == 0:
		return versions.Version{}, fmt.Errorf("the %d records looked at have no fields with values, so no schema can be inferred", sample.Rows())
	}
	asTimestamp(schema, x.EventTime)
	s.o.Say(fmt.Sprintf("stream %s: inferred %d columns from %d records", x.Name, len(schema.Fields), sample.Rows()))
	return versions.Version{Schema: schema, Origin: versions.FromSample}, nil
}

// asTimestamp makes a timestamp of an event time that came as integers: milliseconds since the epoch.
func asTimestamp(s *column.Schema, eventTime string) {
	if i := s.Index(eventTime); i >= 0 && s.Fields[i].Type.Kind == column.BigInt {
		s.Fields[i].Type.Kind = column.Timestamp
	}
}

// keep makes the schema of a loaded stream the current version and writes the lock file.
func (s *settling) keep(ctx context.Context, p *Pipeline, x *Stream) error {
	v := s.streams[x.Name]
	next := x.Version
	next.Fixed = p.fixed(x, next.Declared)
	before := v.Current()
	now, err := v.Put(ctx, next)
	if err != nil {
		return err
	}
	x.Version, x.Schema = now, now.Schema
	if x.Infer == nil {
		return nil
	}
	if lock, ok := s.locks[x.Name]; ok && lock.Version == now.Number {
		return nil
	}
	if err := writeLock(p, x, now); err != nil {
		s.o.Run.Log.Warn("the lock file cannot be written; the schema is in the data directory alone", "stream", x.Name, "file", x.Infer.Lock, "error", err)
		return nil
	}
	switch {
	case before.Number == 0 && now.Origin == versions.FromSample:
		s.o.Say(fmt.Sprintf("stream %s: wrote %s; review it, what you change holds from the next start", x.Name, x.Infer.Lock))
	case now.Number != before.Number:
		s.o.Say(fmt.Sprintf("stream %s: %s is version %d of the schema now", x.Name, x.Infer.Lock, now.Number))
	}
	return nil
}

// leave writes lock files for schemas that were inferred and that the pipeline cannot use, so that
// they can be edited.
func (s *settling) leave() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.next)) {
		next := s.next[name]
		if next.Origin != versions.FromSample || next.Number > 0 {
			continue
		}
		for _, x := range s.inferring {
			if x.Name == name {
				errs = append(errs, Lock{Schema: withoutRest(next.Schema)}.Write(x.Infer.Lock, "The schema that was inferred for stream "+name+"; the pipeline file does not fit it.\n"))
				s.o.Say(fmt.Sprintf("stream %s: the inferred schema is in %s; change it there, or the pipeline file", name, x.Infer.Lock))
			}
		}
	}
	return errors.Join(errs...)
}

// writeLock writes the lock file of a stream.
func writeLock(p *Pipeline, x *Stream, v versions.Version) error {
	head := fmt.Sprintf("The schema of stream %s in %s, version %d (%s).\nChange types or remove columns here, and start the pipeline again: docs/schema.md.\n",
		x.Name, filepath.Base(p.File), v.Number, v.Origin)
	return Lock{Version: v.Number, Schema: withoutRest(v.Schema)}.Write(x.Infer.Lock, head)
}

// fixed are the columns that something in the file depends on, besides those declared: the event
// time, and what transforms, queries and partitions are made of.
func (p *Pipeline) fixed(x *Stream, declared []string) []string {
	names := []string{x.EventTime}
	for _, q := range p.Queries {
		for i, c := range q.Chains {
			if c.Root == x.Name {
				names = append(names, c.Needs(q.Query.Needs(i))...)
			}
		}
	}
	for _, s := range p.Sinks {
		if s.Chain.Root != x.Name {
			continue
		}
		read := []string{}
		if r, ok := s.Config.(sinks.Reader); ok {
			read = append(read, r.Reads(s.Schema)...)
		}
		names = append(names, s.Chain.Needs(read)...)
	}
	names = column.Tops(names)
	slices.Sort(names)
	return slices.DeleteFunc(names, func(n string) bool {
		return x.Schema.Index(n) < 0 || n == versions.Rest || slices.Contains(declared, n)
	})
}

// oldest calls f with the oldest records of a stream, about n, the same part from each shard.
func oldest(ctx context.Context, s *streams.Stream, n int, f func(data []byte) error) error {
	shards := s.Shards()
	share := (n + len(shards) - 1) / len(shards)
	var buf streams.Buffer
	for _, sh := range shards {
		log := s.Log(sh.ID)
		next, left := log.Bounds().Oldest, share
		for left > 0 {
			frames, err := log.Read(ctx, next, &buf)
			if err != nil {
				return fmt.Errorf("read %s: %w", sh.ID, err)
			}
			if len(frames) == 0 {
				break
			}
			for _, frame := range frames {
				body := frame.Body
				for i := 0; i < frame.Count && left > 0; i++ {
					var r record.Record
					if r, body, err = record.Next(body); err != nil {
						return err
					}
					if frame.First+record.Ordinal(i) < next {
						continue
					}
					left--
					if err := f(r.Data); err != nil {
						return err
					}
				}
				next = frame.Next()
			}
		}
	}
	return nil
}

// eachUser calls f with the user records of a record, whichever shard they belong to.
func eachUser(f func(data []byte) error) func(data []byte) error {
	var users aggregate.Reader
	return func(data []byte) error {
		if !users.Open(data) {
			return f(data)
		}
		for u, more := users.Next(); more; u, more = users.Next() {
			if err := f(u.Data); err != nil {
				return err
			}
		}
		return nil
	}
}
