// Package s3 is the sink that delivers rows as objects to S3-compatible storage.
//
// The invariant to remember: an object is created only if it does not exist, and its metadata says
// what is in it. So whoever repeats a chunk finds the object there and can tell that it is the same.
package s3

import (
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/encode"
	"github.com/millrace-io/millrace/sinks/objects"
	"github.com/millrace-io/millrace/sinks/s3/embedded"
)

// embeddedEndpoint asks for the server inside the process.
const embeddedEndpoint = "embedded"

// Config of the s3 sink.
type Config struct {
	// Endpoint of the store, http://HOST:PORT or https://HOST; "embedded" starts one inside the
	// process, for trying things out.
	Endpoint string `yaml:"endpoint" required:"true"`
	// Region of the bucket; only Amazon's own S3 needs it.
	Region string `yaml:"region"`
	// Bucket that objects are written to. It must exist, except with the embedded store.
	Bucket         string `yaml:"bucket" required:"true"`
	objects.Layout `yaml:",inline"`
	// AccessKey and SecretKey are the credentials, usually ${env:AWS_ACCESS_KEY_ID} and
	// ${env:AWS_SECRET_ACCESS_KEY}.
	AccessKey config.Secret `yaml:"access_key"`
	SecretKey config.Secret `yaml:"secret_key"`
	// SessionToken belongs to credentials that are temporary, usually ${env:AWS_SESSION_TOKEN}. It is
	// read at the start: when it has expired, the sink waits for a start with new credentials.
	SessionToken config.Secret `yaml:"session_token"`
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
	var problems []config.Problem
	report := func(path, format string, args ...any) {
		problems = append(problems, config.Problemf(path, format, args...))
	}
	if c.Endpoint != "" && c.Endpoint != embeddedEndpoint {
		if _, err := parseEndpoint(c.Endpoint); err != "" {
			report("endpoint", "%s", err)
		}
		switch {
		case c.AccessKey.Empty() && c.SecretKey.Empty():
			report("access_key", "access_key and secret_key are missing; set them, for example to ${env:AWS_ACCESS_KEY_ID} and ${env:AWS_SECRET_ACCESS_KEY}")
		case c.AccessKey.Empty():
			report("access_key", "is missing beside secret_key")
		case c.SecretKey.Empty():
			report("secret_key", "is missing beside access_key")
		}
	}
	if !c.SessionToken.Empty() && c.AccessKey.Empty() {
		report("session_token", "belongs to an access_key and its secret_key; set them beside it, or remove it")
	}
	if err := checkBucket(c.Bucket); c.Bucket != "" && err != "" {
		report("bucket", "%s", err)
	}
	for _, p := range c.Format.Validate() {
		report("format."+p.Path, "%s", p.Message)
	}
	return append(problems, c.Layout.Validate()...)
}

// parseEndpoint returns what is wrong with an endpoint, in words.
func parseEndpoint(text string) (*url.URL, string) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, `want http://HOST:PORT, https://HOST or "embedded"`
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, "takes only scheme, host and port; the bucket and prefix have keys of their own"
	}
	return u, ""
}

// checkBucket says what is wrong with a bucket's name (S3 user guide, bucket naming rules).
func checkBucket(name string) string {
	if len(name) < 3 || len(name) > 63 {
		return "a bucket's name has 3 to 63 characters"
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return "a bucket's name has only a-z, 0-9, - and ."
		}
	}
	if strings.Trim(name, "-.") != name || strings.Contains(name, "..") || net.ParseIP(name) != nil {
		return "a bucket's name begins and ends with a letter or digit and is not an address"
	}
	return ""
}

func (c *Config) trigger() flow.Trigger {
	return flow.Trigger{Size: int64(c.Buffer.Size), Age: c.Buffer.Age.Std(), Rows: c.Buffer.Rows}
}
