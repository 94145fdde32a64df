package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/api/audit"
	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/door"
	"github.com/millrace-io/millrace/engine/api/policy"
	"github.com/millrace-io/millrace/engine/api/users"
	"github.com/millrace-io/millrace/engine/stream/seal"
)

// authFlags say who may send requests, and where it is written down.
type authFlags struct {
	Auth      string   `help:"How clients are known: open (not at all), keys (signatures), mtls (certificates); auto is open as long as there are no users, then keys, and mtls with --client-ca." enum:"auto,open,keys,mtls" default:"auto"`
	AccessKey []string `help:"KEY:SECRET that may do everything, or @FILE with one in each line. millrace user add makes keys that may do less." placeholder:"KEY:SECRET" sep:"none"`
	Insecure  bool     `help:"Let anybody who reaches the address do anything."`
	Audit     string   `help:"Log of who did what, without what was done with records; off is none. By default DIR/audit/audit.log." placeholder:"FILE"`
}

// mode is what the flags ask for. clientCA says that clients have to show certificates.
func (f *authFlags) mode(clientCA bool) (auth.Mode, error) {
	mode := auth.Mode(f.Auth)
	switch {
	case mode == auth.MTLS && !clientCA:
		return "", errors.New("--auth mtls needs --client-ca FILE: the certificates that sign those of clients")
	case mode == auth.Auto && clientCA && len(f.AccessKey) == 0:
		return auth.MTLS, nil
	case mode == auth.Open && len(f.AccessKey) > 0:
		return "", errors.New("--auth open verifies no signatures: leave it out, or --access-key")
	}
	return mode, nil
}

// verifier tells who sends requests. Where that is nobody's question, only this machine may ask.
// declared are users of pipeline files.
func (c *serveCommand) verifier(ctx context.Context, a *app, declared []users.Fixed) (*auth.Verifier, error) {
	mode, err := c.mode(c.ClientCA != "")
	if err != nil {
		return nil, usageError{err}
	}
	fixed, err := accessKeys(c.AccessKey)
	if err != nil {
		return nil, usageError{err}
	}
	directory, err := users.Open(ctx, c.Data, users.Options{Masters: c.masters, Fixed: append(fixed, declared...), Now: time.Now, Log: a.log})
	if err != nil {
		return nil, usageError{err}
	}
	v := &auth.Verifier{Mode: mode, Service: "kinesis", Users: directory, Now: time.Now}
	local, err := door.IsLoopback(c.Listen)
	if err != nil {
		return nil, usageError{fmt.Errorf("--listen: %w", err)}
	}
	if v.Demands() == auth.Open && !local && !c.Insecure {
		return nil, usageError{fmt.Errorf("%s can be reached by others, and nobody is asked who he is: leave --auth out and make a user by `millrace user add NAME --policy full-access --data %s`, or spell out --insecure", c.Listen, c.Data)}
	}
	if !directory.Any() && (mode == auth.Keys || mode == auth.MTLS) {
		fmt.Fprintf(a.stderr, "there are no users yet, so all requests are refused: millrace user add NAME --policy full-access --data %s\n", c.Data)
	}
	return v, nil
}

// who says who may send requests.
func (c *serveCommand) who(v *auth.Verifier) string {
	local, err := door.IsLoopback(c.Listen)
	switch v.Demands() {
	case auth.Keys:
		return "open to those with an access key"
	case auth.MTLS:
		return "open to those with a client certificate"
	case auth.Open:
		if err == nil && local {
			return "open to this machine"
		}
	}
	return "open to everybody"
}

// masters are the keys that open the secrets of users.
func (c *serveCommand) masters() ([]seal.MasterKey, error) {
	spec := c.MasterKey
	if spec == "" {
		file, err := keyFileBeside(c.Data)
		if err != nil {
			return nil, err
		}
		spec = "file:" + file
	}
	keys, err := openMasters(spec)
	if err != nil {
		return nil, fmt.Errorf("%w; name it with --master-key, or bring the key file back", err)
	}
	return keys, nil
}

// openAudit opens the audit log; nil when there is to be none.
func (c *serveCommand) openAudit() (*audit.Log, error) {
	switch c.Audit {
	case "off":
		return nil, nil
	case "":
		return audit.Open(filepath.Join(c.Data, "audit", "audit.log"), audit.Options{})
	}
	return audit.Open(c.Audit, audit.Options{})
}

// accessKeys reads pairs of an access key and its secret. Each is a user of the name of the key.
func accessKeys(pairs []string) (list []users.Fixed, err error) {
	for _, p := range pairs {
		lines := []string{p}
		if name, ok := strings.CutPrefix(p, "@"); ok {
			if lines, err = linesOf(name); err != nil {
				return nil, fmt.Errorf("read access keys: %w", err)
			}
		}
		for i, line := range lines {
			key, secret, ok := strings.Cut(strings.TrimSpace(line), ":")
			if !ok || key == "" || secret == "" {
				// The line may be a secret.
				return nil, fmt.Errorf("--access-key: pair %d of %d is not KEY:SECRET", i+1, len(lines))
			}
			list = append(list, users.Fixed{Name: key, Policy: policy.FullAccess, Keys: map[string]string{key: secret}})
		}
	}
	return list, nil
}

// linesOf are the lines of a file that have something on them.
func linesOf(name string) (lines []string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for scan := bufio.NewScanner(f); scan.Scan(); {
		if line := strings.TrimSpace(scan.Text()); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
		err = scan.Err()
	}
	return lines, err
}
