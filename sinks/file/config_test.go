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
		{"parquet appended", func(c *Config) { c.Format = encode.Parquet }, "format", "use dir"},
		{"compressed", func(c *Config) { c.Compression = encode.Zstd }, "compression", "use dir"},
		{"append to a directory", func(c *Config) { c.Path, c.Dir, c.Append = "", "d", true }, "append", "goes with path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Path: "p", Format: encode.NDJSON}
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
