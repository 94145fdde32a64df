// Package stdout is the sink that shows rows on the terminal: the newest ones as a table, or all
// of them as NDJSON.
//
// The invariant to remember: values come from outside, and a terminal obeys what it is sent. No
// control character of a value reaches it.
package stdout

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/encode"
)

// Format is how rows are shown.
type Format string

// The formats.
const (
	// Table is the newest rows, drawn again as they change.
	Table Format = "table"
	// NDJSON is every row as a line of JSON.
	NDJSON Format = "ndjson"
)

// Config of the stdout sink.
type Config struct {
	// Format is table (the newest rows) or ndjson (every row, as a line of JSON).
	Format Format `yaml:"format" enum:"table,ndjson"`
	// Rows is how many rows the table shows at most.
	Rows int `yaml:"rows" min:"1" max:"1000"`
}

// Single implements sinks.Single.
func (*Config) Single() string { return "standard output has one writer" }

// Component is the stdout sink for the list of components.
func Component() sinks.Component {
	return sinks.Define("stdout", func() Config { return Config{Format: Table, Rows: 20} }, open)
}

func open(c Config, env sinks.Env) (sinks.Sink, error) {
	if c.Format == Table {
		return newTable(c.Rows, env), nil
	}
	w, err := encode.NewWriter(env.Schema, encode.Options{Format: encode.NDJSON, Compression: encode.None})
	if err != nil {
		return nil, &config.PathError{Path: "format", Err: fmt.Errorf("rows cannot be written as ndjson: %w", err)}
	}
	return &lines{writer: w, env: env}, nil
}
