package pipelines

import (
	"context"
	"sync"

	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
)

// consumerRun is a sink or query at work.
type consumerRun struct {
	*flow.Consumer
	// output is the feed that a query writes to, nil for a sink.
	output *feed

	mu     sync.Mutex // guards screen
	screen sinks.Screen
}

// work runs the consumer. A query whose input has ended writes no more.
func (c *consumerRun) work(ctx context.Context) error {
	err := c.Run(ctx)
	if err == nil && c.output != nil && c.Drained() {
		c.output.leave()
	}
	return err
}

// show keeps the sink that was opened last, if it shows a table. Such sinks have one task.
func (c *consumerRun) show(s sinks.Sink) {
	screen, ok := s.(sinks.Screen)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.screen = screen
}

func (c *consumerRun) shown() sinks.Screen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.screen
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
		if t.shown() != nil {
			screens = append(screens, Screen{
				Name:  t.Status().Name,
				Lines: func(width int) []string { return t.shown().Screen(width) },
			})
		}
	}
	return screens
}
