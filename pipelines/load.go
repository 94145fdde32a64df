package pipelines

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/millrace-io/millrace/engine/api/users"
	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sources"
	"github.com/millrace-io/millrace/transforms"
)

// LoadOptions are what Load gets from the outside.
type LoadOptions struct {
	// Getenv looks up ${env:NAME}; nil means the process's environment.
	Getenv func(name string) (string, bool)
	// Schemas are those of streams whose records decide on them, by name. Without one, a stream with
	// infer has the schema in its lock file or, before there is one, none: see Pipeline.Unknown.
	Schemas map[string]versions.Version
	// Written says that others than the sources write to the streams.
	Written bool
	// UsersAlone lets a file have users and no streams: it is served, not run.
	UsersAlone bool
}

// Load reads a pipeline file, checks it and resolves it. An error of type config.Errors holds every
// mistake of the file; any other means that it could not be read.
func Load(path string, c Components, o LoadOptions) (*Pipeline, error) {
	data, err := config.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, data, c, o)
}

// parse is Load for a file in memory.
func parse(path string, data []byte, c Components, o LoadOptions) (*Pipeline, error) {
	getenv := o.Getenv
	if getenv == nil {
		getenv = os.LookupEnv
	}
	l := &loader{
		components: c, file: path, getenv: getenv, spec: defaultFile(), nodes: make(map[string]*node), claimed: make(map[string]string), schemas: o.Schemas,
		d: config.NewDecoder(path, config.Options{Getenv: getenv}),
	}
	root := l.d.Parse(data)
	if root != nil {
		l.d.Decode(root, &l.spec)
		l.load(root)
		l.needStreams(root, o.UsersAlone)
	}
	if err := l.d.Err(); err != nil {
		return nil, err
	}
	l.warn(o.Written)
	return l.pipeline(), nil
}

// loader holds what is known of a file while it is checked.
type loader struct {
	components Components
	file       string
	getenv     func(name string) (string, bool)
	d          *config.Decoder
	spec       fileSpec
	schemas    map[string]versions.Version

	name       string
	streams    []*stream
	sources    []*source
	transforms []*transform
	queries    []*query
	sinks      []*sink
	tables     []*tableEntry
	tests      []*Test
	users      []users.Fixed
	// nodes are all that can be read from, by id; ids lists them in the order of the file.
	nodes map[string]*node
	ids   []string
	// claimed says which source or sink has what only one can have.
	claimed map[string]string
}

// The entries of a file with their place in it. spec is the decoded settings; broken is set when
// they hold mistakes, so that what depends on them is not blamed.
type (
	stream struct {
		Stream
		at      *config.Node
		spec    streamSpec
		broken  bool
		writers int
		// waits is set while the schema is not known, which is no mistake.
		waits bool
	}
	source struct {
		Source
		at   *config.Node
		head sourceHead
	}
	transform struct {
		Transform
		at    *config.Node
		head  transformHead
		known bool
	}
	query struct {
		Query
		at   *config.Node
		spec querySpec
		// inputs are the names in FROM.
		inputs []string
	}
	sink struct {
		Sink
		at    *config.Node
		head  sinkHead
		known bool
	}
)

// load does everything after decoding the file's own keys: the entries first, then the graph.
func (l *loader) load(root *config.Node) {
	l.pipelineName(root)
	for i := range l.spec.Streams {
		l.loadStream(&l.spec.Streams[i])
	}
	for _, e := range l.spec.Sources {
		l.loadSource(e)
	}
	for _, e := range l.spec.Tables {
		l.loadTable(e)
	}
	l.shareTables()
	for _, e := range l.spec.Transforms {
		l.loadTransform(e)
	}
	for _, e := range l.spec.Queries {
		q := &query{Query: Query{Name: e.ID}, at: e.Node, spec: e.Value}
		l.queries = append(l.queries, q)
		l.declare(&node{kind: "query", id: e.ID, at: e.Node, query: q})
	}
	for _, e := range l.spec.Sinks {
		l.loadSink(e)
	}
	l.resolveAll()
	for i := range l.spec.Users {
		l.loadUser(&l.spec.Users[i])
	}
	l.loadTests()
}

// needStreams reports that there are none, unless users are enough.
func (l *loader) needStreams(root *config.Node, usersAlone bool) {
	at := root.Get("streams")
	switch {
	case len(l.spec.Streams) > 0 || l.d.Reported("streams"):
	case at != nil:
		l.d.KeyErrorf(at, "there are no streams; a pipeline needs one to write to and read from")
	case len(l.spec.Users) == 0:
		l.d.KeyErrorf(root, "missing key \"streams\"")
	case !usersAlone:
		l.d.KeyErrorf(root, "missing key \"streams\"; a file with users alone is for `millrace serve`")
	}
}

// idSyntax is what ids and the pipeline's name look like. They become parts of directories, object
// keys and metric labels. A leading underscore is left to the program.
var idSyntax = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

const idRule = "use 1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit"

func (l *loader) checkID(e *config.Node, id string) {
	if !idSyntax.MatchString(id) {
		l.d.KeyErrorf(e, "%s is no id; %s", quoteID(id), idRule)
	}
}

func quoteID(id string) string {
	const shown = 70
	if len(id) > shown {
		id = strings.ToValidUTF8(id[:shown], "") + "…"
	}
	return fmt.Sprintf("%q", id)
}

func (l *loader) pipelineName(root *config.Node) {
	l.name = l.spec.Name
	at := root.Get("name")
	if at == nil {
		base := filepath.Base(l.file)
		l.name = strings.TrimSuffix(base, filepath.Ext(base))
		if !idSyntax.MatchString(l.name) {
			l.d.KeyErrorf(root, "the file's name %s cannot name the pipeline; add name: with an id (%s)", quoteID(base), idRule)
		}
		return
	}
	if at.Kind == config.Scalar && !idSyntax.MatchString(l.name) {
		l.d.Errorf(at, "%s is no name; %s", quoteID(l.name), idRule)
	}
}

func (l *loader) loadStream(e *config.Entry[streamSpec]) {
	l.checkID(e.Node, e.ID)
	spec := e.Value
	s := &stream{at: e.Node, spec: spec, Stream: Stream{
		Name: e.ID, Shards: spec.Shards, Retention: spec.Retention.Std(), Schema: spec.Schema.Schema, EventTime: spec.EventTime,
		Watermark: spec.Watermark.Std(), MaxDisk: int64(spec.MaxDisk), ExpireOnLag: spec.OnLag == "expire", UserRecords: spec.UserRecords,
		Settings: spec.settings(),
	}}
	s.broken = s.Schema == nil && l.d.Reported(e.Node.Path+".schema")
	l.findSchema(s)
	l.checkEventTime(s)
	l.streams = append(l.streams, s)
	l.declare(&node{kind: "stream", id: e.ID, at: e.Node, stream: s})
}

// entry decodes what all entries of a section have, and the component's configuration if cfg is not
// nil. It reports whether the entry is free of mistakes.
func (l *loader) entry(at *config.Node, head, cfg any) (clean bool) {
	before := l.d.ErrorCount()
	if cfg != nil {
		l.d.Decode(at, head, cfg)
	} else {
		// The component is unknown, so its keys cannot be judged.
		l.d.Decode(at.Only(keysOf(head)...), head)
	}
	return l.d.ErrorCount() == before
}

func keysOf(head any) []string {
	switch head.(type) {
	case *sourceHead:
		return []string{"type", "to"}
	case *transformHead:
		return []string{"type", "from"}
	case *tableHead:
		return []string{"type", "format", "schema", "key", "refresh", "memory", "delimiter", "header"}
	}
	return []string{"type", "from", "start", "parallelism"}
}

// unknownType reports a type that no component has, unless the type is missing, which is reported
// elsewhere.
func (l *loader) unknownType(at *config.Node, what string, known []string) {
	if t := at.Get("type"); t != nil && t.Kind == config.Scalar && t.Text() != "" {
		l.d.Errorf(t, "%s", config.Unknown(what+" type", t.Text(), "types", known))
	}
}

// typeOf is the type that an entry names, empty if it names none.
func typeOf(at *config.Node) string {
	if t := at.Get("type"); t != nil {
		return t.Text()
	}
	return ""
}

func (l *loader) loadSource(e config.Entry[*config.Node]) {
	l.checkID(e.Node, e.ID)
	s := &source{at: e.Node, Source: Source{Name: e.ID}}
	c, known, ok := find(l.components.Sources, sourceType, typeOf(e.Node))
	head := any(&s.head)
	at := e.Node
	if ok {
		s.Component, s.Config = c, c.Config()
	} else {
		l.unknownType(e.Node, "source", known)
	}
	if ok && c.AnyStream {
		head = &anyStreamHead{}
		if to := at.Get("to"); to != nil {
			l.d.KeyErrorf(to, "clients of a %s source name the stream they write to; remove to", c.Type)
			at = at.Without("to")
		}
	}
	if l.entry(at, head, s.Config) && ok {
		_, err := c.Open(s.Config, sources.Env{Pipeline: l.name, Name: e.ID, Log: silent(), Now: epoch, Status: func(error) {}, Progress: func(int64, int64) {}})
		l.explain(e.Node, err)
		if x, ok := s.Config.(sources.Exposed); ok && x.Exposed() && len(l.spec.Users) == 0 {
			l.d.Problem(e.Node, config.Problemf("listen", "other machines reach this address; add users: to the file, or insecure: true if everybody may do anything"))
		}
		for _, x := range sourceClaims(s.Config) {
			l.claim(e.Node, fmt.Sprintf("source %q", e.ID), x.Path, x.What)
		}
	}
	s.To = s.head.To
	l.sources = append(l.sources, s)
}

func (l *loader) loadTransform(e config.Entry[*config.Node]) {
	t := &transform{at: e.Node, Transform: Transform{Name: e.ID}}
	var known []string
	var c transforms.Component
	c, known, t.known = find(l.components.Transforms, transformType, typeOf(e.Node))
	if t.known {
		t.Component, t.Config = c, c.Config()
	} else {
		l.unknownType(e.Node, "transform", known)
	}
	t.known = l.entry(e.Node, &t.head, t.Config) && t.known
	t.From = t.head.From
	l.transforms = append(l.transforms, t)
	l.declare(&node{kind: "transform", id: e.ID, at: e.Node, transform: t})
}

func (l *loader) loadSink(e config.Entry[*config.Node]) {
	l.checkID(e.Node, e.ID)
	// Tasks are known by the consumer's id alone, in checkpoints and object keys.
	if q := l.nodes[e.ID]; q != nil && q.query != nil {
		l.d.KeyErrorf(e.Node, "%q is the id of a query in line %d too; both keep their position under it, so give the sink another id", e.ID, q.at.KeyLine)
	}
	s := &sink{at: e.Node, Sink: Sink{Name: e.ID}, head: defaultSink()}
	var known []string
	var c sinks.Component
	c, known, s.known = find(l.components.Sinks, sinkType, typeOf(e.Node))
	if s.known {
		s.Component, s.Config = c, c.Config()
	} else {
		l.unknownType(e.Node, "sink", known)
	}
	s.known = l.entry(e.Node, &s.head, s.Config) && s.known
	s.From, s.Start, s.Parallelism = s.head.From, Start(s.head.Start), s.head.Parallelism
	if c, ok := s.Config.(sinks.Single); ok && s.Parallelism > 1 && c.Single() != "" {
		l.d.Errorf(e.Node.Get("parallelism"), "%s, so it has one task; remove parallelism", c.Single())
	}
	if s.known {
		for _, x := range sinkClaims(s.Config) {
			l.claim(s.at, fmt.Sprintf("sink %q", s.Name), x.Path, x.What)
		}
	}
	l.sinks = append(l.sinks, s)
}

// claim reports what two sources or sinks want for themselves.
func (l *loader) claim(at *config.Node, by, path, what string) {
	if other, taken := l.claimed[what]; taken && other != by {
		l.d.Problem(at, config.Problemf(path, "%s has the %s already; choose another one", other, what))
	}
	l.claimed[what] = by
}
