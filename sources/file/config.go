// Package file reads records from files: newline-delimited JSON and JSON arrays, packed or not,
// to their end or for ever.
//
// The invariant to remember: a record's position is the offset behind it in the unpacked content,
// so the stream itself knows how far a file was read, and nothing is kept beside it.
package file

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sources"
)

// Config of the file source.
type Config struct {
	// Paths are the files to read: paths or patterns with *, ? and [...]. They are read in sorted
	// order, one after the other. A file is known by its path and its first line: a renamed one is
	// read again, unless its new name is the old one with an ending (app.log.1).
	Paths []string `yaml:"paths" required:"true"`
	// Format is ndjson (one record per line) or json (the elements of arrays, or values one after
	// the other).
	Format string `yaml:"format" enum:"ndjson,json"`
	// PartitionKey is the field that decides a record's shard: a name, or a dotted path to a nested
	// field. Records without it are spread over all shards.
	PartitionKey string `yaml:"partition_key"`
	// Follow waits for more at the end of files and for new files, and takes rotation and
	// truncation into account. Without it the source ends with the last file.
	Follow bool `yaml:"follow"`
	// Compression of the files: auto (by name and first bytes), none, gzip or zstd.
	Compression string `yaml:"compression" enum:"auto,none,gzip,zstd"`
	// MaxRecord is the longest record; longer ones are rejected. At most 10MiB, what a stream
	// takes (Kinesis API, PutRecord).
	MaxRecord config.Size `yaml:"max_record" min:"1B" max:"10MiB"`
}

func defaults() Config {
	return Config{Format: "ndjson", Compression: "auto", MaxRecord: config.MiB}
}

// Validate implements config.Validator.
func (c *Config) Validate() []config.Problem {
	var found []config.Problem
	for i, path := range c.Paths {
		switch _, err := filepath.Match(path, ""); {
		case path == "":
			found = append(found, config.Problemf(fmt.Sprintf("paths[%d]", i), "empty path"))
		case err != nil:
			found = append(found, config.Problemf(fmt.Sprintf("paths[%d]", i), "%q is no valid pattern; a [ must be closed by ] or written \\[", path))
		case strings.Contains(path, "**"):
			found = append(found, config.Problemf(fmt.Sprintf("paths[%d]", i), "%q: ** is not supported; write one * for each directory level", path))
		}
	}
	return found
}

// Component is the file source.
func Component() sources.Component { return sources.Define("file", defaults, open) }

func open(cfg Config, env sources.Env) (sources.Source, error) {
	return &source{cfg: cfg, env: env, batchSize: env.BatchSize(batchSize)}, nil
}
