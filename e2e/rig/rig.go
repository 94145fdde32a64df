// Package rig starts the real programs that the end-to-end tests and the benchmark work with:
// Millrace, MinIO as the S3 server, and DuckDB as the oracle that reads what was delivered.
//
// The invariant to remember: whatever the rig starts, it waits for.
package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/loopback"
)

// Until asks every 10 ms until ok says yes, or ctx is done and the error names what was waited for.
func Until(ctx context.Context, what string, ok func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
	}
	return nil
}

// FreeAddress is a loopback address that nothing listened on a moment ago.
func FreeAddress() (string, error) { return loopback.FreeAddress() }

// Build compiles ./cmd/millrace of the repository into dir and returns the binary's path. The tag
// faults makes it ask about what it does.
func Build(ctx context.Context, dir string, tags ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, strings.Join(append([]string{"millrace"}, tags...), "-"))
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", strings.Join(tags, ","), "-o", bin, "./cmd/millrace")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build ./cmd/millrace: %w\n%s", err, out)
	}
	return bin, nil
}

// Root is the repository: the nearest directory above with the command in it.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "pipelines", "examples")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no repository around the working directory")
		}
	}
}

// Processor names the CPU where the system tells.
func Processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
