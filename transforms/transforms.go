// Package transforms is the contract of a stateless, deterministic step between a stream and its
// consumers. Each child package is one transform; the list is cmd/millrace/components.go.
package transforms

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
)

// Transform is one step. One goroutine calls it.
type Transform interface {
	flow.Transform
	// Schema of the rows that leave.
	Schema() *column.Schema
	// Needs is what Apply reads of its input when something of the output is wanted: columns on both sides, or
	// fields within them (column.Within).
	Needs(output []string) []string
}

// Describer is implemented by the configuration of a transform that says in one line what it does.
type Describer interface{ Describe() string }

// Component is one kind of transform.
type Component struct {
	// Type is the value of `type:` in a pipeline file.
	Type string
	// Config returns a pointer to a configuration with its defaults.
	Config func() any
	// Open compiles the transform for rows of a schema.
	Open func(cfg any, in *column.Schema) (Transform, error)
}

// Define makes a Component of a typed configuration. If *C has a method
// Validate() []config.Problem, the loader calls it.
func Define[C any](kind string, defaults func() C, open func(C, *column.Schema) (Transform, error)) Component {
	return Component{
		Type:   kind,
		Config: config.Defaults(defaults),
		Open:   func(cfg any, in *column.Schema) (Transform, error) { return open(*cfg.(*C), in) },
	}
}
