package http

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// firstRead is the memory that a request starts with.
	firstRead = 16 << 10
	// maxWindow is what a zstd decoder must support (RFC 8878, 3.1.1.1.2), and all it may ask for.
	maxWindow = 8 << 20
	// From bombAfter unpacked bytes on, a body that packs better than 1 to maxRatio is refused.
	bombAfter = 1 << 20
	maxRatio  = 200
)

// errBusy is the refusal when all memory for requests is in use.
var errBusy = &refusal{status: http.StatusTooManyRequests, reason: "too much is being sent at once; try again", after: retryAfter}

// budget is the memory that all requests share.
type budget struct{ left atomic.Int64 }

// claim is the part of one request.
type claim struct {
	of *budget
	n  int64
}

func (b *budget) claim() *claim { return &claim{of: b} }

// grow takes n more bytes, if there are as many.
func (c *claim) grow(n int64) bool {
	if c.of.left.Add(-n) < 0 {
		c.of.left.Add(n)
		return false
	}
	c.n += n
	return true
}

func (c *claim) release() { c.of.left.Add(c.n) }

// read returns the unpacked body. It takes memory as bytes arrive, not as headers promise.
func (h *handler) read(r *http.Request, used *claim) ([]byte, error) {
	limit := int64(h.cfg.MaxBody)
	if r.ContentLength > limit {
		return nil, h.tooLarge()
	}
	wire := &meter{r: r.Body}
	src, done, err := unpack(r.Header.Get("Content-Encoding"), wire)
	if err != nil {
		return nil, err
	}
	defer done()
	var body []byte
	for {
		if len(body) == cap(body) {
			size := min(max(firstRead, 2*int64(cap(body)), min(r.ContentLength+1, 8*firstRead)), limit+1)
			// An unpacker keeps as much again of what it gave.
			if !used.grow(2 * (size - int64(cap(body)))) {
				return nil, errBusy
			}
			body = append(make([]byte, 0, size), body...)
		}
		n, err := src.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch unpacked := int64(len(body)); {
		case unpacked > limit:
			return nil, h.tooLarge()
		case unpacked > bombAfter && unpacked/maxRatio > wire.n:
			return nil, refuse(http.StatusRequestEntityTooLarge, "the body unpacks to more than %d times its size", maxRatio)
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, broken(err, wire)
		}
	}
}

func (h *handler) tooLarge() error {
	return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %s; send less at a time", h.cfg.MaxBody)
}

// meter counts what arrives and remembers its error: the others are those of unpacking.
type meter struct {
	r   io.Reader
	n   int64
	err error
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

func broken(err error, wire *meter) error {
	var slow net.Error
	switch {
	case errors.As(wire.err, &slow) && slow.Timeout():
		return refuse(http.StatusRequestTimeout, "the body did not arrive in time")
	case wire.err != nil:
		return refuse(http.StatusBadRequest, "the body is incomplete")
	}
	return refuse(http.StatusBadRequest, "the body cannot be unpacked: %v", err)
}

// unpack undoes a content encoding. done must be called when everything was read.
func unpack(encoding string, body io.Reader) (src io.Reader, done func(), err error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return body, func() {}, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, nil, refuse(http.StatusBadRequest, "the body cannot be unpacked: %v", err)
		}
		return z, func() {}, nil
	case "zstd":
		z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("zstd: %w", err)
		}
		return z, z.Close, nil
	}
	return nil, nil, refuse(http.StatusUnsupportedMediaType, "content encoding %q is not taken; use gzip, zstd or none", encoding)
}
