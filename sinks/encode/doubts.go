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
	var problems []config.Problem
	seen := make(map[string]string, len(s.Fields))
	for _, f := range s.Fields {
		folded := strings.ToLower(f.Name)
		if other, ok := seen[folded]; ok {
			problems = append(problems, config.Problemf("format",
				"columns %q and %q differ only in case, and many readers of Parquet take them for one; rename or drop one, for example in a transform", other, f.Name))
			continue
		}
		seen[folded] = f.Name
	}
	return problems
}
