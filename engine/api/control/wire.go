package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/millrace-io/millrace/engine/stream"
)

// fault is how an error travels.
type fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// codes are the errors that callers branch on, in the order they are looked for.
var codes = []struct {
	code   string
	err    error
	status int
}{
	{"not_found", stream.ErrNotFound, http.StatusNotFound},
	{"invalid", stream.ErrInvalid, http.StatusBadRequest},
	{"exists", stream.ErrExists, http.StatusConflict},
	{"in_use", ErrInUse, http.StatusConflict},
	{"limit", stream.ErrLimit, http.StatusConflict},
	{"conflict", stream.ErrConflict, http.StatusConflict},
	{"full", stream.ErrFull, http.StatusServiceUnavailable},
	{"closed", stream.ErrClosed, http.StatusServiceUnavailable},
	{"trimmed", stream.ErrTrimmed, http.StatusGone},
}

const (
	codeInternal = "internal"
	// codeClosing ends the requests under way when the server closes.
	codeClosing = "closing"
)

func faultOf(err error) (fault, int) {
	f := fault{Code: codeInternal, Message: err.Error()}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			f.Code = c.code
			return f, c.status
		}
	}
	if errors.Is(err, context.Canceled) {
		f.Code = codeClosing
		return f, http.StatusServiceUnavailable
	}
	return f, http.StatusInternalServerError
}

// remoteError is an error of the process that was asked. Its text is that process's.
type remoteError struct {
	message string
	cause   error
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.cause }

func (f fault) err() error {
	if f.Code == codeClosing {
		return fmt.Errorf("%w: %s", ErrUnreachable, f.Message)
	}
	e := &remoteError{message: f.Message}
	for _, c := range codes {
		if c.code == f.Code {
			e.cause = c.err
		}
	}
	return e
}

// faultIn reads the error of a response that is not OK.
func faultIn(status string, body []byte) error {
	var f fault
	if err := json.Unmarshal(body, &f); err != nil || f.Message == "" {
		return fmt.Errorf("the running process answered %s: %s", status, strings.TrimSpace(string(body[:min(len(body), 200)])))
	}
	return f.err()
}
