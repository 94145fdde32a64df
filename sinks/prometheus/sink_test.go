package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/serve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var schema = &column.Schema{Fields: []column.Field{
	{Name: "symbol", Type: column.Type{Kind: column.String}},
	{Name: "average", Type: column.Type{Kind: column.Double}},
	{Name: "trades", Type: column.Type{Kind: column.BigInt}},
	{Name: "paid", Type: column.Type{Kind: column.Decimal, Precision: 20, Scale: 2}},
	{Name: "tags", Type: column.Type{Kind: column.List, Elem: &column.Type{Kind: column.String}}},
}}

// rows decodes lines of JSON.
func rows(t *testing.T, lines ...string) *column.Batch {
	t.Helper()
	d := column.NewDecoder(schema, nil, column.Options{})
	for i, line := range lines {
		if err := d.Add([]byte(line), record.Ordinal(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	return d.Take(column.Origin{})
}

// board is a sink under test with a clock.
type board struct {
	*sink
	t     *testing.T
	now   time.Time
	chunk int64
}

func stocks() Config {
	c := defaults()
	c.Labels = []string{"symbol"}
	c.Metrics = []Metric{
		{Name: "price_average", Kind: gauge, Help: "Average price.", Value: "average"},
		{Name: "trades_total", Kind: counter, Value: "trades"},
	}
	return c
}

func start(t *testing.T, c Config, state json.RawMessage) *board {
	t.Helper()
	b := &board{t: t, now: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)}
	s, err := open(c, sinks.Env{
		Identity: flow.Identity{Name: "prices"}, Schema: schema, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return b.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.sink = s.(*sink)
	if err := b.Start(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *board) add(lines ...string) flow.Outcome {
	b.t.Helper()
	o, err := b.Add(b.t.Context(), rows(b.t, lines...))
	if err != nil {
		b.t.Fatal(err)
	}
	if n := o.Counts.InFlight(); n != 0 {
		b.t.Errorf("%d rows are not accounted for: %+v", n, o.Counts)
	}
	return o
}

// commit ends the chunk and returns the state in the checkpoint.
func (b *board) commit() json.RawMessage {
	b.t.Helper()
	b.chunk++
	p, err := b.Plan(b.t.Context(), flow.Cut{Chunk: b.chunk, Now: b.now})
	if err == nil {
		err = b.Put(b.t.Context(), p)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.Published(p)
	return p.State
}

// gathered is the text of metrics as Prometheus's own parser reads it.
func gathered(t *testing.T, text io.Reader) map[string]float64 {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(text)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			key := name
			for _, l := range m.Label {
				key += " " + l.GetValue()
			}
			out[key] = m.GetGauge().GetValue()
			if f.GetType() == dto.MetricType_COUNTER {
				out[key] = m.GetCounter().GetValue()
			}
		}
	}
	return out
}

// scrape is what a scrape of the program's metrics gives.
func (b *board) scrape() map[string]float64 {
	b.t.Helper()
	registry := client.NewRegistry()
	if err := registry.Register(exposed{b.sink}); err != nil {
		b.t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			b.t.Fatal(err)
		}
	}
	got := gathered(b.t, strings.NewReader(text.String()))
	maps.DeleteFunc(got, func(key string, _ float64) bool { return strings.HasPrefix(key, "millrace_prometheus_series") })
	return got
}

type exposed struct{ *sink }

func (exposed) Describe(chan<- *client.Desc)      {}
func (e exposed) Collect(ch chan<- client.Metric) { e.Expose(ch) }
func want(t *testing.T, got, want map[string]float64) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const refusedKey = "millrace_prometheus_refused_rows_total prices"

func TestGaugesShowTheNewestRowAndCountersAdd(t *testing.T) {
	b := start(t, stocks(), nil)
	b.add(`{"symbol":"A","average":1.5,"trades":2}`, `{"symbol":"B","average":7,"trades":1}`, `{"symbol":"A","average":2.5,"trades":3}`)
	b.commit()
	b.add(`{"symbol":"A","average":null,"trades":4}`)
	b.commit()
	want(t, b.scrape(), map[string]float64{
		"price_average A": 2.5, "trades_total A": 9, "price_average B": 7, "trades_total B": 1, refusedKey: 0,
	})
}

func TestScrapesSeeWhatIsCommitted(t *testing.T) {
	b := start(t, stocks(), nil)
	b.add(`{"symbol":"A","average":1,"trades":2}`)
	state := b.commit()
	b.add(`{"symbol":"A","average":100,"trades":100}`)
	seen := map[string]float64{"price_average A": 1, "trades_total A": 2, refusedKey: 0}
	want(t, b.scrape(), seen)
	// The process crashes here; the chunk comes again.
	b = start(t, stocks(), state)
	want(t, b.scrape(), seen)
	b.add(`{"symbol":"A","average":100,"trades":100}`)
	b.commit()
	want(t, b.scrape(), map[string]float64{"price_average A": 100, "trades_total A": 102, refusedKey: 0})
}

func TestSeriesOfEarlierRunsFollowTheirNames(t *testing.T) {
	b := start(t, stocks(), nil)
	b.add(`{"symbol":"A","average":1,"trades":2}`)
	state := b.commit()
	c := stocks()
	c.Metrics[0].Kind = counter
	slices.Reverse(c.Metrics)
	want(t, start(t, c, state).scrape(), map[string]float64{"trades_total A": 2, refusedKey: 0})
	c.Labels = []string{"symbol", "paid"}
	want(t, start(t, c, state).scrape(), map[string]float64{refusedKey: 0})
}

func TestNumbersThatJSONCannotHoldSurviveARestart(t *testing.T) {
	for _, v := range []value{{math.Inf(1), true}, {math.Inf(-1), true}, {0.1, true}, {}} {
		text, err := json.Marshal(v)
		var got value
		if err == nil {
			err = json.Unmarshal(text, &got)
		}
		if err != nil || got != v {
			t.Errorf("%v: %s, %v, %v", v, text, got, err)
		}
	}
}

func TestRowsOverMaxSeriesAreDroppedAndCounted(t *testing.T) {
	c := stocks()
	c.MaxSeries = 2
	b := start(t, c, nil)
	o := b.add(`{"symbol":"A","trades":1}`, `{"symbol":"B","trades":1}`, `{"symbol":"C","trades":1}`, `{"symbol":"A","trades":1}`)
	if o.Counts.Dropped != 1 || o.Counts.Passed != 3 {
		t.Errorf("%+v", o.Counts)
	}
	want(t, b.scrape(), map[string]float64{refusedKey: 0})
	state := b.commit()
	want(t, b.scrape(), map[string]float64{"trades_total A": 2, "trades_total B": 1, refusedKey: 1})
	want(t, start(t, c, state).scrape(), map[string]float64{"trades_total A": 2, "trades_total B": 1, refusedKey: 1})
}

func TestStaleSeriesGoAwayAndMakeRoom(t *testing.T) {
	c := stocks()
	c.MaxSeries, c.Stale = 1, config.Duration(time.Minute)
	b := start(t, c, nil)
	b.add(`{"symbol":"A","trades":5}`)
	b.commit()
	b.now = b.now.Add(time.Minute)
	want(t, b.scrape(), map[string]float64{"trades_total A": 5, refusedKey: 0})
	b.now = b.now.Add(time.Second)
	want(t, b.scrape(), map[string]float64{refusedKey: 0})
	if o := b.add(`{"symbol":"B","trades":1}`); o.Counts.Passed != 1 {
		t.Errorf("%+v", o.Counts)
	}
	b.commit()
	want(t, b.scrape(), map[string]float64{"trades_total B": 1, refusedKey: 0})
}

func TestRowsThatAreNoMetricsAreRejected(t *testing.T) {
	b := start(t, stocks(), nil)
	o := b.add(`{"symbol":"A","trades":-1}`, `{"symbol":"`+strings.Repeat("x", maxLabel+1)+`","trades":1}`, `{"symbol":"A","trades":1}`)
	if o.Counts.Bad != 2 || o.Counts.Passed != 1 || len(o.Rejects) != 2 || o.Rejects[0].Row != 0 || o.Rejects[1].Row != 1 {
		t.Errorf("%+v", o)
	}
	b.commit()
	want(t, b.scrape(), map[string]float64{"trades_total A": 1, refusedKey: 0})
}

func TestNullAndEmptyLabelsAreOneSeries(t *testing.T) {
	b := start(t, stocks(), nil)
	b.add(`{"symbol":null,"trades":1}`, `{"symbol":"","trades":1}`)
	b.commit()
	want(t, b.scrape(), map[string]float64{"trades_total ": 2, refusedKey: 0})
}

func TestAnAddressOfItsOwnServesMetricsToWhoHasTheToken(t *testing.T) {
	c := stocks()
	c.Config = serve.Config{Listen: "127.0.0.1:0", Token: config.NewSecret("hush")}
	b := start(t, c, nil)
	b.add(`{"symbol":"A","average":1,"trades":2}`)
	b.commit()
	get := func(token string) *http.Response {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+b.server.Addr()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Close = true
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	if code := get("wrong").StatusCode; code != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d", code)
	}
	want(t, gathered(t, get("hush").Body), map[string]float64{
		"price_average A": 1, "trades_total A": 2, refusedKey: 0, "millrace_prometheus_series prices": 1,
	})
	want(t, b.scrape(), map[string]float64{})
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	for _, test := range []struct {
		path   string
		change func(*Config)
	}{
		{"metrics[0].name", func(c *Config) { c.Metrics[0].Name = "a-b" }},
		{"metrics[0].name", func(c *Config) { c.Metrics[0].Name = "millrace_ready" }},
		{"metrics[1].name", func(c *Config) { c.Metrics[1].Name = "price_average" }},
		{"metrics[0].value", func(c *Config) { c.Metrics[0].Value = "averag" }},
		{"metrics[0].value", func(c *Config) { c.Metrics[0].Value = "symbol" }},
		{"metrics[0].name", func(c *Config) { c.Metrics[0].Value = "" }},
		{"labels[0]", func(c *Config) { c.Labels[0] = "symbl" }},
		{"labels[0]", func(c *Config) { c.Labels[0] = "tags" }},
		{"labels[0]", func(c *Config) { c.Labels[0] = "a b" }},
		{"labels[1]", func(c *Config) { c.Labels = append(c.Labels, "symbol") }},
		{"listen", func(c *Config) { c.Listen = "0.0.0.0:9400" }},
	} {
		c := stocks()
		test.change(&c)
		var paths []string
		for _, p := range c.Validate() {
			paths = append(paths, p.Path)
		}
		_, err := open(c, sinks.Env{Schema: schema})
		var pe *config.PathError
		if errors.As(err, &pe) {
			paths = append(paths, pe.Path)
		}
		if !slices.Contains(paths, test.path) {
			t.Errorf("want a mistake at %s, got %v (%v)", test.path, paths, err)
		}
	}
}
