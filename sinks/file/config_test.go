package file

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks/encode"
)

func TestContradictionsAreReported(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		path   string
		say    string
	}{
		{"nowhere", func(c *Config) { c.Path = "" }, "", "set path (one file) or dir"},
		{"two places", func(c *Config) { c.Dir = "d" }, "dir", "exclude each other"},
		{"parquet appended", func(c *Config) { c.Format.Type = encode.Parquet }, "format", "use dir"},
		{"compressed", func(c *Config) { c.Compression = encode.Zstd }, "compression", "use dir"},
		{"compressed in the block", func(c *Config) { c.Format.Compression = encode.Gzip }, "format.compression", "use dir"},
		{"compressed twice", func(c *Config) { c.Format.Compression, c.Compression = encode.None, encode.None }, "compression", "in format, too"},
		{"an array appended", func(c *Config) { c.Format.Type = encode.JSON }, "format", "use dir"},
		{"no such compression", func(c *Config) { c.Path, c.Dir, c.Compression = "", "d", encode.Deflate }, "compression", "gzip"},
		{"no such level", func(c *Config) { c.Path, c.Dir, c.Format.Level = "", "d", 3 }, "format.level", "no level"},
		{"append to a directory", func(c *Config) { c.Path, c.Dir, c.Append = "", "d", true }, "append", "goes with path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Path: "p", Format: encode.NewConfig(encode.NDJSON, encode.None)}
			if problems := cfg.Validate(); len(problems) != 0 {
				t.Fatalf("without the mistake: %v", problems)
			}
			c.change(&cfg)
			problems := cfg.Validate()
			if len(problems) != 1 || problems[0].Path != c.path || !strings.Contains(problems[0].Message, c.say) {
				t.Errorf("got %v, want one at %q saying %q", problems, c.path, c.say)
			}
		})
	}
}

func TestBufferDefaultsFollowTheMode(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   flow.Trigger
	}{
		{Config{Path: "p"}, flow.Trigger{Size: 16 << 20, Age: time.Second}},
		{Config{Dir: "d"}, flow.Trigger{Size: 64 << 20, Age: time.Minute}},
		{Config{Dir: "d", Buffer: Buffer{Size: config.Size(9), Rows: 7}}, flow.Trigger{Size: 9, Age: time.Minute, Rows: 7}},
	} {
		if got := c.config.trigger(); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.config, got, c.want)
		}
	}
}
