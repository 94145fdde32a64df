package pipelines

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
)

// recorded is the part of a pipeline file that one consumer depends on, so that what it planned can be
// delivered after the file has changed. It holds no secrets but references to them.
type recorded struct {
	// File is a pipeline file with the consumer alone; its entry comes last, without the keys in Own.
	File string
	// Evolving are the streams in it whose records decide on the schema.
	Evolving []string
	// Inputs are those of a query that has several.
	Inputs []recordedInput
	// Type of a sink.
	Type string
	// Own are the keys of a sink that are taken from the present file when its record is used, so that
	// credentials may change and stores move.
	Own []ownKey
}

// recordedInput is what an input of a query is called there, and the stream that its rows are of.
type recordedInput struct {
	Name   string `json:"name"`
	Stream string `json:"stream"`
}

// planned is the version of a stream's schema that a chunk was planned with, 0 if that is not known.
func (r recorded) planned(stream string, cut flow.Cut) int64 {
	for i, in := range r.Inputs {
		switch {
		case in.Stream != stream:
		case i > 0:
			return cut.Schemas[in.Name]
		default:
			return cut.Schema
		}
	}
	if len(r.Inputs) > 0 {
		return 0
	}
	return cut.Schema
}

// ownKey is a key with its value in YAML. Present may hold a secret, and is not stored.
type ownKey struct {
	Key      string `json:"key"`
	Recorded string `json:"recorded,omitempty"`
	present  string
}

// reload is parse for a record.
type reload func(text string, schemas map[string]versions.Version) (*Pipeline, error)

// reloader makes records of this file's pipeline readable. Names of files in them are relative to the file.
func (l *loader) reloader() reload {
	name := filepath.Join(filepath.Dir(l.file), "recorded.yaml")
	c, getenv := l.components, l.getenv
	return func(text string, schemas map[string]versions.Version) (*Pipeline, error) {
		return parse(name, []byte(text), c, LoadOptions{Getenv: getenv, Schemas: schemas})
	}
}

// recordKeys are the keys of a stream that decide how its records are read.
var recordKeys = []string{"schema", "infer", "unknown", "user_records", "event_time", "watermark"}

// recorder writes the entries that a consumer depends on.
type recorder struct {
	l                                    *loader
	streams, tables, transforms, queries []string
	evolving                             []string
}

// need takes an entry that is read from, and those before it.
func (r *recorder) need(id string) {
	n := r.l.nodes[id]
	add := func(to *[]string) bool {
		if slices.Contains(*to, id) {
			return false
		}
		*to = append(*to, id)
		return true
	}
	switch {
	case n == nil:
	case n.stream != nil:
		if add(&r.streams) && n.stream.Evolves() {
			r.evolving = append(r.evolving, id)
		}
	case n.table != nil:
		add(&r.tables)
	case n.transform != nil:
		if add(&r.transforms) {
			r.need(n.transform.From)
		}
	case n.query != nil:
		if add(&r.queries) {
			for _, from := range n.query.inputs {
				r.need(from)
			}
		}
	}
}

func (r *recorder) file() []byte {
	out := []byte("version: 1\nname: " + strconv.Quote(r.l.name) + "\n")
	section := func(name string, ids []string, keys ...string) {
		if len(ids) == 0 {
			return
		}
		out = append(out, name+":\n"...)
		for _, id := range ids {
			at := r.l.nodes[id].at
			if keys != nil {
				at = at.Only(keys...)
			}
			out = append(out, "  "+strconv.Quote(id)+":"...)
			out = at.AppendYAML(out, 2)
		}
	}
	section("streams", r.streams, recordKeys...)
	if len(r.tables) > 0 {
		// Where they are is of no concern: versions that plans name are in the data directory.
		out = append(out, "tables:\n"...)
	}
	for _, id := range r.tables {
		out = append(out, "  "+strconv.Quote(id)+":\n    type: file\n    path: recorded"...)
		out = r.l.nodes[id].at.Only("format", "schema", "delimiter", "header").AppendYAML(out, 2)
	}
	section("transforms", r.transforms)
	section("queries", r.queries)
	return out
}

func (l *loader) recordQuery(q *query) recorded {
	r := recorder{l: l}
	r.need(q.Name)
	out := recorded{File: string(r.file()), Evolving: r.evolving}
	if len(q.Chains) > 1 {
		for i, name := range q.Query.Query.Inputs() {
			out.Inputs = append(out.Inputs, recordedInput{Name: name, Stream: q.Chains[i].Root})
		}
	}
	return out
}

func (l *loader) recordSink(s *sink) recorded {
	r := recorder{l: l}
	r.need(s.From)
	var current []string
	if c, ok := s.Config.(sinks.Renewer); ok {
		current = c.Renewed()
	}
	out := recorded{Type: s.Component.Type}
	kept := make([]string, 0, len(s.at.Keys))
	for i, key := range s.at.Keys {
		v := s.at.Values[i]
		if !v.Secret() && !slices.Contains(current, key) {
			kept = append(kept, key)
			continue
		}
		own := ownKey{Key: key, Recorded: string(v.AppendYAML(nil, 3)), present: string(v.AppendYAML(nil, 3))}
		if v.Secret() {
			own.present = " " + config.QuoteText(v.Text()) + "\n"
			if !v.Reference() {
				own.Recorded = ""
			}
		}
		out.Own = append(out.Own, own)
	}
	text := append(r.file(), "sinks:\n  "+strconv.Quote(s.Name)+":"...)
	out.Evolving = r.evolving
	out.File = string(s.at.Only(kept...).AppendYAML(text, 2))
	return out
}

// with is the file of a record with the keys that the consumer's present record has of its own, or,
// where the type is another one by now, with those that were recorded.
func (r recorded) with(present *recorded) string {
	var out strings.Builder
	out.WriteString(r.File)
	add := func(key, value string) {
		if value != "" {
			out.WriteString("    " + key + ":" + value)
		}
	}
	if present != nil && present.Type == r.Type {
		for _, k := range present.Own {
			add(k.Key, k.present)
		}
		return out.String()
	}
	for _, k := range r.Own {
		add(k.Key, k.Recorded)
	}
	return out.String()
}
