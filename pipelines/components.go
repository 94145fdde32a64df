package pipelines

import (
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sources"
	"github.com/millrace-io/millrace/transforms"
)

// Components are the kinds of sources, transforms and sinks that a program has. Their one list is
// cmd/millrace/components.go.
type Components struct {
	Sources    []sources.Component
	Transforms []transforms.Component
	Sinks      []sinks.Component
}

// find is the component of a type and the types there are.
func find[C any](components []C, typeOf func(C) string, kind string) (c C, known []string, ok bool) {
	for _, each := range components {
		if typeOf(each) == kind {
			return each, nil, true
		}
		known = append(known, typeOf(each))
	}
	return c, known, false
}

func sourceType(c sources.Component) string       { return c.Type }
func transformType(c transforms.Component) string { return c.Type }
func sinkType(c sinks.Component) string           { return c.Type }
