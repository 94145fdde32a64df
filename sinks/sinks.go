// Package sinks is the contract of a destination. Each child package is one sink; the list of
// them is cmd/millrace/components.go.
package sinks

import (
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
)

// Sink delivers the rows of one consumer.
type Sink interface {
	flow.Processor
	// Guarantee says, in one line for people, how often a row arrives and why. It is final once
	// Start returned nil.
	Guarantee() string
	// Trigger says when an open chunk is cut.
	Trigger() flow.Trigger
}

// Hinter is implemented by a sink that can say, in one line for people, how to look at what it
// delivered; empty for nothing to say.
type Hinter interface{ Hint() string }

// Single is implemented by the configuration of a sink whose destination may take one writer only.
// Single says why, as the beginning of a sentence for people; empty when several tasks may deliver at
// the same time.
type Single interface{ Single() string }

// Adder is implemented by the configuration of a sink that adds up the values of rows, so that a row which a later one
// replaces counts too. Adds returns the paths of the keys that say so.
type Adder interface{ Adds() []string }

// Reader is implemented by the configuration of a sink that computes with values of rows, such as the
// names of partitions. Reads returns the columns: they keep their types while records widen others.
type Reader interface {
	Reads(schema *column.Schema) []string
}

// Doubter is implemented by the configuration of a sink that can tell what runs but is hardly meant,
// for rows of a schema. The check of a file shows it as warnings.
type Doubter interface {
	Doubts(schema *column.Schema) []config.Problem
}

// Renewer is implemented by the configuration of a sink with keys that say how its destination is
// reached and not what is put there. A chunk that was planned with an earlier configuration is put with
// these keys as they are now; secrets are always taken as they are now.
type Renewer interface{ Renewed() []string }

// Env is what a sink gets besides its configuration.
type Env struct {
	Identity flow.Identity
	// Schema of the rows.
	Schema *column.Schema
	// Generation is a hash of what the sink's output depends on in the pipeline file.
	Generation string
	// Dir is a directory of the sink's own for temporary files; it may be deleted between runs.
	Dir string
	// Data is the data directory, shared by all.
	Data string
	// Memory is how many bytes the sink may hold.
	Memory int64
	Log    *slog.Logger
	Now    func() time.Time
	// Stdout is where a terminal sink writes.
	Stdout io.Writer
	// Crowded is what the tasks of a sink share in a run, so that one of them warns once of chunks
	// with very many partitions. Nil is one of its own.
	Crowded *sync.Once
}

// Component is one kind of sink.
type Component struct {
	// Type is the value of `type:` in a pipeline file.
	Type string
	// Config returns a pointer to a configuration with its defaults.
	Config func() any
	// Open makes the sink without touching the outside.
	Open func(cfg any, env Env) (Sink, error)
}

// Define makes a Component of a typed configuration. If *C has a method
// Validate() []config.Problem, the loader calls it.
func Define[C any](kind string, defaults func() C, open func(C, Env) (Sink, error)) Component {
	return Component{
		Type:   kind,
		Config: config.Defaults(defaults),
		Open:   func(cfg any, env Env) (Sink, error) { return open(*cfg.(*C), env) },
	}
}

// Claimer is implemented by the configuration of a sink that takes something which only one sink of a
// pipeline can have, such as an address.
type Claimer interface{ Claims() []Claim }

// Claim is one such thing.
type Claim struct {
	// Path of the key that names it.
	Path string
	// What it is, as messages have it and the same for all that cannot be together.
	What string
}

// Exposer is implemented by a sink with metrics for the program's /metrics.
type Exposer interface {
	// Expose sends them as they are now. It may be called from any goroutine, also after Close.
	Expose(ch chan<- prometheus.Metric)
}
