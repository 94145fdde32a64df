package master

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/stream/seal"
)

const (
	// helperLimit is how long a helper may take.
	helperLimit = 30 * time.Second
	// maxReply bounds what a helper may print.
	maxReply = 16 << 10
	// ExitRefused is how a helper ends when the service will not open a data key.
	ExitRefused = 3
)

// Message is what a helper reads from its input and writes to its output, in JSON. Its first
// argument is "wrap" (Key and AAD in, Wrapped out) or "unwrap" (Wrapped and AAD in, Key out), the
// second the URI of the master key. It ends with ExitRefused when the service will not open a
// data key, with another status but 0 when it could not be asked, and says why on its standard error.
type Message struct {
	Key     []byte `json:"key,omitempty"`
	Wrapped []byte `json:"wrapped,omitempty"`
	AAD     []byte `json:"aad,omitempty"`
}

// Helper is a master key of a key service, asked through a program of its own, so that the
// clients of cloud providers weigh on those only who use them. The program finds its credentials
// in the environment.
type Helper struct{ program, uri string }

var _ seal.MasterKey = (*Helper)(nil)

// ID implements seal.MasterKey.
func (h *Helper) ID() string { return h.uri }

// Opens implements seal.MasterKey.
func (h *Helper) Opens(id string) bool { return id == h.uri }

// Wrap implements seal.MasterKey.
func (h *Helper) Wrap(ctx context.Context, key, aad []byte) ([]byte, error) {
	reply, err := h.run(ctx, "wrap", Message{Key: key, AAD: aad})
	return reply.Wrapped, err
}

// Unwrap implements seal.MasterKey.
func (h *Helper) Unwrap(ctx context.Context, _ string, wrapped, aad []byte) ([]byte, error) {
	reply, err := h.run(ctx, "unwrap", Message{Wrapped: wrapped, AAD: aad})
	return reply.Key, err
}

func (h *Helper) run(ctx context.Context, verb string, m Message) (reply Message, err error) {
	ctx, cancel := context.WithTimeout(ctx, helperLimit)
	defer cancel()
	input, err := json.Marshal(m)
	if err != nil {
		return reply, err
	}
	defer clear(input)
	stdout, stderr := bounded{limit: maxReply}, bounded{limit: 1 << 10}
	cmd := exec.CommandContext(ctx, h.program, verb, h.uri)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	// A child that keeps the pipes open must not hold us up.
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return reply, h.failed(ctx, err, stderr.b)
	}
	defer clear(stdout.b)
	if err := json.Unmarshal(stdout.b, &reply); err != nil {
		return reply, fmt.Errorf("%s %s: its reply is not JSON of at most %d bytes", h.program, verb, maxReply)
	}
	return reply, nil
}

func (h *Helper) failed(ctx context.Context, err error, said []byte) error {
	reason := strings.TrimSpace(strings.ToValidUTF8(string(said), "?"))
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("master key %s needs the program %s in the PATH; docs/encryption.md says where it comes from", h.uri, h.program)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", h.program, ctx.Err())
	case errors.As(err, &exit) && exit.ExitCode() == ExitRefused:
		return fmt.Errorf("%w: %s", seal.ErrRefused, reason)
	}
	return fmt.Errorf("%s: %w: %s", h.program, err, reason)
}

// bounded keeps the first limit bytes that are written to it.
type bounded struct {
	b     []byte
	limit int
}

func (w *bounded) Write(p []byte) (int, error) {
	w.b = append(w.b, p[:min(len(p), w.limit-len(w.b))]...)
	return len(p), nil
}
