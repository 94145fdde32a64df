// Package versions keeps the schema of a stream whose records decide on it: inferred from a sample,
// edited by people, widened by what comes.
//
// The invariant to remember: a version is written once, by compare-and-swap, and never changed. How a
// record is decoded follows from the record and the version alone, so a chunk that is redone with the
// version it was planned with comes out as it was, whatever the schema is by then.
package versions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/column/infer"
	"github.com/millrace-io/millrace/engine/stream"
)

// Rest is the name of the json column that takes what has no other.
const Rest = "_rest"

// MaxFields bounds the fields of a schema, nested ones included.
const MaxFields = 4096

// Origins of a version.
const (
	// FromSample: inferred from the first records.
	FromSample = "sample"
	// FromFile: a person wrote or edited it, in the pipeline file or the lock file.
	FromFile = "file"
	// FromRecords: widened by records that did not fit.
	FromRecords = "records"
)

// Version is a stream's schema at one time.
type Version struct {
	// Number counts from 1; 0 is no version.
	Number int64
	Schema *column.Schema
	// Declared are the columns of the pipeline file's schema, Fixed others that something depends on,
	// such as SQL. Both keep their types, and a value that they do not take makes the row bad. Strings
	// that are declared are JSON strings only; others take any scalar as it is written.
	Declared, Fixed []string
	// Origin is one of the From constants.
	Origin  string
	Created time.Time
}

// Options are what a decoder of the version is made with.
func (v Version) Options() column.Options {
	o := column.Options{Fixed: slices.Concat(v.Declared, v.Fixed), Text: true, Strict: v.Declared}
	if i := v.Schema.Index(Rest); i >= 0 && v.Schema.Fields[i].Type.Kind == column.JSON {
		o.Rest = Rest
	}
	return o
}

// Same reports whether two versions decode records alike.
func (v Version) Same(o Version) bool {
	return v.Schema != nil && o.Schema != nil && row(v).Equal(row(o)) &&
		slices.Equal(v.Fixed, o.Fixed) && slices.Equal(v.Declared, o.Declared)
}

func row(v Version) column.Type { return column.Type{Kind: column.Struct, Fields: v.Schema.Fields} }

// Stream is the versions of one stream's schema. Its methods may be called from any goroutine.
type Stream struct {
	meta   stream.Meta
	prefix string
	o      Options

	// telling lets one Changed run at a time.
	telling sync.Mutex

	mu      sync.Mutex // guards what follows
	current Version
}

// Options of a Stream.
type Options struct {
	// Add makes columns of unknown fields.
	Add bool
	Now func() time.Time
	// Changed, if not nil, is told of the current version after Extend wrote one.
	Changed func(Version)
}

// Open reads the latest version of a stream's schema; without one, Current has the number 0. Stream
// and incarnation are those of stream.Stream.
func Open(ctx context.Context, meta stream.Meta, name, incarnation string, o Options) (*Stream, error) {
	s := &Stream{meta: meta, prefix: prefix(name, incarnation), o: o}
	var err error
	s.current, err = latest(ctx, meta, s.prefix)
	return s, err
}

// Latest is the latest version of a stream's schema, with the number 0 if it has none.
func Latest(ctx context.Context, meta stream.Meta, name, incarnation string) (Version, error) {
	return latest(ctx, meta, prefix(name, incarnation))
}

// prefix of the versions' keys. A stream that was deleted and made again starts over.
func prefix(name, incarnation string) string { return "schemas/" + name + "/" + incarnation + "/" }

func latest(ctx context.Context, meta stream.Meta, prefix string) (Version, error) {
	keys, err := meta.List(ctx, prefix)
	if err != nil {
		return Version{}, fmt.Errorf("schema versions %s: %w", prefix, err)
	}
	for _, key := range slices.Backward(keys) {
		n, err := strconv.ParseInt(strings.TrimPrefix(key, prefix), 10, 64)
		if err != nil || n < 1 {
			continue
		}
		return read(ctx, meta, prefix, n)
	}
	return Version{}, nil
}

// key has ten digits, so that keys sort by number.
func key(prefix string, n int64) string { return fmt.Sprintf("%s%010d", prefix, n) }

func read(ctx context.Context, meta stream.Meta, prefix string, n int64) (Version, error) {
	value, _, err := meta.Get(ctx, key(prefix, n))
	if err != nil {
		return Version{}, fmt.Errorf("schema version %s: %w", key(prefix, n), err)
	}
	v, err := Decode(value)
	if err == nil && v.Number != n {
		err = fmt.Errorf("it holds version %d", v.Number)
	}
	if err != nil {
		return Version{}, fmt.Errorf("schema version %s: %w", key(prefix, n), err)
	}
	return v, nil
}

// Current is the latest version that is known here.
func (s *Stream) Current() Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// At returns a version by its number. Error: stream.ErrNotFound.
func (s *Stream) At(ctx context.Context, n int64) (Version, error) {
	if v := s.Current(); v.Number == n {
		return v, nil
	}
	return read(ctx, s.meta, s.prefix, n)
}

// Put writes the next version, unless it is the same as the current one, and returns what is current
// then. Number and Created of v are of no matter.
func (s *Stream) Put(ctx context.Context, v Version) (Version, error) {
	return s.update(ctx, func(Version) (Version, bool) { return v, true })
}

// Extend writes the next version if what o saw needs one, and returns what is current then. o is
// empty afterwards, unless there is an error.
func (s *Stream) Extend(ctx context.Context, o *Observer) (Version, error) {
	before := s.Current()
	v, err := s.update(ctx, func(have Version) (Version, bool) { return o.widen(have, s.o.Add) })
	if err != nil {
		return v, err
	}
	o.reset()
	if v.Number != before.Number && s.o.Changed != nil {
		s.telling.Lock()
		defer s.telling.Unlock()
		s.o.Changed(s.Current())
	}
	return v, nil
}

// update writes what next makes of the current version, again if another process was faster.
func (s *Stream) update(ctx context.Context, next func(Version) (Version, bool)) (Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		v, ok := next(s.current)
		if !ok || v.Same(s.current) {
			return s.current, nil
		}
		v.Number, v.Created = s.current.Number+1, s.o.Now().UTC().Truncate(time.Millisecond)
		value, err := Encode(v)
		if err != nil {
			return s.current, err
		}
		_, err = s.meta.CAS(ctx, key(s.prefix, v.Number), value, 0)
		switch {
		case err == nil:
			s.current = v
			return v, nil
		case !errors.Is(err, stream.ErrConflict):
			return s.current, fmt.Errorf("schema version %s: %w", key(s.prefix, v.Number), err)
		}
		if s.current, err = latest(ctx, s.meta, s.prefix); err != nil {
			return s.current, err
		}
	}
}

// Observer gathers what did not fit a version. One goroutine uses it.
type Observer struct {
	seen map[string]*infer.Values
	// names are those of seen in the order they came.
	names []string
	// values is how many are in seen.
	values int
}

// Bounds of an Observer: what comes later in the same chunk is told again in the next.
const (
	maxNames          = 1000
	maxValues         = 20_000
	maxValuesPerField = 200
	maxName           = 256
)

// Observe is what column.Options.Misfit takes.
func (o *Observer) Observe(name, value []byte) {
	v := o.seen[string(name)]
	switch {
	case o.values >= maxValues || v != nil && v.Len() >= maxValuesPerField:
		return
	case v == nil:
		if len(o.seen) >= maxNames || len(name) == 0 || len(name) > maxName || string(name) == Rest {
			return
		}
		if o.seen == nil {
			o.seen = make(map[string]*infer.Values)
		}
		v = new(infer.Values)
		o.seen[string(name)] = v
		o.names = append(o.names, string(name))
	}
	o.values++
	v.Add(value)
}

// Empty reports whether everything fitted.
func (o *Observer) Empty() bool { return len(o.seen) == 0 }

func (o *Observer) reset() { *o = Observer{} }

// widen is have with room for what was seen, and whether that makes a difference.
func (o *Observer) widen(have Version, add bool) (Version, bool) {
	if have.Schema == nil || o.Empty() {
		return have, false
	}
	next := have
	next.Origin = FromRecords
	next.Schema = &column.Schema{Fields: slices.Clone(have.Schema.Fields)}
	changed := false
	for _, name := range o.names {
		t, ok := o.seen[name].Type()
		if !ok || slices.Contains(have.Fixed, name) || slices.Contains(have.Declared, name) {
			continue
		}
		i := next.Schema.Index(name)
		switch {
		case i < 0 && add:
			next.Schema.Fields = append(next.Schema.Fields, column.Field{Name: name, Type: t})
		case i >= 0:
			wide := infer.Join(next.Schema.Fields[i].Type, t, add)
			if wide.Equal(next.Schema.Fields[i].Type) {
				continue
			}
			next.Schema.Fields[i].Type = wide
		default:
			continue
		}
		if count(next.Schema.Fields) > MaxFields || next.Schema.Validate() != nil {
			// It stays in the rest.
			if i < 0 {
				next.Schema.Fields = next.Schema.Fields[:len(next.Schema.Fields)-1]
			} else {
				next.Schema.Fields[i] = have.Schema.Fields[i]
			}
			continue
		}
		changed = true
	}
	return next, changed
}

// count is the number of fields, nested ones included.
func count(fields []column.Field) int {
	n := len(fields)
	for _, f := range fields {
		t := f.Type
		for t.Kind == column.List {
			t = *t.Elem
		}
		n += count(t.Fields)
	}
	return n
}
