package pipelines

import "github.com/prometheus/client_golang/prometheus"

// Parse is Load for a text.
var Parse = parse

// Redone is the pipeline that a plan of a sink is redone with once the file has the present one.
func (s *Sink) Redone(p *Pipeline, present *Sink) (*Pipeline, error) {
	return p.reload(s.recorded.with(&present.recorded), nil)
}

// CollectorOf has the metrics of a snapshot.
func CollectorOf(s Status) prometheus.Collector {
	return collector{func() Status { return s }, func(chan<- prometheus.Metric) {}}
}
