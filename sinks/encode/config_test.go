package encode

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/config"
)

// block is a sink as far as its format goes.
type block struct {
	Format Config `yaml:"format"`
}

// Validate implements config.Validator, as sinks do.
func (b *block) Validate() []config.Problem {
	problems := b.Format.Validate()
	for i := range problems {
		problems[i].Path = "format." + problems[i].Path
	}
	return problems
}

func decodeBlock(text string) (Options, error) {
	d := config.NewDecoder("lake.yaml", config.Options{Getenv: func(name string) (string, bool) { return name, true }})
	b := block{Format: NewConfig(Parquet, Gzip)}
	d.Decode(d.Parse([]byte(text)), &b)
	return b.Format.Options(), d.Err()
}

func TestFormatIsANameOrABlock(t *testing.T) {
	for text, want := range map[string]Options{
		"{}":                                     {Format: Parquet, Compression: Zstd},
		"format:":                                {Format: Parquet, Compression: Zstd},
		"format: ndjson":                         {Format: NDJSON, Compression: Gzip},
		"format: json":                           {Format: JSON, Compression: Gzip},
		"format: csv":                            {Format: CSV, Compression: Gzip},
		"format: avro":                           {Format: Avro, Compression: Zstd},
		"format: raw":                            {Format: Raw, Compression: None},
		"format: ${env:csv}":                     {Format: CSV, Compression: Gzip},
		"format: {compression: snappy}":          {Format: Parquet, Compression: Snappy},
		"format: {type: csv, compression: none}": {Format: CSV, Compression: None},
		"format: {type: avro, compression: zstd, level: 3}": {Format: Avro, Compression: Zstd, Level: 3},
		`format: {type: csv, header: false, delimiter: "\t", null: '\N', line_break: lf}`: {
			Format: CSV, Compression: Gzip, CSV: CSVOptions{NoHeader: true, Delimiter: '\t', Null: `\N`, LF: true}},
		"format: {bloom: [user_id, geo.lat], sort: [country, price DESC], row_group: {rows: 1000, size: 16MiB}, compression: lz4_raw}": {
			Format: Parquet, Compression: LZ4Raw, ParquetOptions: ParquetOptions{Bloom: []string{"user_id", "geo.lat"},
				Sort: []SortColumn{{Column: "country"}, {Column: "price", Descending: true}}, GroupRows: 1000, GroupBytes: 16 << 20}},
		`format: {type: raw, column: body, delimiter: "\n"}`: {Format: Raw, Compression: None, Raw: RawOptions{Column: "body", Delimiter: "\n"}},
	} {
		got, err := decodeBlock(text)
		got.CreatedBy = ""
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", text, err, diff)
		}
	}
}

func TestMistakesInFormatNamePathAndCure(t *testing.T) {
	for text, want := range map[string]string{
		"format: cvs":                                         `lake.yaml:1:9: format: unknown format "cvs"; did you mean "csv"?`,
		"format: [csv]":                                       `lake.yaml:1:9: format: expected keys and values`,
		"format: {type: cvs, header: true}":                   `lake.yaml:1:16: format.type: unknown value "cvs"; did you mean "csv"?`,
		"format: {type: csv, hedder: true}":                   `lake.yaml:1:21: format: unknown key "hedder"; did you mean "header"?`,
		"format: {type: ndjson, header: true}":                `lake.yaml:1:24: format.header: header goes with type: csv, and this is ndjson; remove it`,
		"format: {delimiter: a}":                              `lake.yaml:1:10: format.delimiter: delimiter goes with type: csv or raw, and this is parquet; remove it`,
		"format: {type: csv, column: a}":                      `lake.yaml:1:21: format.column: column goes with type: raw, and this is csv; remove it`,
		"format: {type: csv, delimiter: ab}":                  `lake.yaml:1:21: format.delimiter: "ab": fields are parted by one character`,
		"format: {type: csv, delimiter: a}":                   `lake.yaml:1:21: format.delimiter: "a" cannot part fields`,
		`format: {type: csv, null: "a,b"}`:                    `lake.yaml:1:21: format.null: "a,b" has a quote, a line break or the delimiter`,
		"format: {type: csv, compression: deflate}":           `lake.yaml:1:21: format.compression: deflate goes with avro alone; write compression: gzip`,
		"format: {type: avro, compression: gzip}":             `lake.yaml:1:22: format.compression: avro has deflate, which is gzip without a header; write compression: deflate`,
		"format: {type: avro, compression: snappy, level: 1}": `lake.yaml:1:43: format.level: compression snappy has no level`,
		"format: {type: csv, sort: [country]}":                `lake.yaml:1:21: format.sort: sort goes with type: parquet, and this is csv; remove it`,
		"format: {row_group: {size: 2GiB}}":                   `format.row_group.size: a row group has at most 1 GiB`,
		"format: {sort: [a, a DESC]}":                         `format.sort[1]: rows are sorted by a already`,
		"format: {type: json, compression: zstd, level: 23}":  `lake.yaml:1:41: format.level: level 23 of zstd: want 1 to 22`,
	} {
		_, err := decodeBlock(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s:\n%v, want\n%s", text, err, want)
		}
	}
}
