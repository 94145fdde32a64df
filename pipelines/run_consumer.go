package pipelines

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
)

// consumerRun is a sink or query at work.
type consumerRun struct {
	*flow.Consumer
	// outputs are the feeds that a query writes to.
	outputs []*feed

	mu   sync.Mutex // guards sink
	sink sinks.Sink
}

// work runs the consumer. A query whose input has ended writes no more.
func (c *consumerRun) work(ctx context.Context) error {
	err := c.Run(ctx)
	if err == nil && c.Drained() {
		for _, f := range c.outputs {
			f.leave()
		}
	}
	return err
}

// show keeps the sink that was opened last. Sinks that show something have one task.
func (c *consumerRun) show(s sinks.Sink) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sink = s
}

func (c *consumerRun) shown() sinks.Sink {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sink
}

// Screen is the table of a sink that shows one.
type Screen struct {
	Name string
	// Lines is the table as it is now, for a width in characters. It may be called from any
	// goroutine.
	Lines func(width int) []string
}

// Screens are the tables of the pipeline's sinks.
func (r *Run) Screens() []Screen {
	var screens []Screen
	for _, t := range r.tasks {
		if screen, ok := t.shown().(sinks.Screen); ok {
			screens = append(screens, Screen{Name: t.Status().Name, Lines: screen.Screen})
		}
	}
	return screens
}

// Expose sends the metrics that sinks make of their rows. It may be called from any goroutine.
func (r *Run) Expose(ch chan<- prometheus.Metric) {
	for _, t := range r.tasks {
		if e, ok := t.shown().(sinks.Exposer); ok {
			e.Expose(ch)
		}
	}
}
