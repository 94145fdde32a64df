package encode

import (
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
)

// Doubts reports what can be written but hardly be read as meant.
func (c *Config) Doubts(s *column.Schema) []config.Problem {
	if c.Type != Parquet {
		return nil
	}
	return alike(nil, "", s.Fields)
}

// alike adds the fields that differ only in case from another of the same struct. at is what stands before
// their names.
func alike(problems []config.Problem, at string, fields []column.Field) []config.Problem {
	seen := make(map[string]string, len(fields))
	for _, f := range fields {
		name, folded := at+f.Name, strings.ToLower(f.Name)
		if other, ok := seen[folded]; ok {
			problems = append(problems, config.Problemf("format",
				"columns %q and %q differ only in case, and many readers of Parquet take them for one; rename or drop one, for example in a transform", other, name))
		} else {
			seen[folded] = name
		}
		typ, below := f.Type, name
		for typ.Kind == column.List {
			typ, below = *typ.Elem, below+"[]"
		}
		if typ.Kind == column.Struct {
			problems = alike(problems, below+".", typ.Fields)
		}
	}
	return problems
}
