// Package bucket is how Millrace gets at a bucket of S3-compatible storage: where it is, with which
// credentials, and what the errors of a store mean to its user.
//
// The invariant to remember: an Access prints no secret, and neither do errors made here.
package bucket

import (
	"net"
	"net/url"
	"strings"

	"github.com/millrace-io/millrace/engine/config"
)

// Embedded is the endpoint of the server inside the process.
const Embedded = "embedded"

// Access is the keys of a pipeline file that say where a bucket is and how to get in.
type Access struct {
	// Endpoint of the store, http://HOST:PORT or https://HOST; "embedded" starts one inside the
	// process, for trying things out.
	Endpoint string `yaml:"endpoint" required:"true"`
	// Region of the bucket; only Amazon's own S3 needs it.
	Region string `yaml:"region"`
	// Bucket of the objects. It must exist, except with the embedded store.
	Bucket string `yaml:"bucket" required:"true"`
	// AccessKey and SecretKey are the credentials, usually ${env:AWS_ACCESS_KEY_ID} and
	// ${env:AWS_SECRET_ACCESS_KEY}.
	AccessKey config.Secret `yaml:"access_key"`
	SecretKey config.Secret `yaml:"secret_key"`
	// SessionToken belongs to credentials that are temporary, usually ${env:AWS_SESSION_TOKEN}. It is
	// read at the start: when it has expired, a start with new credentials is waited for.
	SessionToken config.Secret `yaml:"session_token"`
}

// Validate reports mistakes that the kinds of the values do not show.
func (c *Access) Validate() []config.Problem {
	var problems []config.Problem
	report := func(path, format string, args ...any) {
		problems = append(problems, config.Problemf(path, format, args...))
	}
	if c.Endpoint != "" && c.Endpoint != Embedded {
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
	return problems
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
