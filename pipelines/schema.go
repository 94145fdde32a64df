package pipelines

//go:generate go run ../engine/config/docgen -root .. -o fielddocs_gen.go

import (
	"encoding/json"
	"slices"

	"github.com/millrace-io/millrace/engine/config"
)

// SchemaJSON is the JSON Schema (draft 2020-12) of pipeline files with these components. It accepts
// every file that Load accepts; it cannot see what needs more than one place of a file, such as a from
// that names nothing.
func SchemaJSON(c Components) ([]byte, error) {
	s := config.NewSchemas(fieldDocs)
	file := defaultFile()
	root := s.Of(&file)
	root.Dialect = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "Millrace pipeline"
	root.Type = config.Types{"object"}
	root.Defs = s.Defs()
	root.Defs["type"] = typeSchema()

	var sources, transforms, sinks []variant
	for _, each := range c.Sources {
		head := any(&sourceHead{})
		if each.AnyStream {
			head = &anyStreamHead{}
		}
		sources = append(sources, variant{each.Type, s.Of(head, each.Config())})
	}
	for _, each := range c.Transforms {
		transforms = append(transforms, variant{each.Type, s.Of(&transformHead{}, each.Config())})
	}
	for _, each := range c.Sinks {
		head := defaultSink()
		sinks = append(sinks, variant{each.Type, s.Of(&head, each.Config())})
	}
	var tables []variant
	for _, kind := range tableTypes {
		head := tableHead{}
		head.SetDefaults()
		tables = append(tables, variant{kind, s.Of(&head, tablePlace(kind))})
	}
	for section, variants := range map[string][]variant{"sources": sources, "tables": tables, "transforms": transforms, "sinks": sinks} {
		root.Properties[section].Additional.Schema = union(variants)
	}
	for _, section := range []string{"streams", "sources", "tables", "transforms", "queries", "sinks", "tests"} {
		root.Properties[section].PropertyNames = &config.Schema{Pattern: idSyntax.String()}
	}
	root.Properties["streams"].Type = config.Types{"object"}
	root.Properties["streams"].MinProperties = 1
	root.AnyOf = []*config.Schema{{Required: []string{"streams"}}, {Required: []string{"users"}}}
	text, err := json.MarshalIndent(root, "", "  ")
	return append(text, '\n'), err
}

// variant is one component's keys.
type variant struct {
	kind   string
	schema *config.Schema
}

// union describes an entry whose keys depend on its type. An editor sees the right keys as soon as
// the type is there.
func union(variants []variant) *config.Schema {
	u := &config.Schema{Type: config.Types{"object"}, Required: []string{"type"}, Properties: map[string]*config.Schema{}}
	kinds := []string{}
	for _, v := range variants {
		kinds = append(kinds, v.kind)
		// Behind the condition the type is known, so the list of types would only be noise.
		v.schema.Properties["type"] = &config.Schema{Const: v.kind, Description: v.schema.Properties["type"].Description}
		u.AllOf = append(u.AllOf, &config.Schema{
			If:   &config.Schema{Required: []string{"type"}, Properties: map[string]*config.Schema{"type": {Const: v.kind}}},
			Then: v.schema,
		})
	}
	slices.Sort(kinds)
	u.Properties["type"] = config.OneOf(kinds)
	return u
}
