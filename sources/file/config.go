// Package file reads records from files: newline-delimited JSON and JSON arrays, packed or not,
// to their end or for ever.
//
// The invariant to remember: a record's position is the offset behind it in the unpacked content,
// so the stream itself knows how far a file was read, and nothing is kept beside it.
package file

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sources"
)

// Config of the file source.
type Config struct {
	// Paths are the files to read: paths or patterns with *, ? and [...]. They are read in sorted
	// order, one after the other.
	Paths []string `yaml:"paths"`
	// Format is ndjson (one record per line) or json (the elements of arrays, or values one after
	// the other).
	Format string `yaml:"format"`
	// PartitionKey is the field that decides a record's shard: a name, or a dotted path to a nested
	// field. Records without it are spread over all shards.
	PartitionKey string `yaml:"partition_key"`
	// Follow waits for more at the end of files and for new files, and takes rotation and
	// truncation into account. Without it the source ends with the last file.
	Follow bool `yaml:"follow"`
	// Compression of the files: auto (by name and first bytes), none, gzip or zstd.
	Compression string `yaml:"compression"`
	// MaxRecord is the longest record; longer ones are rejected. At most 10MiB.
	MaxRecord config.Size `yaml:"max_record"`
}

// maxRecord is the largest MaxRecord, what a stream takes (Kinesis API, PutRecord).
const maxRecord = 10 * config.MiB

func defaults() Config {
	return Config{Format: "ndjson", Compression: "auto", MaxRecord: config.MiB}
}

// Validate implements config.Validator.
func (c *Config) Validate() []config.Problem {
	var found []config.Problem
	if len(c.Paths) == 0 {
		found = append(found, config.Problemf("paths", `missing; name the files to read, as in ["events/*.ndjson"]`))
	}
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
	found = append(found, oneOf("format", c.Format, "ndjson", "json")...)
	found = append(found, oneOf("compression", c.Compression, "auto", "none", "gzip", "zstd")...)
	if c.MaxRecord < 1 || c.MaxRecord > maxRecord {
		found = append(found, config.Problemf("max_record", "%s is out of range; want 1B to %s", c.MaxRecord, maxRecord))
	}
	return found
}

func oneOf(path, value string, known ...string) []config.Problem {
	if slices.Contains(known, value) {
		return nil
	}
	return []config.Problem{{Path: path, Message: config.Unknown(path, value, "values", known)}}
}

// Component is the file source.
func Component() sources.Component { return sources.Define("file", defaults, open) }

func open(cfg Config, env sources.Env) (sources.Source, error) {
	return &source{cfg: cfg, env: env, batchSize: batchSize}, nil
}
