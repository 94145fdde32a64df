// Package httpstream is the sink that is asked for its rows: GET gives the latest ones, and changes come
// as server-sent events.
//
// The invariant to remember: what a client sees is committed, and every row has a position that only
// rises. Nothing is kept for a client but the place where it is; one that falls behind what is kept for
// all is told so and begins again with the latest rows.
package httpstream

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/serve"
)

// Config of the http_stream sink.
type Config struct {
	serve.Config `yaml:",inline"`
	// Path that rows are got from.
	Path string `yaml:"path"`
	// Key is the columns that tell rows apart: a row replaces the one with the same values. Without it
	// the latest rows are the last ones that came.
	Key []string `yaml:"key"`
	// MaxRows is how many rows are kept, and how many changes for clients that come back.
	MaxRows int `yaml:"max_rows" min:"1" max:"100000"`
	// MaxSize bounds the rows kept, and the changes, in bytes of JSON. The longest untouched ones go
	// first. The rows kept are written to the checkpoint each time that some have come.
	MaxSize config.Size `yaml:"max_size" min:"64KiB" max:"16MiB"`
	// MaxClients is how many are answered at the same time.
	MaxClients int `yaml:"max_clients" min:"1" max:"10000"`
	// Heartbeat is how often a client that gets no changes is told that the connection is alive.
	Heartbeat config.Duration `yaml:"heartbeat" min:"100ms" max:"1h"`
	// Timeout is how long a client may take to read what it is sent before it is cut off.
	Timeout config.Duration `yaml:"timeout" min:"100ms" max:"10m"`
}

func defaults() Config {
	return Config{
		Config: serve.Config{Listen: "127.0.0.1:8090"}, Path: "/", MaxRows: 1000, MaxSize: config.MiB, MaxClients: 64,
		Heartbeat: config.Duration(15 * time.Second), Timeout: config.Duration(10 * time.Second),
	}
}

// Validate implements config.Validator.
func (c *Config) Validate() []config.Problem {
	found := c.Config.Validate()
	if c.Listen == "" {
		found = append(found, config.Problemf("listen", "the address is empty; write host:port, as in 127.0.0.1:8090"))
	}
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "{} ") {
		found = append(found, config.Problemf("path", "%q is no path; it begins with / and has no blanks or braces", c.Path))
	}
	for i, name := range c.Key {
		if slices.Contains(c.Key[:i], name) {
			found = append(found, config.Problemf(fmt.Sprintf("key[%d]", i), "the column %q is there twice", name))
		}
	}
	return found
}

// Single implements sinks.Single.
func (*Config) Single() string { return "the rows of an http_stream sink are kept in one place" }

// Renewed implements sinks.Renewer.
func (*Config) Renewed() []string { return []string{"listen", "token", "insecure"} }

// Claims implements sinks.Claimer.
func (c *Config) Claims() []sinks.Claim { return serve.Claims(c.Listen) }

// Component is the http_stream sink for the list of components.
func Component() sinks.Component { return sinks.Define("http_stream", defaults, open) }

func open(c Config, env sinks.Env) (sinks.Sink, error) {
	s := newSink(c, env)
	for i, name := range c.Key {
		at := env.Schema.Index(name)
		if at < 0 {
			return nil, &config.PathError{
				Path: fmt.Sprintf("key[%d]", i),
				Err:  fmt.Errorf("%s", config.Unknown("column", name, "columns", env.Schema.Names())),
			}
		}
		s.key = append(s.key, at)
	}
	return s, nil
}
