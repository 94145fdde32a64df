package master

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/millrace-io/millrace/engine/stream/seal"
)

// Options for Open. The zero value has the defaults.
type Options struct {
	// Getenv reads environment variables; nil means os.Getenv.
	Getenv func(name string) string
	// Helper is the program that asks key services; empty means millrace-kms.
	Helper string
}

// Open returns the master key that spec names:
//
//	file:/etc/millrace/orders.key            a key file, see Parse
//	env:MILLRACE_KEY                         the text of a key file
//	aws-kms://arn:aws:kms:…:key/…            AWS KMS
//	hcvault://vault:8200/transit/keys/orders HashiCorp Vault Transit
//
// The last two, and any other URI, go to the helper program.
func Open(spec string, o Options) (seal.MasterKey, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	scheme, rest, _ := strings.Cut(spec, ":")
	switch {
	case scheme == "file" && rest != "":
		return openFile(strings.TrimPrefix(rest, "//"))
	case scheme == "env" && rest != "":
		return openEnv(rest, o.Getenv)
	case strings.HasPrefix(rest, "//"):
		return openHelper(spec, o.Helper)
	}
	return nil, unknownSpec(spec)
}

func openFile(name string) (*Local, error) {
	text, err := readKeyFile(name)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	l, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", name, err)
	}
	return l, nil
}

func readKeyFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, fmt.Errorf("read key file %s: %w", name, err)
	}
	return text, nil
}

func openEnv(name string, getenv func(string) string) (*Local, error) {
	text := getenv(name)
	if text == "" {
		return nil, fmt.Errorf("environment variable %s, which should hold the master key, is not set", name)
	}
	l, err := Parse([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("environment variable %s: %w", name, err)
	}
	return l, nil
}

func openHelper(uri, program string) (*Helper, error) {
	u, err := url.Parse(uri)
	if err == nil && u.User != nil {
		return nil, fmt.Errorf("master key %s://…: a password has no place in the URI, which is stored with the records; use the service's environment variables", u.Scheme)
	}
	if program == "" {
		program = "millrace-kms"
	}
	return &Helper{program: program, uri: uri}, nil
}

// Ring returns the keyring of a stream whose key setting is spec: one or more master keys as Open
// knows them, separated by spaces. The first wraps, all open; so a stream moves to another master
// key. It fits disk.Options.Keys.
func Ring(stream, spec string, o Options) (*seal.Ring, error) {
	var keys []seal.MasterKey
	for _, name := range strings.Fields(spec) {
		k, err := Open(name, o)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("no master key is named")
	}
	return seal.NewRing(stream, keys[0], keys[1:]...), nil
}
