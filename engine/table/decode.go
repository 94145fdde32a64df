package table

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/millrace-io/millrace/engine/column"
)

// Rows are the rows of a version and what they take in memory, in bytes.
type Rows struct {
	*column.Batch
	Memory int64
}

// Decode reads the rows of a table's content. An error says what is wrong with it, and where.
func Decode(s *Spec, content io.ReaderAt, size int64) (Rows, error) {
	r := newRows(s)
	var err error
	switch s.Format {
	case CSV:
		err = r.text(content, size, r.csv)
	case NDJSON:
		err = r.text(content, size, r.ndjson)
	case Parquet:
		err = r.parquet(content, size)
	default:
		err = fmt.Errorf("unknown format %q", s.Format)
	}
	if err != nil {
		return Rows{}, err
	}
	memory := r.memory()
	b, err := r.finish()
	return Rows{b, memory}, err
}

// text reads a content of lines.
func (r *rows) text(content io.ReaderAt, size int64, read func(io.Reader) error) error {
	in, done, err := unpacked(io.NewSectionReader(content, 0, size))
	if err != nil {
		return err
	}
	defer done()
	return read(in)
}

// maxLine is the longest line of text that a row may take, in bytes.
const maxLine = 1 << 20

// decodeRows is how many rows are decoded at a time.
const decodeRows = 4096

// lines decodes rows of JSON.
type lines struct {
	rows    *rows
	decoder *column.Decoder
}

func newLines(r *rows) *lines {
	return &lines{r, column.NewDecoder(r.spec.Schema, nil, column.Options{Plain: true, MaxRow: 4 * maxLine})}
}

// add takes a row; line is its place for errors.
func (l *lines) add(row []byte, line int) error {
	if err := l.decoder.Add(row, 0, 0); err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	if l.decoder.Len() < decodeRows {
		return nil
	}
	return l.flush()
}

func (l *lines) flush() error {
	if l.decoder.Len() == 0 {
		return nil
	}
	b := l.decoder.Take(column.Origin{})
	defer l.decoder.Release(b)
	return l.rows.add(b)
}

func (r *rows) ndjson(from io.Reader) error {
	in := bufio.NewScanner(from)
	in.Buffer(make([]byte, 0, 64<<10), maxLine)
	to := newLines(r)
	n := 0
	for in.Scan() {
		n++
		text := bytes.TrimSpace(in.Bytes())
		if len(text) == 0 {
			continue
		}
		if err := to.add(text, n); err != nil {
			return err
		}
	}
	switch err := in.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d: it is longer than 1 MiB", n+1)
	case err != nil:
		return err
	}
	return to.flush()
}
