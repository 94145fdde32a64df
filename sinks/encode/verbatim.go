package encode

import (
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
)

// verbatim writes the bytes of one column and nothing else. Null has none, like the empty text.
type verbatim struct {
	column    int
	delimiter string
}

func newRaw(schema *column.Schema, o RawOptions) (verbatim, error) {
	at := 0
	switch {
	case o.Column != "":
		at = schema.Index(o.Column)
	case len(schema.Fields) != 1:
		at = -1
	}
	if at < 0 {
		what := "raw is the bytes of one column"
		if o.Column != "" {
			what = fmt.Sprintf("there is no column %q", o.Column)
		}
		return verbatim{}, fmt.Errorf("%s; name one with column: (%s)", what, strings.Join(schema.Names(), ", "))
	}
	f := schema.Fields[at]
	switch f.Type.Kind {
	case column.String, column.Binary, column.JSON:
		return verbatim{at, o.Delimiter}, nil
	}
	return verbatim{}, fmt.Errorf("raw column %q is a %s; name one of type string, binary or json, or use format: ndjson", f.Name, f.Type.Kind)
}

func (v verbatim) begin(dst []byte) []byte { return dst }

func (v verbatim) end(dst []byte) []byte { return dst }

func (v verbatim) row(dst []byte, b *column.Batch, row int, _ bool) []byte {
	if c := b.Columns[v.column]; !c.IsNull(row) {
		dst = append(dst, c.Text(row)...)
	}
	return append(dst, v.delimiter...)
}
