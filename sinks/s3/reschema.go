package s3

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sinks/encode"
)

// Reschema implements flow.Reschemer: the next objects have other columns.
func (s *sink) Reschema(schema *column.Schema) error {
	writer, err := encode.NewWriter(schema, s.config.Format.Options())
	if err == nil {
		err = s.chunk.Reschema(schema, writer, nil)
	}
	if err != nil {
		return s.wrap(err)
	}
	s.env.Schema = schema
	return nil
}
