package encode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/config"
)

// Format of a file.
type Format string

// The formats.
const (
	Parquet Format = "parquet"
	NDJSON  Format = "ndjson"
	JSON    Format = "json"
	CSV     Format = "csv"
	Avro    Format = "avro"
	Raw     Format = "raw"
)

// Formats are all of them.
func Formats() []Format { return []Format{Parquet, NDJSON, JSON, CSV, Avro, Raw} }

// Compression of a file, or of what it consists of: the pages of Parquet, the blocks of Avro.
type Compression string

// The compressions. Deflate is Avro's own, which has no gzip; LZ4Raw is Parquet's.
const (
	None    Compression = "none"
	Zstd    Compression = "zstd"
	Snappy  Compression = "snappy"
	Gzip    Compression = "gzip"
	Deflate Compression = "deflate"
	LZ4Raw  Compression = "lz4_raw"
)

// Options of a Writer.
type Options struct {
	Format      Format
	Compression Compression
	// Level is 1 (fastest) to 22 for zstd and 1 to 9 for gzip and deflate; zero means 1 and 6. With
	// zstd, pages of encoded columns hardly get smaller at level 3, which costs a fifth more.
	Level int
	// CreatedBy is the name of the application that Parquet files carry. It must not change with
	// time, or a redone file would differ.
	CreatedBy string
	ParquetOptions
	// CSV and Raw are looked at for the format of that name alone.
	CSV CSVOptions
	Raw RawOptions
}

// CSVOptions are what one CSV differs in from another. The zero value is RFC 4180 with a header.
type CSVOptions struct {
	NoHeader bool
	// Delimiter stands between fields; zero is a comma.
	Delimiter byte
	// Null is the text of a null, without quotes. A value of the same text has quotes.
	Null string
	// LF ends lines with a line feed instead of CR LF.
	LF bool
}

// RawOptions of a file that is the values of one column.
type RawOptions struct {
	// Column is its name; empty for the only one that there is.
	Column string
	// Delimiter follows each value.
	Delimiter string
}

// Validate reports the first option that is wrong.
func (o Options) Validate() error {
	if p := o.problems(); len(p) > 0 {
		return fmt.Errorf("%s", p[0].Message)
	}
	return nil
}

// problems are the options that are wrong, with their paths in a Config.
func (o Options) problems() []config.Problem {
	var problems []config.Problem
	report := func(path, format string, args ...any) {
		problems = append(problems, config.Problemf(path, format, args...))
	}
	if !slices.Contains(Formats(), o.Format) {
		report("type", "unknown format %q; want %s", o.Format, either(Formats()))
		return problems
	}
	switch allowed := o.compressions(); {
	case slices.Contains(allowed, o.Compression):
		if err := o.checkLevel(); err != nil {
			report("level", "%v", err)
		}
	case o.Format == Avro && o.Compression == Gzip:
		report("compression", "avro has deflate, which is gzip without a header; write compression: deflate")
	case o.Compression == Deflate:
		report("compression", "deflate goes with avro alone; write compression: gzip")
	default:
		report("compression", "unknown compression %q; want %s", o.Compression, either(allowed))
	}
	if o.Format == Parquet {
		problems = append(problems, o.ParquetOptions.problems()...)
	}
	if o.Format == CSV {
		problems = append(problems, o.CSV.problems()...)
	}
	return problems
}

// compressions are those that the format has.
func (o Options) compressions() []Compression {
	switch o.Format {
	case Parquet:
		return []Compression{Zstd, Snappy, Gzip, LZ4Raw, None}
	case Avro:
		return []Compression{Zstd, Snappy, Deflate, None}
	}
	return []Compression{Zstd, Snappy, Gzip, None}
}

func (o Options) checkLevel() error {
	most := 0
	switch o.Compression {
	case Zstd:
		most = 22
	case Gzip, Deflate:
		most = 9
	}
	if o.Level != 0 && most == 0 {
		return fmt.Errorf("compression %s has no level", o.Compression)
	}
	if o.Level < 0 || o.Level > most {
		return fmt.Errorf("level %d of %s: want 1 to %d", o.Level, o.Compression, most)
	}
	return nil
}

// either lists texts for a message: a, b or c.
func either[T ~string](texts []T) string {
	var list strings.Builder
	for i, t := range texts {
		switch i {
		case 0:
		case len(texts) - 1:
			list.WriteString(" or ")
		default:
			list.WriteString(", ")
		}
		list.WriteString(string(t))
	}
	return list.String()
}

// whole reports whether the file is compressed as a whole, not what is in it.
func (o Options) whole() bool {
	return o.Format != Parquet && o.Format != Avro && o.Compression != None
}

// Appendable reports whether rows can be written behind those of a file that is complete, see
// Writer.Continue.
func (o Options) Appendable() bool {
	return o.Compression == None && (o.Format == NDJSON || o.Format == CSV || o.Format == Raw)
}

// Terminator is what the last row of an appendable file ends with; empty for nothing that can be told.
func (o Options) Terminator() string {
	if o.Format == Raw {
		return o.Raw.Delimiter
	}
	return "\n"
}

// Extension is the end of a file name, with its dot.
func (o Options) Extension() string {
	extension := "." + string(o.Format)
	if o.Format == Raw {
		extension = ".bin"
	}
	if !o.whole() {
		return extension
	}
	switch o.Compression {
	case Zstd:
		extension += ".zst"
	case Snappy:
		extension += ".sz"
	case Gzip:
		extension += ".gz"
	}
	return extension
}

// ContentType is the media type of the bytes of a file: for one that is compressed as a whole that
// of the compression. A Content-Encoding does not belong to it, because clients that honour it
// would hand out other bytes than the name promises.
func (o Options) ContentType() string {
	if o.whole() {
		switch o.Compression {
		case Zstd:
			return "application/zstd"
		case Snappy:
			return "application/x-snappy-framed"
		case Gzip:
			return "application/gzip"
		}
	}
	switch o.Format {
	case Parquet:
		return "application/vnd.apache.parquet"
	case NDJSON:
		return "application/x-ndjson"
	case JSON:
		return "application/json"
	case CSV:
		if o.CSV.NoHeader {
			return "text/csv; charset=utf-8; header=absent"
		}
		return "text/csv; charset=utf-8; header=present"
	case Avro:
		return "application/avro"
	}
	return "application/octet-stream"
}
