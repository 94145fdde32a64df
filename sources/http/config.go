// Package http takes records by POST: one JSON object, an array of them, or newline-delimited
// ones.
//
// The invariant to remember: a request is taken whole or refused whole, and 200 is sent only after
// its records are durable. A client without an answer sends again, so delivery here is
// at-least-once.
package http

import (
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sources"
)

// Config of the http source.
type Config struct {
	// Listen is the address and port to listen on. Other machines reach it only if it is not a
	// loopback address; then token or insecure must be set.
	Listen string `yaml:"listen"`
	// Path that records are posted to.
	Path string `yaml:"path"`
	// PartitionKey is the field that decides a record's shard: a name, or a dotted path to a nested
	// field. Records without it are spread over all shards.
	PartitionKey string `yaml:"partition_key"`
	// Token that clients must send, as in "Authorization: Bearer TOKEN".
	Token config.Secret `yaml:"token"`
	// Insecure lets everybody who reaches the address write.
	Insecure bool `yaml:"insecure"`
	// MaxBody is the largest request, unpacked.
	MaxBody config.Size `yaml:"max_body" min:"1KiB" max:"256MiB"`
	// MaxRecord is the longest record. A request with a longer one is refused.
	MaxRecord config.Size `yaml:"max_record" min:"1B" max:"10MiB"`
	// MaxInFlight is how much memory the requests being answered may take together; more are asked
	// to come again.
	MaxInFlight config.Size `yaml:"max_in_flight" min:"64KiB"`
	// Timeout for a client to send its request.
	Timeout config.Duration `yaml:"timeout" min:"1s"`
}

func defaults() Config {
	return Config{
		Listen: "127.0.0.1:8080", Path: "/",
		MaxBody: 8 * config.MiB, MaxRecord: config.MiB, MaxInFlight: 32 * config.MiB,
		Timeout: config.Duration(30 * time.Second),
	}
}

// Validate implements config.Validator.
func (c *Config) Validate() []config.Problem {
	var found []config.Problem
	host, port, err := net.SplitHostPort(c.Listen)
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n > 65535 {
		found = append(found, config.Problemf("listen", "%q is no address; write host:port, as in 127.0.0.1:8080", c.Listen))
	} else if !isLoopback(host) && c.Token.Empty() && !c.Insecure {
		found = append(found, config.Problemf("listen", "%s can be reached from other machines; set token, or insecure: true if everybody may write", c.Listen))
	}
	if !strings.HasPrefix(c.Path, "/") {
		found = append(found, config.Problemf("path", "%q must begin with /", c.Path))
	}
	if c.MaxInFlight < perBody*c.MaxBody {
		found = append(found, config.Problemf("max_in_flight",
			"%s is too little for one request of max_body (%s); want at least %s", c.MaxInFlight, c.MaxBody, perBody*c.MaxBody))
	}
	return found
}

// Claims implements sources.Claimer.
func (c *Config) Claims() []sources.Claim { return sources.Address("listen", c.Listen) }

// perBody is how many times its size a request takes in memory: the body and its unpacker, its
// batch, and what growing costs.
const perBody = 4

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Component is the http source.
func Component() sources.Component { return sources.Define("http", defaults, open) }

func open(cfg Config, env sources.Env) (sources.Source, error) {
	return &source{cfg: cfg, env: env}, nil
}
