package prometheus

import (
	client "github.com/prometheus/client_golang/prometheus"
)

// collector is the sink's metrics for a registry of its own.
type collector struct{ *sink }

// Describe sends nothing: which series there are follows from the rows.
func (collector) Describe(chan<- *client.Desc) {}

// Collect sends the series.
func (c collector) Collect(ch chan<- client.Metric) { c.send(ch) }

// Expose implements sinks.Exposer. A sink with an address of its own is read there alone, so that
// nobody has its series twice.
func (s *sink) Expose(ch chan<- client.Metric) {
	if s.cfg.Listen == "" {
		s.send(ch)
	}
}

var (
	descSeries  = client.NewDesc("millrace_prometheus_series", "Combinations of label values that a prometheus sink has.", []string{"sink"}, nil)
	descRefused = client.NewDesc("millrace_prometheus_refused_rows_total", "Rows that a prometheus sink dropped because of max_series.", []string{"sink"}, nil)
)

// send sends the committed series that are not stale.
func (s *sink) send(ch chan<- client.Metric) {
	s.mu.Lock()
	shown, refused := s.shown, s.shownRefused
	s.mu.Unlock()
	descs := make([]*client.Desc, len(s.cfg.Metrics))
	for i, m := range s.cfg.Metrics {
		descs[i] = client.NewDesc(m.Name, m.Help, s.cfg.Labels, nil)
	}
	now, live := s.env.Now(), 0
	for _, x := range shown {
		if s.stale(x.updated, now) {
			continue
		}
		live++
		for i, v := range x.values {
			if !v.set {
				continue
			}
			kind := client.GaugeValue
			if s.cfg.Metrics[i].Kind == counter {
				kind = client.CounterValue
			}
			m, err := client.NewConstMetric(descs[i], kind, v.number, x.labels...)
			if err != nil {
				m = client.NewInvalidMetric(descs[i], err)
			}
			ch <- m
		}
	}
	name := s.env.Identity.Name
	ch <- client.MustNewConstMetric(descSeries, client.GaugeValue, float64(live), name)
	ch <- client.MustNewConstMetric(descRefused, client.CounterValue, float64(refused), name)
}
