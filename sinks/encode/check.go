package encode

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/column"
)

// checkBatch makes sure that every column is there and as long as the batch says, so that no
// file gets columns of different lengths, which Parquet would not notice.
func checkBatch(s *column.Schema, b *column.Batch) error {
	if len(b.Columns) != len(s.Fields) {
		return fmt.Errorf("batch has %d columns, the schema %d", len(b.Columns), len(s.Fields))
	}
	for i, f := range s.Fields {
		if err := checkColumn(b.Columns[i], f.Type, b.Rows); err != nil {
			return fmt.Errorf("column %s: %w", f.Name, err)
		}
	}
	if n := len(b.Selection); n > 0 && (b.Selection[0] < 0 || int(b.Selection[n-1]) >= b.Rows) {
		return fmt.Errorf("selection of rows %d to %d in a batch of %d", b.Selection[0], b.Selection[n-1], b.Rows)
	}
	return nil
}

func checkColumn(c *column.Column, t column.Type, n int) error {
	if c == nil {
		return fmt.Errorf("is missing")
	}
	if c.Type.Kind != t.Kind {
		return fmt.Errorf("has type %d instead of %d", c.Type.Kind, t.Kind)
	}
	have := c.Len
	switch {
	case c.Dict != nil:
		have = min(have, len(c.IDs))
	default:
		have = min(have, stored(c, t))
	}
	if have < n {
		return fmt.Errorf("has %d of %d rows", have, n)
	}
	if c.Nulls > 0 && len(c.Valid) < (n+7)/8 {
		return fmt.Errorf("has nulls but validity for %d of %d rows", 8*len(c.Valid), n)
	}
	return checkChildren(c, t, n)
}

// stored is how many rows the buffers of c hold.
func stored(c *column.Column, t column.Type) int {
	switch t.Kind {
	case column.Boolean:
		return 8 * len(c.Bools)
	case column.Int, column.Date:
		return len(c.Int32s)
	case column.BigInt, column.Time, column.Timestamp:
		return len(c.Int64s)
	case column.Float:
		return len(c.Float32s)
	case column.Double:
		return len(c.Float64s)
	case column.UUID:
		return len(c.Fixed) / fixedLength
	case column.Decimal:
		if t.Precision <= 18 {
			return len(c.Int64s)
		}
		return len(c.Fixed) / fixedLength
	case column.Struct:
		return c.Len
	}
	return max(len(c.Offsets)-1, 0)
}

func checkChildren(c *column.Column, t column.Type, n int) error {
	switch t.Kind {
	case column.Struct:
		if len(c.Children) != len(t.Fields) {
			return fmt.Errorf("has %d of %d fields", len(c.Children), len(t.Fields))
		}
		for i, f := range t.Fields {
			if err := checkColumn(c.Children[i], f.Type, n); err != nil {
				return fmt.Errorf("field %s %w", f.Name, err)
			}
		}
	case column.List:
		if len(c.Children) != 1 {
			return fmt.Errorf("is a list with %d columns of elements", len(c.Children))
		}
		elems := 0
		if n > 0 {
			elems = int(c.Offsets[n])
		}
		if err := checkColumn(c.Children[0], *t.Elem, elems); err != nil {
			return fmt.Errorf("elements: %w", err)
		}
	}
	return nil
}
