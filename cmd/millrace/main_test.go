package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cli runs command lines on a data directory.
type cli struct {
	t    *testing.T
	data string
}

func newCLI(t *testing.T) *cli { return &cli{t: t, data: filepath.Join(t.TempDir(), "data")} }

// try runs a command line on the data directory.
func (c *cli) try(args ...string) (code int, stdout, stderr string) {
	var out, errs screen
	code = run(append(args, "--data", c.data), &out, &errs)
	return code, out.text.String(), errs.text.String()
}

// screen is where several goroutines may print, as they may to a file.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// do runs a command line that must work, and returns what it prints.
func (c *cli) do(args ...string) string {
	c.t.Helper()
	code, stdout, stderr := c.try(args...)
	if code != exitOK {
		c.t.Fatalf("millrace %s: exit code %d: %s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// stream is `millrace stream …`.
func (c *cli) stream(args ...string) string {
	c.t.Helper()
	return c.do(append([]string{"stream"}, args...)...)
}

// want demands that a text has all parts.
func want(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// decode reads JSON that a command printed.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
