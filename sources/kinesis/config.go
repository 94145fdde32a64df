// Package kinesis opens the Kinesis Data Streams API on the streams of the data directory, so that programs with an AWS
// SDK put records into those of a pipeline.
//
// The invariant to remember: it stores nothing itself. The API answers that a record was stored once it is on disk, and
// the streams of the file, which the pipeline reads, cannot be deleted.
package kinesis

import (
	"net"
	"strconv"

	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/door"
	"github.com/millrace-io/millrace/engine/api/kinesis"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
	"github.com/millrace-io/millrace/sources"
)

// Config of the kinesis source.
type Config struct {
	// Listen is the address and port to listen on. Other machines reach it only if it is not a
	// loopback address; then the file must have users, or insecure be set.
	Listen string `yaml:"listen"`
	// Region and account are parts of ARNs.
	Region string `yaml:"region"`
	// Account is a number of twelve digits.
	Account string `yaml:"account"`
	// Insecure lets everybody who reaches the address do anything.
	Insecure bool `yaml:"insecure"`
	// Auth says how clients are known: keys by their signatures, mtls by their certificates. auto is mtls with
	// client_ca; otherwise keys, once there are users.
	Auth string `yaml:"auth" enum:"auto,keys,mtls"`
	// TLS auto speaks TLS with a certificate that is made at the first start and kept in the data directory, in
	// tls/cert.pem. Clients must be told to trust it.
	TLS string `yaml:"tls" enum:"off,auto"`
	// TLSNames are host names and addresses that tls auto makes the certificate for, besides those of this machine.
	TLSNames []string `yaml:"tls_names"`
	// TLSCert and tls_key are files in PEM; with them the source speaks TLS. They are read again when they change.
	TLSCert string `yaml:"tls_cert"`
	// TLSKey is the private key of the certificate.
	TLSKey string `yaml:"tls_key"`
	// ClientCA is a file in PEM: clients must show a certificate that one of these signed. They are the users of their
	// certificates' names.
	ClientCA string `yaml:"client_ca"`
	// Limits are none or kinesis: then streams that clients make are held to the limits of a shard, and operations to
	// the rates of the service. Those of the file have the limits that the file says.
	Limits string `yaml:"limits" enum:"none,kinesis"`
	// ShardQuota is how many shards may be open in all streams.
	ShardQuota int `yaml:"shard_quota" min:"1"`
	// Instant lets streams be ACTIVE at once, instead of CREATING or UPDATING for half a second.
	Instant bool `yaml:"instant"`
	// MasterKey is what StartStreamEncryption encrypts with. Without one it is refused.
	MasterKey string `yaml:"master_key"`
	// MaxInFlight is how much memory requests and answers under way may take together; more have to wait.
	MaxInFlight config.Size `yaml:"max_in_flight" min:"48MiB"`
}

func defaults() Config {
	return Config{
		Listen: "127.0.0.1:4567", Region: "us-east-1", Account: "000000000000",
		Auth: string(auth.Auto), TLS: "off", Limits: "none", ShardQuota: 500, MaxInFlight: 64 * config.MiB,
	}
}

// Validate implements config.Validator.
func (c *Config) Validate() []config.Problem {
	var found []config.Problem
	_, port, _ := net.SplitHostPort(c.Listen)
	if n, e := strconv.ParseUint(port, 10, 16); e != nil || n > 65535 {
		found = append(found, config.Problemf("listen", "%q is no address; write host:port, as in 127.0.0.1:4567", c.Listen))
	}
	if !kinesis.IsAccount(c.Account) {
		found = append(found, config.Problemf("account", "%q is no account; write twelve digits, in quotes: \"123456789012\"", c.Account))
	}
	if !kinesis.IsRegion(c.Region) {
		found = append(found, config.Problemf("region", "%q is no region; write one like us-east-1", c.Region))
	}
	found = append(found, c.validateTLS()...)
	if c.MasterKey != "" {
		if err := master.CheckSpec(c.MasterKey); err != nil {
			found = append(found, config.Problemf("master_key", "%s", err))
		}
	}
	return found
}

// auto reports whether the source makes its own certificate, and encrypted whether it speaks TLS.
func (c *Config) auto() bool      { return c.TLS == "auto" }
func (c *Config) encrypted() bool { return c.auto() || c.TLSCert != "" }

func (c *Config) validateTLS() (found []config.Problem) {
	switch {
	case c.auto() && (c.TLSCert != "" || c.TLSKey != ""):
		found = append(found, config.Problemf("tls", "tls: auto makes a certificate; remove it, or tls_cert and tls_key"))
	case c.TLSCert == "" && c.TLSKey != "":
		found = append(found, config.Problemf("tls_cert", "tls_key needs the certificate: add tls_cert"))
	case c.TLSCert != "" && c.TLSKey == "":
		found = append(found, config.Problemf("tls_key", "tls_cert needs its private key: add tls_key"))
	}
	if len(c.TLSNames) > 0 && !c.auto() {
		found = append(found, config.Problemf("tls_names", "tls_names are for tls: auto; a certificate of your own has its names"))
	}
	if c.ClientCA != "" && !c.encrypted() {
		found = append(found, config.Problemf("client_ca", "client_ca is about TLS: add tls_cert and tls_key, or tls: auto"))
	}
	if auth.Mode(c.Auth) == auth.MTLS && c.ClientCA == "" {
		found = append(found, config.Problemf("auth", "auth: mtls needs client_ca, the certificates that sign those of clients"))
	}
	return found
}

// mode is how clients are known.
func (c *Config) mode() auth.Mode {
	if mode := auth.Mode(c.Auth); mode != auth.Auto || c.ClientCA == "" {
		return mode
	}
	return auth.MTLS
}

// Claims implements sources.Claimer.
func (c *Config) Claims() []sources.Claim {
	return append(sources.Address("listen", c.Listen), sources.Claim{Path: "type", What: "Kinesis API of all streams"})
}

// Exposed implements sources.Exposed.
func (c *Config) Exposed() bool {
	local, err := door.IsLoopback(c.Listen)
	return err == nil && !local && !c.Insecure && c.mode() == auth.Auto
}

// Component is the kinesis source.
func Component() sources.Component {
	c := sources.Define("kinesis", defaults, open)
	c.AnyStream = true
	return c
}

func open(cfg Config, env sources.Env) (sources.Source, error) {
	return &source{cfg: cfg, env: env}, nil
}
