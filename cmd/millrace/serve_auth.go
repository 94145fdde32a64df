package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/door"
)

// verifier tells who sends requests. Without access keys that is nobody's question, and so only on loopback.
func (c *serveCommand) verifier() (*auth.Verifier, error) {
	keys, err := accessKeys(c.AccessKey)
	if err != nil {
		return nil, err
	}
	v := &auth.Verifier{Mode: auth.Open, Service: "kinesis", Now: time.Now}
	if len(keys) > 0 {
		v.Mode, v.Users = auth.Keys, auth.Static(keys)
		return v, nil
	}
	local, err := door.IsLoopback(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if !local && !c.Insecure {
		return nil, fmt.Errorf("%s can be reached by others: give --access-key KEY:SECRET, or spell out --insecure", c.Listen)
	}
	return v, nil
}

// accessKeys reads pairs of an access key and its secret.
func accessKeys(pairs []string) (map[string]string, error) {
	keys := map[string]string{}
	for _, p := range pairs {
		lines := []string{p}
		if name, ok := strings.CutPrefix(p, "@"); ok {
			var err error
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
			keys[key] = secret
		}
	}
	return keys, nil
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
