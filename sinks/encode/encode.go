// Package encode writes column batches as files: Parquet, Avro, CSV, JSON and raw bytes.
//
// The invariant to remember: the bytes of a file follow from the rows, their order, the options
// and the calls of Flush alone, never from the clock or from how the rows were split into batches
// of the same size; and a value that was zero, false or empty going in is zero, false or empty in the file,
// never null.
package encode

import (
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

// Writer makes encoders of one schema and one set of options, which share what is costly to make.
// It may be used from several goroutines.
type Writer struct {
	schema  *column.Schema
	options Options
	// codec, layout, scratches, which are of type *scratch, and spares, of type *[]chunk, are for Parquet.
	codec     codec
	layout    *layout
	scratches sync.Pool
	spares    sync.Pool
	// compress, head, verbatim and buffers, which are of type *[]byte, are for the other formats; head
	// is for Avro and verbatim for raw.
	compress compressor
	head     []byte
	verbatim verbatim
	buffers  sync.Pool
}

// NewWriter checks the options and that every column has a place in the format.
func NewWriter(schema *column.Schema, o Options) (*Writer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	w := &Writer{schema: schema, options: o}
	w.scratches.New = func() any { return new(scratch) }
	w.buffers.New = func() any { return new([]byte) }
	var err error
	if o.Format == Parquet {
		if w.codec, err = newCodec(o.Compression, o.Level); err == nil {
			w.layout, err = newLayout(schema, o.ParquetOptions)
		}
	} else if err = w.check(); err == nil {
		compression := textCompression
		if o.Format == Avro {
			compression = avroCompression
		}
		w.compress, err = compression(o.Compression, o.Level)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// check finds the place of every column.
func (w *Writer) check() (err error) {
	switch w.options.Format {
	case CSV:
		err = checkCSV(w.schema, w.options.CSV)
	case Raw:
		w.verbatim, err = newRaw(w.schema, w.options.Raw)
	case Avro:
		w.head, err = avroHead(w.schema, w.options.Compression)
	}
	return err
}

// Options are those of NewWriter.
func (w *Writer) Options() Options { return w.options }

// Open starts a file.
func (w *Writer) Open(out io.Writer) Encoder {
	if w.options.Format == Parquet {
		return w.openParquet(out)
	}
	return w.pieces(out, w.options.CSV)
}

// Continue goes on with a file that has rows already, so it writes no header. The options must be
// Appendable.
func (w *Writer) Continue(out io.Writer) Encoder {
	csv := w.options.CSV
	csv.NoHeader = true
	return w.pieces(out, csv)
}

func (w *Writer) pieces(out io.Writer, csv CSVOptions) Encoder {
	p := &pieces{schema: w.schema, out: out, buffers: &w.buffers}
	if w.compress != nil {
		p.packer = text{w.compress}
	}
	switch w.options.Format {
	case CSV:
		p.format = newCSV(w.schema, csv)
	case Raw:
		p.format = w.verbatim
	case Avro:
		p.format = avroRows{}
		p.packer = &avroBlocks{head: w.head, compress: w.compress, buffers: &w.buffers}
	default:
		p.format = objects{array: w.options.Format == JSON}
	}
	return p.open()
}
