package http

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
	"github.com/millrace-io/millrace/sources"
)

// pooled is the largest body, in bytes, whose batch is kept for the next request.
const pooled = 256 << 10

// retryAfter is when a refused client may come again, in seconds.
const retryAfter = 1

// handler answers requests. It may be called from many goroutines.
type handler struct {
	cfg      Config
	env      sources.Env
	w        sources.Writer
	cross    *http.CrossOriginProtection
	memory   budget
	batches  sync.Pool
	failing  atomic.Bool
	stopping atomic.Bool
	running  sync.WaitGroup
}

func newHandler(cfg Config, env sources.Env, w sources.Writer) *handler {
	h := &handler{cfg: cfg, env: env, w: w, cross: http.NewCrossOriginProtection()}
	h.memory.left.Store(int64(cfg.MaxInFlight))
	h.batches.New = func() any { return &load{keys: sources.NewKeyer(cfg.PartitionKey)} }
	return h
}

// load is what one request is made into.
type load struct {
	batch record.Batch
	keys  *sources.Keyer
}

// refusal is an answer other than 200.
type refusal struct {
	status int
	reason string
	// after is the Retry-After header in seconds, zero for none.
	after int
}

func (r *refusal) Error() string { return r.reason }

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, reason: fmt.Sprintf(format, args...)}
}

func later(status int, reason string) error {
	return &refusal{status: status, reason: reason, after: retryAfter}
}

// ServeHTTP is http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.running.Add(1)
	defer h.running.Done()
	accepted, err := h.accept(r)
	w.Header().Set("Content-Type", "application/json")
	if err == nil {
		_, _ = fmt.Fprintf(w, `{"accepted":%d}`+"\n", accepted) // a client that is gone asks again
		return
	}
	no := &refusal{status: http.StatusServiceUnavailable, reason: "the records could not be stored; try again", after: retryAfter}
	if !errors.As(err, &no) {
		h.env.Log.Error("request failed", "error", err)
	}
	if no.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(no.after))
	}
	switch no.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="millrace"`)
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	}
	if no.status == http.StatusServiceUnavailable && h.stopping.Load() {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(no.status)
	text, _ := json.Marshal(no.reason) // a string always encodes
	_, _ = fmt.Fprintf(w, `{"error":%s}`+"\n", text)
}

// accept stores a request's records and returns how many. Errors are a *refusal, or those of the
// stream.
func (h *handler) accept(r *http.Request) (int, error) {
	if err := h.admit(r); err != nil {
		return 0, err
	}
	lines, err := isLines(r.Header.Get("Content-Type"))
	if err != nil {
		return 0, err
	}
	used := h.memory.claim()
	defer used.release()
	body, err := h.read(r, used)
	if err != nil {
		return 0, err
	}
	// The batch holds every record once more, behind lengths and keys.
	if !used.grow(int64(len(body)) + int64(len(body))/4) {
		return 0, errBusy
	}
	return h.store(r, body, lines)
}

// admit refuses requests by what they are, before anything is read.
func (h *handler) admit(r *http.Request) error {
	switch {
	case r.URL.Path != h.cfg.Path:
		return refuse(http.StatusNotFound, "no such path; post records to %s", h.cfg.Path)
	case !h.authorized(r):
		return refuse(http.StatusUnauthorized, "send the token: Authorization: Bearer TOKEN")
	case r.Method != http.MethodPost:
		return refuse(http.StatusMethodNotAllowed, "use POST")
	case h.stopping.Load():
		return later(http.StatusServiceUnavailable, "shutting down")
	}
	// Any website may make a browser on this machine send requests here.
	if err := h.cross.Check(r); err != nil {
		return refuse(http.StatusForbidden, "requests of other websites are not taken")
	}
	return nil
}

func (h *handler) authorized(r *http.Request) bool {
	if h.cfg.Token.Empty() {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(h.cfg.Token.Reveal()))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// isLines tells by the content type whether a body is newline-delimited. Without a type it may be
// any JSON.
func isLines(contentType string) (bool, error) {
	if contentType == "" {
		return false, nil
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if charset := params["charset"]; err != nil || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return false, refuse(http.StatusUnsupportedMediaType, "content type %q is not taken; records are JSON in UTF-8", contentType)
	}
	switch kind {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines":
		return true, nil
	case "application/json":
		return false, nil
	}
	return false, refuse(http.StatusUnsupportedMediaType,
		"content type %q is not taken; send application/json or application/x-ndjson, with curl for example: -H 'content-type: application/json'", kind)
}

// store writes the records of a body.
func (h *handler) store(r *http.Request, body []byte, lines bool) (int, error) {
	l := h.batches.Get().(*load)
	defer func() {
		l.batch.Reset()
		if len(body) <= pooled {
			h.batches.Put(l)
		}
	}()
	if err := h.parse(l, body, lines); err != nil {
		return 0, err
	}
	n := l.batch.Len()
	if n == 0 {
		return 0, nil
	}
	// The client may be gone, but half a write helps nobody.
	err := h.w.TryWrite(context.WithoutCancel(r.Context()), &l.batch)
	var limit *capacity.ThrottledError
	if errors.As(err, &limit) {
		// No fault of the source, and nothing of the request is stored.
		seconds := int((limit.RetryAfter + time.Second - 1) / time.Second)
		return 0, &refusal{status: http.StatusTooManyRequests, reason: limit.Error(), after: max(seconds, 1)}
	}
	h.report(err)
	if errors.Is(err, stream.ErrFull) {
		return 0, later(http.StatusServiceUnavailable, "the stream accepts no more records for now; try again")
	}
	return n, err
}

// report tells the state of the stream when it changes.
func (h *handler) report(err error) {
	if failing := err != nil; h.failing.Swap(failing) != failing {
		h.env.Status(err)
	}
}
