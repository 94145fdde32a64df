package pipelines_test

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/pipelines"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sources"
	"github.com/millrace-io/millrace/transforms"
	"github.com/millrace-io/millrace/transforms/filter"
	"github.com/millrace-io/millrace/transforms/selection"
)

// linesConfig is the configuration of a source that is never run.
type linesConfig struct {
	Paths []string `yaml:"paths" required:"true"`
}

// storeConfig is the configuration of a sink that is never run. It has a key of each kind.
type storeConfig struct {
	URL    string          `yaml:"url" required:"true"`
	Key    config.Secret   `yaml:"key"`
	Size   config.Size     `yaml:"size"`
	Age    config.Duration `yaml:"age"`
	Codec  string          `yaml:"codec" enum:"none,zstd"`
	Follow bool            `yaml:"follow"`
	By     []string        `yaml:"by"`
	Nested struct {
		Deep int `yaml:"deep"`
	} `yaml:"nested"`
}

func (c *storeConfig) Validate() []config.Problem {
	if strings.HasPrefix(c.URL, "ftp:") {
		return []config.Problem{config.Problemf("url", "%q is no URL of a store", c.URL)}
	}
	return nil
}

type store struct{ flow.Processor }

func (store) Close() error          { return nil }
func (store) Guarantee() string     { return "none" }
func (store) Trigger() flow.Trigger { return flow.Trigger{} }

func fakes() pipelines.Components {
	return pipelines.Components{
		Sources: []sources.Component{sources.Define("lines", func() linesConfig { return linesConfig{} },
			func(c linesConfig, _ sources.Env) (sources.Source, error) {
				if i := slices.Index(c.Paths, "bad"); i >= 0 {
					return nil, &config.PathError{Path: fmt.Sprintf("paths[%d]", i), Err: errors.New("a bad path")}
				}
				return nil, nil
			})},
		Transforms: []transforms.Component{filter.Component(), selection.Component()},
		Sinks: []sinks.Component{sinks.Define("store", func() storeConfig { return storeConfig{Codec: "zstd"} },
			func(c storeConfig, env sinks.Env) (sinks.Sink, error) {
				var errs []error
				for i, name := range c.By {
					if env.Schema.Index(name) < 0 {
						errs = append(errs, &config.PathError{Path: fmt.Sprintf("by[%d]", i), Err: fmt.Errorf("there is no column %q", name)})
					}
				}
				return store{}, errors.Join(errs...)
			})},
	}
}

func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"EVENTS": "events.ndjson", "OUT": "out.ndjson", "PREFIX": "p", "PRICE": "17", "PASSWORD": "hunter2",
		"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "hunter2",
	}[name]
	return value, ok
}

// load loads a text as p.yaml.
func load(t *testing.T, text string, c pipelines.Components) (*pipelines.Pipeline, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("p.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return pipelines.Load("p.yaml", c, pipelines.LoadOptions{Getenv: environment})
}

func mustLoad(t *testing.T, text string) *pipelines.Pipeline {
	t.Helper()
	p, err := load(t, text, fakes())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// badCase is a file with mistakes and their messages.
type badCase struct{ file, name, text, want string }

// badFiles are embedded because TestMain changes the directory, and so does each fuzzing worker.
//
//go:embed testdata/bad
var badFiles embed.FS

// badCases reads testdata/bad: a line "=== name", the text, a line "--- want", the messages.
func badCases(t testing.TB) []badCase {
	t.Helper()
	files, err := fs.Glob(badFiles, "testdata/bad/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	var all []badCase
	for _, file := range files {
		data, err := badFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range strings.Split("\n"+string(data), "\n=== ")[1:] {
			name, rest, _ := strings.Cut(c, "\n")
			text, want, ok := strings.Cut(rest, "\n--- want\n")
			if !ok {
				t.Fatalf("%s: %s: no want", file, name)
			}
			all = append(all, badCase{strings.TrimSuffix(filepath.Base(file), ".txt"), name, text + "\n", strings.TrimSpace(want)})
		}
	}
	return all
}

func TestEveryMistakeOfAPipelineIsReportedAtItsPlace(t *testing.T) {
	cases := badCases(t)
	if len(cases) < 40 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.file+"/"+c.name, func(t *testing.T) {
			_, err := load(t, c.text, fakes())
			var all config.Errors
			if !errors.As(err, &all) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("-want +got\n%s\ngot:\n%s", diff, err)
			}
		})
	}
}

const whole = `
version: 1
name: shop
memory: 256MiB
streams:
  clicks:
    shards: 3
    retention: 7d
    max_disk: 1GiB
    on_lag: expire
    schema: {at: timestamp, user: string, price: "decimal(10, 2)", tags: [string], geo: {lat: double, lon: double}}
    event_time: at
    watermark: 10s
sources:
  in: {type: lines, paths: [a], to: clicks}
transforms:
  dear: {type: filter, from: known, where: price > 100}
  known: {type: select, from: clicks, columns: [at, user, price]}
queries:
  again: {sql: "SELECT window_start, n FROM minutes", watermark: 1m}
  minutes:
    sql: |
      SELECT window_start, user, COUNT(*) AS n FROM dear
      GROUP BY TUMBLE(at, INTERVAL '1' MINUTE), user
    start: latest
    shards: 2
sinks:
  raw: {type: store, from: clicks, url: x, key: "${env:PASSWORD}", size: 1MiB}
  dear: {type: store, from: dear, url: x, start: 2026-01-31T01:00:00+01:00}
  out: {type: store, from: minutes, url: x}
  out2: {type: store, from: again, url: x}
`

func TestFileIsResolvedToItsGraph(t *testing.T) {
	p := mustLoad(t, whole)
	if p.Name != "shop" || p.Memory != 256*config.MiB || len(p.Warnings) != 0 {
		t.Errorf("name %s, memory %v, warnings %v", p.Name, p.Memory, p.Warnings)
	}
	s := p.Streams[0]
	if s.Name != "clicks" || s.Shards != 3 || s.Retention != 168*time.Hour || s.MaxDisk != 1<<30 || !s.ExpireOnLag || s.EventTime != "at" || s.Watermark != 10*time.Second {
		t.Errorf("stream %+v", s)
	}
	text := column.Type{Kind: column.Struct, Fields: s.Schema.Fields}.String()
	if text != "{at: timestamp, user: string, price: decimal(10,2), tags: [string], geo: {lat: double, lon: double}}" {
		t.Errorf("schema %s", text)
	}
	if p.Sources[0].To != "clicks" || p.Sources[0].Config.(*linesConfig).Paths[0] != "a" {
		t.Errorf("source %+v", p.Sources[0])
	}
	again, minutes := p.Queries[0], p.Queries[1]
	wantChain(t, "minutes", minutes.Chains[0], "clicks", "at", 10*time.Second, "known", "dear")
	wantChain(t, "again", again.Chains[0], "minutes", "window_start", 0)
	if !minutes.Start.Latest || minutes.Shards != 2 || again.Shards != 1 || again.Watermark != time.Minute || minutes.Query.Inputs()[0] != "dear" {
		t.Errorf("queries %+v %+v", again, minutes)
	}
	wantChain(t, "raw", p.Sinks[0].Chain, "clicks", "at", 10*time.Second)
	wantChain(t, "dear", p.Sinks[1].Chain, "clicks", "at", 10*time.Second, "known", "dear")
	wantChain(t, "out", p.Sinks[2].Chain, "minutes", "window_start", 0)
	wantChain(t, "out2", p.Sinks[3].Chain, "again", "window_start", time.Minute)
	if at := p.Sinks[1].Start.Time; !at.Equal(time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("start %v", at)
	}
	if c := p.Sinks[0].Config.(*storeConfig); c.Key.Reveal() != "hunter2" || c.Size != config.MiB || c.Codec != "zstd" {
		t.Errorf("sink %+v", c)
	}
	if p.Sinks[1].Schema.Index("price") != 2 || len(p.Sinks[1].Schema.Fields) != 3 {
		t.Errorf("schema of dear: %v", p.Sinks[1].Schema)
	}
}

func wantChain(t *testing.T, name string, c pipelines.Chain, root, eventTime string, delay time.Duration, steps ...string) {
	t.Helper()
	var got []string
	for _, s := range c.Steps {
		got = append(got, s.Name)
	}
	if c.Root != root || c.EventTime != eventTime || c.Delay != delay || !slices.Equal(got, steps) {
		t.Errorf("%s: root %s, event time %s, delay %v, steps %v", name, c.Root, c.EventTime, c.Delay, got)
	}
	opened, err := c.Open()
	if err != nil || len(opened) != len(steps) {
		t.Errorf("%s: open gives %v, %v", name, opened, err)
	}
}

func TestChainNeedsWhatItsStepsRead(t *testing.T) {
	p := mustLoad(t, whole)
	got := p.Sinks[1].Chain.Needs([]string{"user"})
	slices.Sort(got)
	if !slices.Equal(got, []string{"price", "user"}) {
		t.Errorf("got %v", got)
	}
}

func TestGenerationFollowsWhatTheOutputDependsOn(t *testing.T) {
	base := mustLoad(t, whole)
	for change, want := range map[[2]string]struct{ raw, dear, query bool }{
		{"price > 100", "price > 200"}:       {false, true, true},
		{"size: 1MiB", "size: 2MiB"}:         {true, false, false},
		{"${env:PASSWORD}", "another"}:       {false, false, false},
		{"columns: [at, ", "columns: [ at,"}: {false, false, false},
		{"watermark: 10s", "watermark: 9s"}:  {true, true, true},
		{"retention: 7d", "retention: 8d"}:   {false, false, false},
		{"COUNT(*) AS n", "COUNT(*) AS  n"}:  {false, false, true},
	} {
		p := mustLoad(t, strings.Replace(whole, change[0], change[1], 1))
		if got := p.Sinks[0].Generation != base.Sinks[0].Generation; got != want.raw {
			t.Errorf("%s: raw changed: %v", change, got)
		}
		if got := p.Sinks[1].Generation != base.Sinks[1].Generation; got != want.dear {
			t.Errorf("%s: dear changed: %v", change, got)
		}
		if got := p.Queries[1].Generation != base.Queries[1].Generation; got != want.query {
			t.Errorf("%s: minutes changed: %v", change, got)
		}
	}
}

func TestPipelineNeverPrintsSecrets(t *testing.T) {
	p := mustLoad(t, strings.Replace(whole, "url: x,", `url: "http://${env:PASSWORD}",`, 1))
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		fmt.Fprintf(&out, verb, p)
		fmt.Fprintf(&out, verb, *p)
		for _, s := range p.Sinks {
			fmt.Fprintf(&out, verb, s)
			fmt.Fprintf(&out, verb, *s)
		}
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	if strings.Contains(out.String(), "hunter2") {
		at := strings.Index(out.String(), "hunter2")
		t.Errorf("printed: …%s", out.String()[max(0, at-100):at+7])
	}
}

func TestDoubtfulPipelinesAreWarnedAbout(t *testing.T) {
	p := mustLoad(t, `version: 1
streams:
  unused:
  unread: {schema: {a: int}}
  unwritten: {schema: {a: int}}
sources:
  in: {type: lines, paths: [a], to: unread}
transforms:
  t: {type: filter, from: unwritten, where: a > 1}
queries:
  q: {sql: SELECT a FROM unwritten}
sinks:
  out: {type: store, from: unwritten, url: x, key: hunter2}
`)
	want := `p.yaml:3:3: streams.unused: this stream is not used
p.yaml:4:3: streams.unread: nothing reads this stream; add a sink with from: unread
p.yaml:5:3: streams.unwritten: no source writes to this stream
p.yaml:9:3: transforms.t: nothing reads this transform; add a sink with from: t
p.yaml:11:3: queries.q: nothing reads this query; add a sink with from: q
p.yaml:13:47: sinks.out.key: a secret is written in the file; use ${env:NAME} or ${file:PATH}`
	if diff := cmp.Diff(want, p.Warnings.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestNameIsTheFilesStem(t *testing.T) {
	if p := mustLoad(t, "version: 1\nstreams: {a: }\n"); p.Name != "p" {
		t.Errorf("got %s", p.Name)
	}
	path := filepath.Join(t.TempDir(), "My File.yaml")
	if err := os.WriteFile(path, []byte("version: 1\nstreams: {a: }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := pipelines.Load(path, fakes(), pipelines.LoadOptions{})
	if err == nil || !strings.Contains(err.Error(), `:1:1: the file's name "My File.yaml" cannot name the pipeline; add name: with an id`) {
		t.Errorf("got %v", err)
	}
}

func TestMissingFileIsNoMistakeOfTheFile(t *testing.T) {
	_, err := pipelines.Load(filepath.Join(t.TempDir(), "none.yaml"), fakes(), pipelines.LoadOptions{})
	var all config.Errors
	if !errors.Is(err, os.ErrNotExist) || errors.As(err, &all) {
		t.Errorf("got %v", err)
	}
}
