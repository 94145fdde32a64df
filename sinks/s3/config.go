// Package s3 is the sink that delivers rows as objects to S3-compatible storage.
//
// The invariant to remember: an object is created only if it does not exist, and its metadata says
// what is in it. So whoever repeats a chunk finds the object there and can tell that it is the same.
package s3

import (
	"time"

	"github.com/millrace-io/millrace/engine/bucket"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/encode"
	"github.com/millrace-io/millrace/sinks/objects"
	"github.com/millrace-io/millrace/sinks/s3/embedded"
)

// Config of the s3 sink.
type Config struct {
	bucket.Access  `yaml:",inline"`
	objects.Layout `yaml:",inline"`
	// Format of the objects: a name such as csv, or a block of settings.
	Format encode.Config `yaml:"format"`
	// Buffer says when objects are closed: at the size, the age or the number of rows, whichever
	// comes first.
	Buffer Buffer `yaml:"buffer"`
}

// Renewed implements sinks.Renewer.
func (c *Config) Renewed() []string { return []string{"endpoint", "region"} }

// Doubts implements sinks.Doubter.
func (c *Config) Doubts(s *column.Schema) []config.Problem { return c.Format.Doubts(s) }

// Buffer says when the objects of a chunk are closed, all at once.
type Buffer struct {
	// Size of the encoded rows of all partitions together.
	Size config.Size `yaml:"size" min:"1"`
	// Age of the oldest row.
	Age config.Duration `yaml:"age" min:"1ms"`
	// Rows is how many rows at most; 0 means any number.
	Rows int64 `yaml:"rows" min:"0"`
}

func defaults() Config {
	return Config{
		Format: encode.NewConfig(encode.Parquet, encode.Zstd),
		Buffer: Buffer{Size: 64 * config.MiB, Age: config.Duration(5 * time.Minute)},
	}
}

// Component is the s3 sink for the list of components; the servers it embeds are shared.
func Component(servers *embedded.Pool) sinks.Component {
	return sinks.Define("s3", defaults, func(c Config, env sinks.Env) (sinks.Sink, error) {
		return newSink(c, env, servers)
	})
}

// Validate reports mistakes that the kinds of the values do not show.
func (c *Config) Validate() []config.Problem {
	problems := c.Access.Validate()
	for _, p := range c.Format.Validate() {
		problems = append(problems, config.Problemf("format."+p.Path, "%s", p.Message))
	}
	return append(problems, c.Layout.Validate()...)
}

func (c *Config) trigger() flow.Trigger {
	return flow.Trigger{Size: int64(c.Buffer.Size), Age: c.Buffer.Age.Std(), Rows: c.Buffer.Rows}
}
