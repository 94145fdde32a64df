package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
)

// fault is how an error travels.
type fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	// Throttled is there with codeThrottled.
	Throttled *throttled `json:"throttled,omitempty"`
	// Record is there when one record of a put is refused.
	Record *RecordError `json:"record,omitempty"`
}

// throttled is a *capacity.ThrottledError.
type throttled struct {
	Stream           string         `json:"stream"`
	Shard            record.ShardID `json:"shard"`
	Limit            capacity.Limit `json:"limit"`
	PerSecond        int64          `json:"per_second"`
	RetryAfterMillis int64          `json:"retry_after_millis"`
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
	{"key", stream.ErrKey, http.StatusBadRequest},
	{"trimmed", stream.ErrTrimmed, http.StatusGone},
}

const (
	codeInternal  = "internal"
	codeThrottled = "throttled"
	// codeClosing ends the requests under way when the server closes.
	codeClosing = "closing"
)

func faultOf(err error) (fault, int) {
	f := fault{Code: codeInternal, Message: err.Error()}
	var refused *RecordError
	if errors.As(err, &refused) {
		f.Record = refused
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			f.Code = c.code
			return f, c.status
		}
	}
	var limit *capacity.ThrottledError
	if errors.As(err, &limit) {
		f.Code = codeThrottled
		// Rounded up: who comes too early comes twice.
		f.Throttled = &throttled{limit.Stream, limit.Shard, limit.Limit, limit.PerSecond, int64((limit.RetryAfter + time.Millisecond - 1) / time.Millisecond)}
		return f, http.StatusTooManyRequests
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
	if t := f.Throttled; t != nil {
		e.cause = &capacity.ThrottledError{
			Stream: t.Stream, Shard: t.Shard, Limit: t.Limit, PerSecond: t.PerSecond,
			RetryAfter: time.Duration(t.RetryAfterMillis) * time.Millisecond,
		}
		return e
	}
	if f.Record != nil {
		e.cause = f.Record
		return e
	}
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
