package table

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
)

// cell is one cell of a CSV file. An empty one without quotes is null, with quotes the empty text.
type cell struct {
	text   []byte
	quoted bool
}

func (c cell) null() bool { return len(c.text) == 0 && !c.quoted }

// csvReader reads lines as of RFC 4180.
type csvReader struct {
	in        *bufio.Reader
	delimiter byte
	// line is that of the row at hand.
	line, next int
	cells      []cell
	// bytes is the memory of the cells.
	bytes []byte
}

// read returns the cells of the next row, valid until the next call. Error: io.EOF behind the last.
func (r *csvReader) read() ([]cell, error) {
	for {
		r.cells, r.bytes, r.line = r.cells[:0], r.bytes[:0], r.next+1
		ends := []int{}
		quotes := []bool{}
		end, err := r.row(&ends, &quotes)
		if err != nil {
			return nil, err
		}
		from := 0
		for i, at := range ends {
			r.cells = append(r.cells, cell{r.bytes[from:at], quotes[i]})
			from = at
		}
		if len(r.cells) == 1 && r.cells[0].null() {
			if end {
				return nil, io.EOF
			}
			continue // an empty line
		}
		return r.cells, nil
	}
}

// row reads up to the end of a row; last is set at the end of the content.
func (r *csvReader) row(ends *[]int, quotes *[]bool) (last bool, err error) {
	quoted, inside, begun := false, false, false
	done := func() {
		*ends, *quotes = append(*ends, len(r.bytes)), append(*quotes, quoted)
		quoted, begun = false, false
	}
	for {
		b, err := r.in.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && inside:
			return true, fmt.Errorf("line %d: a quote is not closed", r.line)
		case errors.Is(err, io.EOF):
			done()
			r.next++
			return true, nil
		case err != nil:
			return true, err
		case len(r.bytes) > maxLine:
			return true, fmt.Errorf("line %d: the row is longer than 1 MiB", r.line)
		case inside && b == '"':
			if follows, err := r.in.Peek(1); err == nil && follows[0] == '"' {
				_, _ = r.in.ReadByte() // it was seen
				r.bytes = append(r.bytes, '"')
				continue
			}
			inside = false
		case inside:
			if b == '\n' {
				r.next++
			}
			r.bytes = append(r.bytes, b)
		case b == '"' && !begun:
			quoted, inside, begun = true, true, true
		case b == r.delimiter:
			done()
		case b == '\r' && r.lineEnds():
		case b == '\n':
			done()
			r.next++
			return false, nil
		case quoted:
			return true, fmt.Errorf("line %d: %q stands behind a closing quote; a quote within a text is written twice", r.line, b)
		default:
			begun = true
			r.bytes = append(r.bytes, b)
		}
	}
}

// lineEnds reports whether a line break or the end comes next.
func (r *csvReader) lineEnds() bool {
	next, err := r.in.Peek(1)
	return err != nil || next[0] == '\n'
}

func (r *rows) csv(from io.Reader) error {
	in := &csvReader{in: bufio.NewReaderSize(from, 64<<10), delimiter: r.spec.CSV.Delimiter}
	if in.delimiter == 0 {
		in.delimiter = ','
	}
	if start, err := in.in.Peek(3); err == nil && string(start) == "\xef\xbb\xbf" {
		_, _ = in.in.Discard(3) // it was seen
	}
	fields := r.spec.Schema.Fields
	places := make([]int, len(fields))
	for i := range places {
		places[i] = i
	}
	width := 0
	if !r.spec.CSV.NoHeader {
		head, err := in.read()
		if errors.Is(err, io.EOF) {
			return errors.New("it is empty; a CSV file begins with a line of the columns' names (or set header: false)")
		}
		if err == nil {
			err = header(head, fields, places)
		}
		if err != nil {
			return err
		}
		// Programs that write the number of a row in front of it give that no name, and all names are one off.
		width = len(head)
	}
	to := newLines(r)
	var row []byte
	for {
		cells, err := in.read()
		if errors.Is(err, io.EOF) {
			return to.flush()
		}
		if err != nil {
			return err
		}
		if width == 0 {
			width = len(cells)
		}
		if len(cells) != width || width <= slices.Max(places) {
			return fmt.Errorf("line %d: it has %d cells, %d are expected", in.line, len(cells), max(width, slices.Max(places)+1))
		}
		row = append(row[:0], '{')
		for i, f := range fields {
			if i > 0 {
				row = append(row, ',')
			}
			if !utf8.Valid(cells[places[i]].text) {
				return fmt.Errorf("line %d: column %q is no UTF-8 text", in.line, f.Name)
			}
			row = appendText(row, []byte(f.Name))
			row = appendCell(append(row, ':'), cells[places[i]], f.Type)
		}
		if err := to.add(append(row, '}'), in.line); err != nil {
			return err
		}
	}
}

// header finds the places of the columns.
func header(head []cell, fields []column.Field, places []int) error {
	var names []string
	for _, c := range head {
		names = append(names, strings.TrimSpace(string(c.text)))
	}
	for i, f := range fields {
		places[i] = slices.Index(names, f.Name)
		if places[i] < 0 {
			return errors.New("line 1: " + config.Unknown("column", f.Name, "columns of the file", names))
		}
		if slices.Contains(names[places[i]+1:], f.Name) {
			return fmt.Errorf("line 1: two columns are called %q", f.Name)
		}
	}
	return nil
}

var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// appendCell appends a cell as JSON of a type. What is no value of it is left to the decoder to refuse.
func appendCell(dst []byte, c cell, t column.Type) []byte {
	if c.null() {
		return append(dst, "null"...)
	}
	text := c.text
	switch t.Kind {
	case column.String, column.Binary, column.UUID:
		return appendText(dst, text)
	case column.JSON, column.List, column.Struct:
		if json.Valid(text) {
			return append(dst, text...)
		}
		return appendText(dst, text)
	}
	text = bytes.TrimSpace(text)
	switch t.Kind {
	case column.Boolean:
		for _, word := range []string{"true", "false"} {
			if strings.EqualFold(string(text), word) {
				return append(dst, word...)
			}
		}
	case column.Int, column.BigInt, column.Float, column.Double, column.Decimal:
		if number.Match(text) {
			return append(dst, text...)
		}
	}
	return appendText(dst, text)
}

func appendText(dst, text []byte) []byte {
	quoted, err := json.Marshal(string(text))
	if err != nil {
		return append(dst, "null"...) // a text is always JSON
	}
	return append(dst, quoted...)
}
