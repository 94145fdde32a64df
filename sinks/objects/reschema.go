package objects

import (
	"errors"
	"io"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sinks/encode"
	"github.com/millrace-io/millrace/sql"
)

// Reads implements sinks.Reader: the columns that partitions are made of.
func (l *Layout) Reads(schema *column.Schema) []string {
	var names []string
	for _, text := range l.PartitionBy {
		text, _, err := splitName(text)
		if err != nil {
			continue // New says what is wrong
		}
		if e, err := sql.CompileExpr(text, schema); err == nil {
			names = append(names, column.Tops(e.Needs())...)
		}
	}
	return names
}

// Reschema makes an empty chunk take rows of another schema, which writer encodes; open is as in
// Settings. After an error the chunk is as it was.
func (c *Chunk) Reschema(schema *column.Schema, writer *encode.Writer, open func(io.Writer) encode.Encoder) error {
	if c.rows > 0 || len(c.list) > 0 || len(c.rejected) > 0 {
		return errors.New("the chunk has rows of another schema")
	}
	s := c.settings
	s.Schema, s.Writer, s.Open = schema, writer, open
	next, err := New(s)
	if err != nil {
		return err
	}
	c.settings, c.writer, c.partitioner, c.columns = next.settings, next.writer, next.partitioner, next.columns
	if c.partitioner != nil {
		c.stage.setSchema(next.stage.schema)
	}
	return nil
}
