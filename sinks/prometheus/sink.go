package prometheus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/serve"
)

// maxLabel is the longest value of a label, in bytes. It bounds memory together with MaxSeries.
const maxLabel = 1024

// sink keeps the series.
type sink struct {
	cfg Config
	env sinks.Env
	// values and labels are the places of the columns.
	values, labels []int

	// all are the series with the open chunk in them, by their label values.
	all map[string]*series
	// open and hash are of the open chunk.
	open int64
	hash column.RowHash
	// key and ends are scratch.
	key  []byte
	ends []int
	row  []float64
	// refused counts rows because of MaxSeries, those of the open chunk too.
	refused int64

	mu sync.Mutex // guards what follows
	// shown are the series as of the last commit, and shownRefused the rows.
	shown        []series
	shownRefused int64
	server       *serve.Server
	closed       bool
}

// series is the metrics of one combination of label values.
type series struct {
	labels []string
	// values are in the order of the metrics, NaN for one that has none yet.
	values []value
	// updated is when the chunk with the last row was cut; touched says that the open chunk has one.
	updated time.Time
	touched bool
}

// value is a number that JSON cannot always hold, or none.
type value struct {
	number float64
	set    bool
}

// MarshalJSON writes a text, for NaN and infinities, and null for none.
func (v value) MarshalJSON() ([]byte, error) {
	if !v.set {
		return []byte("null"), nil
	}
	return strconv.AppendQuote(nil, strconv.FormatFloat(v.number, 'g', -1, 64)), nil
}

// UnmarshalJSON is the inverse.
func (v *value) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*v = value{}
		return nil
	}
	n, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
	*v = value{number: n, set: err == nil}
	return err
}

// state is what the checkpoint holds.
type state struct {
	// Labels and Metrics are what the series are made of; counters and gauges are told apart, for a
	// metric that changes its kind starts over.
	Labels  []string      `json:"labels"`
	Metrics []string      `json:"metrics"`
	Refused int64         `json:"refused"`
	Series  []savedSeries `json:"series"`
}

type savedSeries struct {
	Labels  []string  `json:"labels"`
	Values  []value   `json:"values"`
	Updated time.Time `json:"updated"`
}

func newSink(c Config, env sinks.Env) *sink {
	return &sink{
		cfg: c, env: env, all: map[string]*series{},
		values: make([]int, len(c.Metrics)), labels: make([]int, len(c.Labels)), row: make([]float64, len(c.Metrics)),
	}
}

func (s *sink) errorf(format string, args ...any) error {
	return fmt.Errorf("prometheus sink %q: "+format, append([]any{s.env.Identity.Name}, args...)...)
}

func (s *sink) Guarantee() string {
	at := "/metrics of run --admin"
	if s.cfg.Listen != "" {
		at = "http://" + s.cfg.Listen + "/metrics"
	}
	return "last value, at " + at + ": gauges show the newest row, counters have each row once; both are kept for the next run"
}

// Trigger keeps rows back for less than anybody scrapes.
func (s *sink) Trigger() flow.Trigger { return flow.Trigger{Age: time.Second} }

// Start takes over what earlier runs left and listens.
func (s *sink) Start(ctx context.Context, raw json.RawMessage) error {
	if err := s.restore(raw); err != nil {
		return flow.Permanent(s.errorf("state in the checkpoint: %w", err))
	}
	s.show()
	if s.cfg.Listen == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil || s.closed {
		return nil
	}
	registry := client.NewRegistry()
	if err := registry.Register(collector{s}); err != nil {
		return flow.Permanent(s.errorf("%w", err))
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server, err := serve.Open(ctx, s.cfg.Config, mux, s.env.Log)
	if err != nil {
		return s.errorf("%w", err)
	}
	s.server = server
	s.env.Log.Info("serving metrics", "url", "http://"+server.Addr()+"/metrics")
	return nil
}

// kinds names the metrics with their kinds.
func (s *sink) kinds() []string {
	out := make([]string, len(s.cfg.Metrics))
	for i, m := range s.cfg.Metrics {
		out[i] = m.Kind + " " + m.Name
	}
	return out
}

// restore takes over the metrics that there still are; with other labels all begin anew.
func (s *sink) restore(raw json.RawMessage) error {
	clear(s.all)
	s.open, s.hash = 0, column.RowHash{}
	var saved state
	if raw != nil {
		if err := json.Unmarshal(raw, &saved); err != nil {
			return err
		}
	}
	s.refused = saved.Refused
	if !slices.Equal(saved.Labels, s.cfg.Labels) {
		return nil
	}
	places := make([]int, len(s.cfg.Metrics))
	for i, kind := range s.kinds() {
		places[i] = slices.Index(saved.Metrics, kind)
	}
	for _, old := range saved.Series {
		if len(old.Labels) != len(s.cfg.Labels) || len(s.all) == s.cfg.MaxSeries {
			continue
		}
		x := &series{labels: old.Labels, values: make([]value, len(places)), updated: old.Updated}
		for i, at := range places {
			if at >= 0 && at < len(old.Values) {
				x.values[i] = old.Values[at]
			}
		}
		s.key, s.ends = s.key[:0], s.ends[:0]
		for _, text := range old.Labels {
			s.label([]byte(text))
		}
		s.all[string(s.key)] = x
	}
	return nil
}

// label appends a label's value to the key of a series.
func (s *sink) label(text []byte) {
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	}
	s.key = append(s.key, text...)
	s.ends = append(s.ends, len(s.key))
	// 0xff is in no UTF-8 text, so different labels have different keys.
	s.key = append(s.key, 0xff)
}

// Add sets gauges and adds to counters.
func (s *sink) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	n := b.Selected()
	out := flow.Outcome{Counts: flow.Counts{In: int64(n)}}
	for i := range n {
		row := i
		if b.Selection != nil {
			row = int(b.Selection[i])
		}
		switch code, reason := s.take(b, row); code {
		case "":
			out.Counts.Passed++
		case tooMany:
			out.Counts.Dropped++
			s.refused++
		default:
			out.Counts.Bad++
			out.Rejects = append(out.Rejects, flow.Reject{Row: row, Code: code, Reason: reason})
		}
	}
	s.open += int64(n)
	s.hash.Add(column.HashRows(b))
	return out, nil
}

// tooMany is what take says of a row that would bring a series too many.
const tooMany = "max-series"

// take takes one row, or says why not.
func (s *sink) take(b *column.Batch, row int) (code, reason string) {
	for i, m := range s.cfg.Metrics {
		c := b.Columns[s.values[i]]
		s.row[i] = number(c, row)
		if m.Kind == counter && !c.IsNull(row) && !(s.row[i] >= 0 && s.row[i] <= math.MaxFloat64) {
			return "counter", fmt.Sprintf("counter %q cannot go by %v: it takes finite numbers from 0", m.Name, s.row[i])
		}
	}
	s.key, s.ends = s.key[:0], s.ends[:0]
	for i, at := range s.labels {
		begin := len(s.key)
		if c := b.Columns[at]; !c.IsNull(row) {
			s.key = column.AppendText(s.key, c, row)
		}
		text := s.key[begin:]
		if len(text) > maxLabel {
			return "label", fmt.Sprintf("label %q has %d bytes; %d is the most", s.cfg.Labels[i], len(text), maxLabel)
		}
		s.key = s.key[:begin]
		s.label(text)
	}
	x := s.all[string(s.key)]
	if x == nil {
		if len(s.all) >= s.cfg.MaxSeries {
			s.expire(s.env.Now())
		}
		if len(s.all) >= s.cfg.MaxSeries {
			return tooMany, ""
		}
		x = s.begin()
	}
	for i, m := range s.cfg.Metrics {
		switch c := b.Columns[s.values[i]]; {
		case c.IsNull(row):
		case m.Kind == counter:
			x.values[i] = value{number: x.values[i].number + s.row[i], set: true}
		default:
			x.values[i] = value{number: s.row[i], set: true}
		}
	}
	x.touched = true
	return "", ""
}

// begin makes the series of s.key.
func (s *sink) begin() *series {
	x := &series{labels: make([]string, len(s.ends)), values: make([]value, len(s.cfg.Metrics))}
	begin := 0
	for i, end := range s.ends {
		x.labels[i] = string(s.key[begin:end])
		begin = end + 1
	}
	s.all[string(s.key)] = x
	return x
}

// number is a value as a metric has it. What it gives for null means nothing.
func number(c *column.Column, row int) float64 {
	if c.IsNull(row) {
		return 0
	}
	switch c.Type.Kind {
	case column.Boolean:
		if c.Bools.Get(row) {
			return 1
		}
		return 0
	case column.Int:
		return float64(c.Int32s[row])
	case column.BigInt:
		return float64(c.Int64s[row])
	case column.Float:
		return float64(c.Float32s[row])
	case column.Double:
		return c.Float64s[row]
	case column.Timestamp:
		return float64(c.Int64s[row]) / 1e6
	}
	var text [48]byte
	n, err := strconv.ParseFloat(string(column.AppendText(text[:0], c, row)), 64)
	if err != nil {
		return math.NaN()
	}
	return n
}

// stale reports whether a series has gone without a row for too long.
func (s *sink) stale(updated, now time.Time) bool {
	return s.cfg.Stale > 0 && now.Sub(updated) > s.cfg.Stale.Std()
}

// expire forgets stale series.
func (s *sink) expire(now time.Time) {
	for key, x := range s.all {
		if !x.touched && s.stale(x.updated, now) {
			delete(s.all, key)
		}
	}
}

// Open describes the open chunk.
func (s *sink) Open() flow.Open { return flow.Open{Rows: s.open} }

// Plan says what the series become.
func (s *sink) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	s.expire(cut.Now)
	saved := state{Labels: s.cfg.Labels, Metrics: s.kinds(), Refused: s.refused, Series: make([]savedSeries, 0, len(s.all))}
	for _, x := range s.all {
		if x.touched {
			x.updated = cut.Now
		}
		saved.Series = append(saved.Series, savedSeries{x.labels, x.values, x.updated})
	}
	slices.SortFunc(saved.Series, func(a, b savedSeries) int { return slices.Compare(a.Labels, b.Labels) })
	raw, err := json.Marshal(saved)
	plan := flow.Plan{Cut: cut, State: raw}
	if s.open > 0 {
		// It creates nothing, but makes the rows count as delivered.
		plan.Objects = []flow.Object{{Key: "metrics", Rows: s.open, Hash: s.hash.String()}}
	}
	return plan, err
}

// Put has nothing to do: the state is in the checkpoint.
func (s *sink) Put(context.Context, flow.Plan) error { return nil }

// Published lets scrapes see the chunk.
func (s *sink) Published(flow.Plan) {
	s.open, s.hash = 0, column.RowHash{}
	for _, x := range s.all {
		x.touched = false
	}
	s.show()
}

// show copies the series for scrapes.
func (s *sink) show() {
	shown := make([]series, 0, len(s.all))
	for _, x := range s.all {
		shown = append(shown, series{labels: x.labels, values: slices.Clone(x.values), updated: x.updated})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown, s.shownRefused = shown, s.refused
}

// Close ends the server.
func (s *sink) Close() error {
	s.mu.Lock()
	server := s.server
	s.closed = true
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	return server.Close()
}
