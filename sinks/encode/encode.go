// Package encode writes column batches as files: Parquet and NDJSON.
//
// The invariant to remember: the bytes of a file follow from the rows, their order and the
// options alone, never from the clock or from how the rows were split into batches of the same
// size; and a value that was zero, false or empty going in is zero, false or empty in the file,
// never null.
package encode

import (
	"fmt"
	"io"
	"sync"

	"github.com/millrace-io/millrace/engine/column"
)

// Encoder writes rows to one file. One goroutine uses it.
type Encoder interface {
	// Add appends the selected rows of b. It does not keep b.
	Add(b *column.Batch) error
	// Rows is how many rows were added.
	Rows() int64
	// Size is the encoded size of the rows so far, in bytes: what was written plus an estimate of
	// what is still held.
	Size() int64
	// Memory is what the encoder holds, in bytes.
	Memory() int64
	// Flush writes out everything that can be written before the end of the file, to let go of
	// memory. Each call costs compression, so it is for times when memory is short.
	Flush() error
	// Finish writes what is left and the end of the file. The encoder cannot be used afterwards;
	// it does not close the writer it was given.
	Finish() error
}

// Format of a file.
type Format string

// The formats.
const (
	Parquet Format = "parquet"
	NDJSON  Format = "ndjson"
)

// Compression of a file (NDJSON) or of its pages (Parquet).
type Compression string

// The compressions.
const (
	None   Compression = "none"
	Zstd   Compression = "zstd"
	Snappy Compression = "snappy"
	Gzip   Compression = "gzip"
)

// Options of a Writer.
type Options struct {
	Format      Format
	Compression Compression
	// Level is 1 (fastest) to 22 for zstd and 1 to 9 for gzip; zero means 1 and 6. With zstd, pages
	// of encoded columns hardly get smaller at level 3, which costs a fifth more.
	Level int
	// CreatedBy is the name of the application that Parquet files carry. It must not change with
	// time, or a redone file would differ.
	CreatedBy string
}

// Validate reports the first option that is wrong.
func (o Options) Validate() error {
	switch o.Format {
	case Parquet, NDJSON:
	default:
		return fmt.Errorf("unknown format %q; want parquet or ndjson", o.Format)
	}
	most := 0
	switch o.Compression {
	case None, Snappy:
	case Zstd:
		most = 22
	case Gzip:
		most = 9
	default:
		return fmt.Errorf("unknown compression %q; want zstd, snappy, gzip or none", o.Compression)
	}
	if o.Level != 0 && most == 0 {
		return fmt.Errorf("compression %s has no level", o.Compression)
	}
	if o.Level < 0 || o.Level > most {
		return fmt.Errorf("level %d of %s: want 1 to %d", o.Level, o.Compression, most)
	}
	return nil
}

// Extension is the end of a file name, with its dot.
func (o Options) Extension() string {
	if o.Format == Parquet {
		return ".parquet"
	}
	switch o.Compression {
	case Zstd:
		return ".ndjson.zst"
	case Snappy:
		return ".ndjson.sz"
	case Gzip:
		return ".ndjson.gz"
	}
	return ".ndjson"
}

// ContentType is the media type of a file.
func (o Options) ContentType() string {
	if o.Format == Parquet {
		return "application/vnd.apache.parquet"
	}
	return "application/x-ndjson"
}

// Writer makes encoders of one schema and one set of options, which share what is costly to make.
// It may be used from several goroutines.
type Writer struct {
	schema  *column.Schema
	options Options
	codec   codec
	layout  *layout
	// scratches are of type *scratch.
	scratches sync.Pool
}

// NewWriter checks the options and that every column has a place in the format.
func NewWriter(schema *column.Schema, o Options) (*Writer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	w := &Writer{schema: schema, options: o}
	w.scratches.New = func() any { return new(scratch) }
	var err error
	if o.Format == NDJSON {
		w.codec, err = newStreamCodec(o.Compression, o.Level)
		return w, err
	}
	if w.codec, err = newCodec(o.Compression, o.Level); err != nil {
		return nil, err
	}
	if w.layout, err = newLayout(schema); err != nil {
		return nil, err
	}
	return w, nil
}

// Options are those of NewWriter.
func (w *Writer) Options() Options { return w.options }

// Open starts a file.
func (w *Writer) Open(out io.Writer) Encoder {
	if w.options.Format == NDJSON {
		return &lines{schema: w.schema, codec: w.codec, out: out}
	}
	return newParquet(w.layout, w.codec, w.options.CreatedBy, &w.scratches, out)
}
