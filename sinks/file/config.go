// Package file is the sink that writes local files: one file that rows are appended to, or a
// directory of files that are each created whole.
//
// The invariant to remember: nothing beyond the length that the checkpoint holds counts. What a
// crash left there is cut off and written again, so a row is in the file once.
package file

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/encode"
	"github.com/millrace-io/millrace/sinks/objects"
)

// Config of the file sink.
type Config struct {
	// Path of one file that rows are appended to. Either path or dir is set.
	Path string `yaml:"path"`
	// Dir is a directory that gets new files for each chunk of rows, one for each partition.
	Dir            string `yaml:"dir"`
	objects.Layout `yaml:",inline"`
	// Format of the rows: a name such as csv, or a block of settings. One file takes ndjson, csv and
	// raw, the files of a directory any.
	Format encode.Config `yaml:"format"`
	// Compression of the files of a directory, short for the one in format.
	Compression encode.Compression `yaml:"compression" enum:"none,zstd,snappy,gzip,deflate,lz4_raw"`
	// Append to a file that had content before the pipeline first wrote to it. Without it such a
	// file is refused, because a pipeline that starts over would write its rows a second time.
	Append bool `yaml:"append"`
	// Buffer says when rows are written: at the size, the age or the number of rows, whichever
	// comes first.
	Buffer Buffer `yaml:"buffer"`
}

// Buffer says when rows are written. What is left out has a default: 16MiB and 1s for one file,
// 64MiB and 60s for the files of a directory, no limit of rows.
type Buffer struct {
	// Size of the encoded rows.
	Size config.Size `yaml:"size"`
	// Age of the oldest row.
	Age config.Duration `yaml:"age"`
	// Rows is how many rows at most.
	Rows int64 `yaml:"rows" min:"0"`
}

// Validate reports options that contradict each other.
func (c *Config) Validate() []config.Problem {
	var problems []config.Problem
	report := func(path, format string, args ...any) {
		problems = append(problems, config.Problemf(path, format, args...))
	}
	switch {
	case c.Path == "" && c.Dir == "":
		report("", "where to write is missing; set path (one file) or dir (a file for each chunk)")
	case c.Path != "" && c.Dir != "":
		report("dir", "path and dir exclude each other; keep path for one file or dir for a file for each chunk")
	case c.Dir != "" && c.Append:
		report("append", "goes with path; the files of a directory are always new")
	case c.Path != "" && (c.Prefix != "" || c.ErrorPrefix != "" || c.Timezone != ""):
		report("prefix", "prefix, error_prefix and timezone go with dir; name the directories of the one file in path")
	case c.Path != "" && len(c.PartitionBy) > 0:
		report("partition_by", "one file has no partitions; use dir instead of path")
	}
	problems = append(problems, c.Layout.Validate()...)
	return append(problems, c.validateFormat()...)
}

// Doubts implements sinks.Doubter.
func (c *Config) Doubts(s *column.Schema) []config.Problem { return c.Format.Doubts(s) }

func (c *Config) validateFormat() []config.Problem {
	compression := "compression"
	if c.Format.Compression != "" {
		compression = "format.compression"
		if c.Compression != "" {
			return []config.Problem{config.Problemf("compression", "is set in format, too; remove it here")}
		}
	}
	format := c.format()
	problems := format.Validate()
	for i, p := range problems {
		if problems[i].Path = "format." + p.Path; p.Path == "compression" {
			problems[i].Path = compression
		}
	}
	o := format.Options()
	switch plain := (encode.Options{Format: o.Format, Compression: encode.None}); {
	case len(problems) > 0 || c.Path == "" || o.Appendable():
	case plain.Appendable():
		problems = append(problems, config.Problemf(compression, "only the files of a directory are compressed; use dir instead of path"))
	default:
		problems = append(problems, config.Problemf("format", "a file in %s cannot be appended to; use dir instead of path, or format: ndjson", o.Format))
	}
	return problems
}

// format is the block together with the compression beside it.
func (c *Config) format() encode.Config {
	f := c.Format
	if f.Compression == "" {
		f.Compression = c.Compression
	}
	return f
}

// trigger fills in the defaults of the buffer.
func (c *Config) trigger() flow.Trigger {
	t := flow.Trigger{Size: int64(c.Buffer.Size), Age: c.Buffer.Age.Std(), Rows: c.Buffer.Rows}
	size, age := int64(16<<20), time.Second
	if c.Dir != "" {
		size, age = 64<<20, time.Minute
	}
	if t.Size == 0 {
		t.Size = size
	}
	if t.Age == 0 {
		t.Age = age
	}
	return t
}

// Component is the file sink for the list of components.
func Component() sinks.Component {
	return sinks.Define("file", func() Config { return Config{Format: encode.NewConfig(encode.NDJSON, encode.None)} }, open)
}

func open(c Config, env sinks.Env) (sinks.Sink, error) {
	format := c.format()
	writer, err := encode.NewWriter(env.Schema, format.Options())
	if err != nil {
		return nil, &config.PathError{Path: "format", Err: fmt.Errorf("rows cannot be written as %s: %w", format.Type, err)}
	}
	settings := objects.Settings{Identity: env.Identity, Writer: writer, Schema: env.Schema, Dir: env.Dir, Memory: env.Memory, Log: env.Log, Crowded: env.Crowded, Generation: env.Generation}
	o := output{config: c, env: env}
	if c.Dir != "" {
		settings.Layout, settings.Root, settings.HashInName = c.Layout, filepath.ToSlash(c.Dir)+"/", true
		settings.Segment = 255 // of most file systems
		if o.chunk, err = objects.New(settings); err != nil {
			return nil, err
		}
		return &directory{output: o}, nil
	}
	a := &appender{output: o, writer: writer}
	settings.Open = a.encoder
	if a.chunk, err = objects.New(settings); err != nil {
		return nil, err
	}
	return a, nil
}
