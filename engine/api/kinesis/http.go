package kinesis

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
)

const (
	// prefix of the operations in X-Amz-Target.
	prefix = "Kinesis_20131202."
	// maxBody is that of a PutRecords: 10 MiB in base64, with keys and names.
	maxBody = 16 << 20
	// maxAnswer is what an answer of GetRecords may take: 10 MiB and a frame, in base64, with room to grow.
	maxAnswer = 24 << 20
	// smallBody is what is read without asking for memory.
	smallBody = 64 << 10
	// stallAfter is within what time a large body has to bring another smallBody, and bodyTimeout all of it.
	stallAfter  = 5 * time.Second
	bodyTimeout = time.Minute
	// kept is up to what size a buffer is used again.
	kept = 4 << 20
)

// buffers are those of bodies and answers.
type buffers struct{ body, answer []byte }

var pool = sync.Pool{New: func() any { return &buffers{} }}

func (b *buffers) release() {
	if cap(b.body) > kept {
		b.body = nil
	}
	if cap(b.answer) > kept {
		b.answer = nil
	}
	pool.Put(b)
}

// ServeHTTP answers one request. The order of checks is that of AWS: method and content type, body, operation,
// signature, fields, rights.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := wire.NewID()
	if s.crossOrigin(w, r, id) {
		return
	}
	b := pool.Get().(*buffers)
	defer b.release()
	c := s.newCall(r, id)
	format, err := s.answer(w, r, c, b)
	if err == nil {
		return
	}
	f := s.faultOf(r.Context(), err)
	c.record(f)
	if f.Status >= http.StatusInternalServerError {
		s.o.Log.Error("request failed", "id", id, "target", r.Header.Get("X-Amz-Target"), "error", err)
	}
	// A client that went away is its own affair.
	_ = wire.AnswerFault(w, format, id, f)
}

// crossOrigin lets web pages ask, as AWS does. It reports whether the request is answered.
func (s *Service) crossOrigin(w http.ResponseWriter, r *http.Request, id string) bool {
	if r.Header.Get("Origin") == "" {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date")
	if r.Method != http.MethodOptions {
		return false
	}
	for asked, allowed := range map[string]string{
		"Access-Control-Request-Headers": "Access-Control-Allow-Headers", "Access-Control-Request-Method": "Access-Control-Allow-Methods",
	} {
		if v := r.Header.Get(asked); v != "" {
			h.Set(allowed, v)
		}
	}
	h.Set("Access-Control-Max-Age", "172800")
	wire.SetIDs(h, id)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return true
}

// answer does what a request asks for. An error is not answered yet.
func (s *Service) answer(w http.ResponseWriter, r *http.Request, c *call, b *buffers) (wire.Format, error) {
	format, known := formatOf(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost {
		return format, &wire.Fault{Type: "AccessDeniedException", Message: "Unable to determine service/operation name to be authorized"}
	}
	if !known {
		return format, &wire.Fault{Type: "UnknownOperationException", Status: http.StatusNotFound}
	}
	release, err := s.read(w, r, b)
	if err != nil {
		return format, err
	}
	defer release()
	asked := time.Now()
	name, ours := strings.CutPrefix(r.Header.Get("X-Amz-Target"), prefix)
	if !ours {
		return format, &wire.Fault{Type: "UnknownOperationException"}
	}
	run := s.actions[name]
	streamed := s.streamed(name)
	if run == nil && streamed == nil {
		return format, &wire.Fault{Type: "UnknownOperationException"}
	}
	c.operation = name
	if err := c.verify(r, b.body); err != nil {
		return format, err
	}
	if streamed != nil {
		return format, streamed(w, r, c, format, b)
	}
	out, err := run(r.Context(), c, format, b.body, b.answer[:0])
	if err != nil {
		return format, err
	}
	b.answer = out
	c.record(nil)
	if len(out) > largeAnswer {
		late(r, asked)
	}
	_ = wire.Answer(w, http.StatusOK, format, c.id, out)
	return format, nil
}

// streamed is an operation whose answer is written as it comes; nil if it is another one.
func (s *Service) streamed(name string) func(http.ResponseWriter, *http.Request, *call, wire.Format, *buffers) error {
	switch name {
	case "GetRecords":
		return s.getRecords
	case "SubscribeToShard":
		return s.subscribeToShard
	}
	return nil
}

func formatOf(contentType string) (format wire.Format, known bool) {
	kind, _, _ := mime.ParseMediaType(contentType)
	switch kind {
	case wire.TypeCBOR:
		return wire.CBOR, true
	case wire.TypeJSON:
		return wire.JSON, true
	}
	return wire.JSON, false
}

// read reads the body. What it takes in memory, with what it is decoded to, is given back by release. Who only claims to
// send much holds none of it, and who holds some has to go on sending.
func (s *Service) read(w http.ResponseWriter, r *http.Request, b *buffers) (release func(), err error) {
	size := r.ContentLength
	if size < 0 {
		size = maxBody
	}
	if size > maxBody {
		return nil, errTooLarge
	}
	release = func() {}
	in := http.MaxBytesReader(w, r.Body, maxBody)
	more := false
	if b.body, more, err = readUpTo(in, b.body[:0], smallBody); err == nil && more {
		if err := s.memory.Acquire(r.Context(), 2*size); err != nil {
			return nil, err
		}
		release = func() { s.memory.Release(2 * size) }
		b.body, err = s.readRest(w, in, b.body)
	}
	if err == nil {
		return release, nil
	}
	release()
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &wire.Fault{Type: "RequestTimeoutException", Message: "The body came too slowly.", Status: http.StatusRequestTimeout}
	}
	return nil, &wire.Fault{Type: "SerializationException", Message: "The body could not be read."}
}

// readRest reads a body to its end, as long as it comes.
func (s *Service) readRest(w http.ResponseWriter, in io.Reader, b []byte) ([]byte, error) {
	// Not every transport has deadlines; one without is the test's.
	to := http.NewResponseController(w)
	defer func() { _ = to.SetReadDeadline(time.Time{}) }()
	end := time.Now().Add(bodyTimeout)
	for {
		next := time.Now().Add(s.stall)
		if next.After(end) {
			next = end
		}
		_ = to.SetReadDeadline(next)
		var more bool
		var err error
		if b, more, err = readUpTo(in, b, len(b)+smallBody); err != nil || !more {
			return b, err
		}
	}
}

var errTooLarge = &wire.Fault{Type: "RequestEntityTooLargeException", Message: "Request is larger than 16 MiB.", Status: http.StatusRequestEntityTooLarge}

// readUpTo appends what there is to read until b has so many bytes; more says that there may be more. It grows as it
// comes: a length that was claimed is no reason to allocate.
func readUpTo(r io.Reader, b []byte, size int) (_ []byte, more bool, err error) {
	if cap(b) == 0 {
		b = make([]byte, 0, 4<<10)
	}
	for len(b) < size {
		n, err := r.Read(b[len(b):min(cap(b), size)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, false, nil
		}
		if err != nil {
			return b, false, err
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
	return b, true, nil
}

// faultOf is the answer to an error.
func (s *Service) faultOf(ctx context.Context, err error) *wire.Fault {
	var f *wire.Fault
	var wrong *wire.TypeError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &wrong):
		return &wire.Fault{Type: "SerializationException", Message: wrong.Message}
	case errors.Is(err, wire.ErrSyntax):
		return &wire.Fault{Type: "SerializationException"}
	case ctx.Err() != nil:
		return &wire.Fault{Type: "ServiceUnavailable", Message: "The request was given up.", Status: http.StatusServiceUnavailable}
	}
	return s.streamFault(err)
}
