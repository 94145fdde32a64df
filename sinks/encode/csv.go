package encode

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
)

// csv writes RFC 4180. Null is a text without quotes; whatever else could be taken for it has
// quotes, the empty string in any case.
type csv struct {
	schema    *column.Schema
	options   CSVOptions
	delimiter byte
	lineBreak string
	// special are the bytes that need quotes.
	special [256]bool
	// cell is the field at hand.
	cell []byte
}

func newCSV(schema *column.Schema, o CSVOptions) *csv {
	c := &csv{schema: schema, options: o, delimiter: o.delimiter(), lineBreak: "\r\n"}
	if o.LF {
		c.lineBreak = "\n"
	}
	for _, b := range []byte{'"', '\r', '\n', c.delimiter} {
		c.special[b] = true
	}
	return c
}

func (o CSVOptions) delimiter() byte {
	if o.Delimiter == 0 {
		return ','
	}
	return o.Delimiter
}

func (o CSVOptions) problems() []config.Problem {
	var problems []config.Problem
	d := o.delimiter()
	if d >= 0x7f || d < ' ' && d != '\t' || letterOrDigit(d) || strings.IndexByte("\" -+.", d) >= 0 {
		problems = append(problems, config.Problemf("delimiter",
			"%q cannot part fields, because numbers or texts would be cut; use one of , ; | or a tab (\"\\t\")", string(rune(d))))
	}
	if strings.ContainsAny(o.Null, "\"\r\n") || strings.IndexByte(o.Null, d) >= 0 {
		problems = append(problems, config.Problemf("null",
			"%q has a quote, a line break or the delimiter in it, so it would need quotes, which tell a value from null; use another, such as \\N", o.Null))
	}
	return problems
}

func letterOrDigit(b byte) bool {
	return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z'
}

// checkCSV makes sure that each row is a line that is not empty, which readers would skip.
func checkCSV(schema *column.Schema, o CSVOptions) error {
	switch {
	case len(schema.Fields) == 0:
		return fmt.Errorf("csv needs a column")
	case len(schema.Fields) == 1 && o.Null == "":
		return fmt.Errorf(`a null in a csv of one column would be an empty line, which readers skip; give it a text, for example null: '\N'`)
	}
	return nil
}

func (c *csv) begin(dst []byte) []byte {
	if c.options.NoHeader {
		return dst
	}
	for i, f := range c.schema.Fields {
		if i > 0 {
			dst = append(dst, c.delimiter)
		}
		c.cell = append(c.cell[:0], f.Name...)
		dst = c.field(dst, c.cell)
	}
	return append(dst, c.lineBreak...)
}

func (c *csv) end(dst []byte) []byte { return dst }

func (c *csv) row(dst []byte, b *column.Batch, row int, _ bool) []byte {
	for i, col := range b.Columns {
		if i > 0 {
			dst = append(dst, c.delimiter)
		}
		dst = c.value(dst, col, row)
	}
	return append(dst, c.lineBreak...)
}

// value appends one value as a field.
func (c *csv) value(dst []byte, col *column.Column, row int) []byte {
	if col.IsNull(row) {
		return append(dst, c.options.Null...)
	}
	switch col.Type.Kind {
	case column.String, column.JSON:
		return c.field(dst, col.Text(row))
	case column.Boolean, column.Int, column.BigInt, column.Decimal:
		return c.plain(dst, column.AppendText(dst, col, row))
	case column.Float:
		return c.real(dst, col, row, float64(col.Float32s[row]))
	case column.Double:
		return c.real(dst, col, row, col.Float64s[row])
	}
	c.cell = column.AppendText(c.cell[:0], col, row)
	return c.field(dst, c.cell)
}

// real appends a floating-point number; what is none has the names that most readers know.
func (c *csv) real(dst []byte, col *column.Column, row int, v float64) []byte {
	switch {
	case math.IsInf(v, 1):
		return c.plain(dst, append(dst, "Infinity"...))
	case math.IsInf(v, -1):
		return c.plain(dst, append(dst, "-Infinity"...))
	}
	return c.plain(dst, column.AppendText(dst, col, row))
}

// plain is longer, which is dst and a field without special bytes: quotes are for what would be
// taken for null.
func (c *csv) plain(dst, longer []byte) []byte {
	if len(longer)-len(dst) != len(c.options.Null) || string(longer[len(dst):]) != c.options.Null {
		return longer
	}
	return append(append(append(dst, '"'), c.options.Null...), '"')
}

// field appends a text, in quotes if it needs them.
func (c *csv) field(dst, s []byte) []byte {
	if !c.needsQuotes(s) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for {
		i := bytes.IndexByte(s, '"')
		if i < 0 {
			return append(append(dst, s...), '"')
		}
		dst = append(append(dst, s[:i+1]...), '"')
		s = s[i+1:]
	}
}

// needsQuotes also holds for blanks at the ends, which some readers trim, and for the backslash
// that ends input for PostgreSQL.
func (c *csv) needsQuotes(s []byte) bool {
	if len(s) == 0 || s[0] == ' ' || s[len(s)-1] == ' ' || string(s) == c.options.Null || string(s) == `\.` {
		return true
	}
	for _, b := range s {
		if c.special[b] {
			return true
		}
	}
	return false
}
