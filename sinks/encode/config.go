package encode

import (
	"slices"

	"github.com/millrace-io/millrace/engine/config"
)

// Config is the `format:` block of a sink that writes files: the name of a format, or its settings.
type Config struct {
	Settings
	// text is how text is compressed when the file does not say.
	text Compression
}

// Settings are the keys of the block. Those of one format alone are an error with another, see
// formatsOf.
type Settings struct {
	// Type is parquet, ndjson (a JSON object a line), json (one array), csv, avro (container files)
	// or raw (the bytes of one column).
	Type Format `yaml:"type" enum:"parquet,ndjson,json,csv,avro,raw"`
	// Compression is zstd, snappy, gzip (deflate for avro), lz4_raw (parquet alone) or none. Parquet and Avro are compressed
	// with zstd by default, raw is not; ndjson, json and csv are compressed with zstd by the s3 sink
	// and not compressed by the file sink.
	Compression Compression `yaml:"compression" enum:"zstd,snappy,gzip,lz4_raw,deflate,none"`
	// Level of the compression: 1 (fastest, the default) to 22 for zstd, 1 to 9 (default 6) for gzip
	// and deflate.
	Level int `yaml:"level"`
	// Header (csv) begins each file with the names of the columns.
	Header bool `yaml:"header"`
	// Delimiter stands between the fields of csv, one character, a comma by default; of raw it
	// follows each value, any text, none by default.
	Delimiter string `yaml:"delimiter"`
	// Null (csv) is what stands for null, without quotes; nothing by default. The empty text, and a
	// value equal to it, are in quotes.
	Null string `yaml:"null"`
	// LineBreak (csv) is crlf, as RFC 4180 has it, or lf.
	LineBreak string `yaml:"line_break" enum:"crlf,lf"`
	// Bloom (parquet) lists the columns that get a bloom filter, so that readers who look for a value
	// skip the row groups without it; a field of a struct is written a.b. It takes 10 bits a
	// distinct value, and pays where values are many and looked for one at a time.
	Bloom []string `yaml:"bloom"`
	// Sort (parquet) lists columns that the rows of each row group are sorted by, "price DESC" for
	// falling; nulls come last. Readers skip more, and files become smaller. The rows of a
	// row group are held in memory for it.
	Sort []string `yaml:"sort"`
	// RowGroup (parquet) says where a row group ends: at the rows or the size, whichever comes first.
	RowGroup RowGroup `yaml:"row_group"`
	// Column (raw) is the column whose bytes are written: a string, binary or json. It can be left
	// out when there is but one.
	Column string `yaml:"column"`
}

// RowGroup says how large a row group becomes. It ends earlier when memory is short.
type RowGroup struct {
	// Rows in it, 500,000 by default.
	Rows int `yaml:"rows" min:"0"`
	// Size of its values before compression, 64MiB by default and at most 1GiB.
	Size config.Size `yaml:"size" min:"0"`
}

// formatsOf are the formats that a key belongs to; nil for all of them.
func formatsOf(key string) []Format {
	switch key {
	case "header", "null", "line_break":
		return []Format{CSV}
	case "delimiter":
		return []Format{CSV, Raw}
	case "column":
		return []Format{Raw}
	case "bloom", "sort", "row_group":
		return []Format{Parquet}
	}
	return nil
}

// NewConfig is a block with its defaults: a format, and the compression of ndjson, json and csv.
func NewConfig(f Format, text Compression) Config {
	return Config{Settings: Settings{Type: f, Header: true, LineBreak: "crlf"}, text: text}
}

// DecodeNode implements config.NodeDecoder.
func (c *Config) DecodeNode(n *config.Node, d *config.Decoder) {
	if n.Kind == config.Scalar {
		if f := Format(n.Text()); slices.Contains(Formats(), f) {
			c.Type = f
		} else {
			d.Errorf(n, "%s", config.Unknown("format", n.Text(), "formats", formatNames()))
		}
		return
	}
	d.Decode(n, &c.Settings)
	if d.Reported(n.Path) {
		return // perhaps the type
	}
	for _, key := range n.Keys {
		if formats := formatsOf(key); formats != nil && !slices.Contains(formats, c.Type) {
			d.Problem(n, config.Problemf(key, "%s goes with type: %s, and this is %s; remove it", key, either(formats), c.Type))
		}
	}
}

// JSONSchema implements config.SchemaProvider.
func (c *Config) JSONSchema(s *config.Schemas) *config.Schema {
	return &config.Schema{AnyOf: []*config.Schema{config.OneOf(formatNames()), s.Of(&c.Settings)}}
}

func formatNames() []string {
	var names []string
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return names
}

// Validate implements config.Validator. The sink calls it: a value that decodes itself is not
// validated by the decoder.
func (c *Config) Validate() []config.Problem {
	if c.Type == CSV && len(c.Delimiter) > 1 {
		return []config.Problem{config.Problemf("delimiter", `%q: fields are parted by one character of ASCII, such as ";" or "\t"`, c.Delimiter)}
	}
	return c.Options().problems()
}

// Options are those of the writer.
func (c *Config) Options() Options {
	o := Options{Format: c.Type, Compression: c.Compression, Level: c.Level, CreatedBy: "millrace"}
	switch {
	case o.Compression != "":
	case c.Type == Parquet || c.Type == Avro:
		o.Compression = Zstd
	case c.Type == Raw || c.text == "":
		o.Compression = None
	default:
		o.Compression = c.text
	}
	switch c.Type {
	case CSV:
		o.CSV = CSVOptions{NoHeader: !c.Header, Null: c.Null, LF: c.LineBreak == "lf"}
		if c.Delimiter != "" {
			o.CSV.Delimiter = c.Delimiter[0]
		}
	case Parquet:
		o.Bloom, o.GroupRows, o.GroupBytes = c.Bloom, c.RowGroup.Rows, int64(c.RowGroup.Size)
		for _, text := range c.Sort {
			o.Sort = append(o.Sort, ParseSort(text))
		}
	case Raw:
		o.Raw = RawOptions{Column: c.Column, Delimiter: c.Delimiter}
	}
	return o
}
