package file

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sinks/encode"
)

// Reschema implements flow.Reschemer: the next files have other columns.
func (d *directory) Reschema(schema *column.Schema) error {
	format := d.config.format()
	writer, err := encode.NewWriter(schema, format.Options())
	if err == nil {
		err = d.chunk.Reschema(schema, writer, nil)
	}
	if err != nil {
		return d.fail(err)
	}
	d.env.Schema = schema
	return nil
}

// Reschema implements flow.Reschemer: the next lines of the file have other fields. The other formats
// say at the beginning of a file which columns it has.
func (a *appender) Reschema(schema *column.Schema) error {
	format := a.config.format()
	if format.Type != encode.NDJSON {
		return a.fail(fmt.Errorf("a single %s file has the same columns to its end; write to a dir, or as ndjson", format.Type))
	}
	writer, err := encode.NewWriter(schema, format.Options())
	if err == nil {
		err = a.chunk.Reschema(schema, writer, a.encoder)
	}
	if err != nil {
		return a.fail(err)
	}
	a.writer, a.env.Schema = writer, schema
	return nil
}
