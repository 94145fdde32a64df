package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sinks"
)

// warn notes what runs but is hardly meant. It is called once there are no mistakes. written says that clients, which
// may read too, write to the streams.
func (l *loader) warn(written bool) {
	for _, s := range l.streams {
		n := l.nodes[s.Name]
		switch {
		case n.readers == 0 && s.writers == 0 && !written:
			l.d.Warnf(s.at, "this stream is not used")
		case n.readers == 0 && !written:
			l.d.Warnf(s.at, "nothing reads this stream; add a sink with from: %s", s.Name)
		case s.writers == 0 && !written:
			l.d.Warnf(s.at, "no source writes to this stream")
		}
	}
	for _, t := range l.tables {
		if l.nodes[t.Name].readers == 0 {
			l.d.Warnf(t.at, "no query joins this table")
		}
	}
	for _, t := range l.transforms {
		if l.nodes[t.Name].readers == 0 {
			l.d.Warnf(t.at, "nothing reads this transform; add a sink with from: %s", t.Name)
		}
	}
	for _, q := range l.queries {
		if l.nodes[q.Name].readers == 0 && q.Into == "" {
			l.d.Warnf(q.at, "nothing reads this query; add a sink with from: %s", q.Name)
		}
	}
	l.warnOfSums()
	for _, s := range l.sinks {
		if d, ok := s.Config.(sinks.Doubter); ok && s.Schema != nil {
			for _, p := range d.Doubts(s.Schema) {
				at, _ := s.at.Find(p.Path)
				l.d.Warnf(at, "%s", p.Message)
			}
		}
	}
}

// onceEach is how to count the rows of a query that shows them early once each.
const onceEach = "%q shows rows early that later ones replace, and all of them are added up here; select window_final in it and read a filter with where: window_final"

// warnOfSums notes who adds up the rows of a query although some replace others.
func (l *loader) warnOfSums() {
	for _, early := range l.queries {
		if early.Query.Query == nil || !early.Query.Query.Early() {
			continue
		}
		for _, q := range l.queries {
			if x := q.Query.Query; x != nil && x.Windowed() && slices.Contains(x.Inputs(), early.Name) {
				l.d.Warnf(q.at, onceEach, early.Name)
			}
		}
		for _, s := range l.sinks {
			a, ok := s.Config.(sinks.Adder)
			if !ok || s.From != early.Name {
				continue
			}
			for _, path := range a.Adds() {
				at, _ := s.at.Find(path)
				l.d.Warnf(at, onceEach, early.Name)
			}
		}
	}
}

// pipeline is the result of a file without mistakes.
func (l *loader) pipeline() *Pipeline {
	p := &Pipeline{File: l.file, Name: l.name, Memory: l.spec.Memory, Tests: l.tests, Users: l.users, Warnings: l.d.Warnings(), reload: l.reloader()}
	for _, s := range l.streams {
		p.Streams = append(p.Streams, &s.Stream)
		if s.waits {
			p.Unknown = append(p.Unknown, &s.Stream)
		}
	}
	for _, s := range l.sources {
		p.Sources = append(p.Sources, &s.Source)
	}
	for _, t := range l.tables {
		p.Tables = append(p.Tables, &t.Table)
	}
	for _, t := range l.transforms {
		if t.opened != nil {
			p.Transforms = append(p.Transforms, &t.Transform)
		}
	}
	for _, q := range l.queries {
		if q.Query.Query == nil {
			continue
		}
		var cfg any = q.Text
		if tables := l.describeTables(q.Query.Query); len(tables) > 0 {
			cfg = append(tables, q.Text)
		}
		q.Generation, q.recorded = generation("query", cfg, q.Chains...), l.recordQuery(q)
		p.Queries = append(p.Queries, &q.Query)
	}
	for _, s := range l.sinks {
		if s.Schema == nil {
			continue
		}
		s.Generation, s.recorded = generation(s.Component.Type, s.Config, s.Chain), l.recordSink(s)
		p.Sinks = append(p.Sinks, &s.Sink)
	}
	return p
}

// generation is a hash of all in the file that a consumer's output depends on. Secrets count as
// equal, so a new password does not make a new generation.
func generation(kind string, cfg any, chains ...Chain) string {
	if len(chains) > 1 {
		var each []string
		for _, c := range chains {
			each = append(each, generation(kind, cfg, c))
		}
		sum := sha256.Sum256([]byte(strings.Join(each, " ")))
		return hex.EncodeToString(sum[:8])
	}
	c := chains[0]
	type step struct {
		Type   string
		Config any
	}
	steps := []step{{kind, cfg}}
	for _, t := range c.Steps {
		steps = append(steps, step{t.Component.Type, t.Config})
	}
	schema := ""
	if !c.Evolves {
		schema = column.Type{Kind: column.Struct, Fields: c.Schema.Fields}.String()
	}
	text, err := json.Marshal(struct {
		Steps           []step
		Root, EventTime string
		Delay           config.Duration
		Schema          string
	}{steps, c.Root, c.EventTime, config.Duration(c.Delay), schema})
	if err != nil {
		// A configuration that JSON cannot hold, such as one with an infinite number.
		text = fmt.Append(nil, kind, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
