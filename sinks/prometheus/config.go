// Package prometheus is the sink whose rows are metrics: each row sets gauges and adds to counters,
// whose labels are columns of the row.
//
// The invariant to remember: what a scrape sees is committed. A counter has each row once, whatever
// crashes, and goes back only when its series was stale and went away.
package prometheus

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/serve"
)

// Config of the prometheus sink. Without listen its metrics are part of /metrics of run --admin.
type Config struct {
	serve.Config `yaml:",inline"`
	// Metrics that a row sets.
	Metrics []Metric `yaml:"metrics" required:"true"`
	// Labels are the columns that become labels, by their names. A series is a metric with the values
	// of these columns.
	Labels []string `yaml:"labels"`
	// MaxSeries is how many combinations of label values there are at most. Rows that would bring one
	// more are dropped and counted.
	MaxSeries int `yaml:"max_series" min:"1" max:"20000"`
	// Stale is after how long without a row a series goes away; 0s means never.
	Stale config.Duration `yaml:"stale" min:"0s"`
}

// Metric is one metric of a row.
type Metric struct {
	// Name of the metric, such as stock_price_average.
	Name string `yaml:"name" required:"true"`
	// Kind is gauge, which the newest row sets, or counter, to which every row adds.
	Kind string `yaml:"kind" enum:"gauge,counter"`
	// Help says what the metric is.
	Help string `yaml:"help"`
	// Value is the column with the number: the metric's name unless given. A boolean is 0 or 1, a
	// timestamp seconds since the epoch; a row without the value leaves the metric as it is.
	Value string `yaml:"value"`
}

// The kinds of metrics.
const (
	gauge   = "gauge"
	counter = "counter"
)

// SetDefaults implements config.Defaulter.
func (m *Metric) SetDefaults() { m.Kind = gauge }

func defaults() Config {
	return Config{MaxSeries: 1000, Stale: config.Duration(time.Hour)}
}

// Names of metrics and labels (Prometheus, data model).
var (
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// reserved are the beginnings of the program's own metrics.
var reserved = []string{"millrace_", "go_", "process_", "promhttp_"}

// Validate implements config.Validator.
func (c *Config) Validate() []config.Problem {
	found := c.Config.Validate()
	seen := map[string]bool{}
	for i, m := range c.Metrics {
		at := fmt.Sprintf("metrics[%d].name", i)
		begins := func(prefix string) bool { return strings.HasPrefix(m.Name, prefix) }
		switch {
		case m.Name == "":
		case !metricName.MatchString(m.Name):
			found = append(found, config.Problemf(at, "%q is no name of a metric; use letters, digits and _, beginning with a letter", m.Name))
		case slices.ContainsFunc(reserved, begins):
			found = append(found, config.Problemf(at, "%q begins like the program's own metrics; choose another name", m.Name))
		case seen[m.Name]:
			found = append(found, config.Problemf(at, "two metrics are called %q", m.Name))
		}
		seen[m.Name] = true
	}
	for i, name := range c.Labels {
		at := fmt.Sprintf("labels[%d]", i)
		switch {
		case !labelName.MatchString(name) || strings.HasPrefix(name, "__"):
			found = append(found, config.Problemf(at, "column %q cannot name a label; give the column another name with AS, of letters, digits and _", name))
		case slices.Contains(c.Labels[:i], name):
			found = append(found, config.Problemf(at, "the label %q is there twice", name))
		}
	}
	return found
}

// Single implements sinks.Single.
func (*Config) Single() string { return "the series of a prometheus sink are kept in one place" }

// Adds implements sinks.Adder.
func (c *Config) Adds() []string {
	var paths []string
	for i, m := range c.Metrics {
		if m.Kind == counter {
			paths = append(paths, fmt.Sprintf("metrics[%d].kind", i))
		}
	}
	return paths
}

// Renewed implements sinks.Renewer.
func (*Config) Renewed() []string { return []string{"listen", "token", "insecure"} }

// Claims implements sinks.Claimer.
func (c *Config) Claims() []sinks.Claim {
	if c.Listen != "" {
		return serve.Claims(c.Listen)
	}
	claims := make([]sinks.Claim, len(c.Metrics))
	for i, m := range c.Metrics {
		claims[i] = sinks.Claim{Path: fmt.Sprintf("metrics[%d].name", i), What: fmt.Sprintf("metric %q", m.Name)}
	}
	return claims
}

// Component is the prometheus sink for the list of components.
func Component() sinks.Component { return sinks.Define("prometheus", defaults, open) }

func open(c Config, env sinks.Env) (sinks.Sink, error) {
	s := newSink(c, env)
	for i, m := range c.Metrics {
		name, key := m.Value, "value"
		if name == "" {
			name, key = m.Name, "name"
		}
		at, err := place(env.Schema, name, fmt.Sprintf("metrics[%d].%s", i, key))
		if err != nil {
			return nil, err
		}
		if t := env.Schema.Fields[at].Type; !numeric(t.Kind) {
			return nil, &config.PathError{Path: fmt.Sprintf("metrics[%d].%s", i, key), Err: fmt.Errorf("column %q is %s; a metric needs a number", name, t)}
		}
		s.values[i] = at
	}
	for i, name := range c.Labels {
		path := fmt.Sprintf("labels[%d]", i)
		at, err := place(env.Schema, name, path)
		if err != nil {
			return nil, err
		}
		if t := env.Schema.Fields[at].Type; t.Kind == column.List || t.Kind == column.Struct {
			return nil, &config.PathError{Path: path, Err: fmt.Errorf("column %q is %s; a label is one value", name, t)}
		}
		s.labels[i] = at
	}
	return s, nil
}

// place is where a column is.
func place(s *column.Schema, name, path string) (int, error) {
	if at := s.Index(name); at >= 0 {
		return at, nil
	}
	return 0, &config.PathError{Path: path, Err: fmt.Errorf("%s", config.Unknown("column", name, "columns", s.Names()))}
}

func numeric(k column.Kind) bool {
	switch k {
	case column.Boolean, column.Int, column.BigInt, column.Float, column.Double, column.Decimal, column.Timestamp:
		return true
	}
	return false
}
