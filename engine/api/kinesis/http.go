package kinesis

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
)

const (
	// prefix of the operations in X-Amz-Target.
	prefix = "Kinesis_20131202."
	// maxAnswer is what an answer of GetRecords may take: 10 MiB and a frame, in base64, with room to grow.
	maxAnswer = 24 << 20
	// kept is up to what size a buffer is used again.
	kept = 4 << 20
)

// buffers are those of bodies and answers.
type buffers struct {
	body, answer []byte
	arriving     arriving
	held         holding
}

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

// answer does what a request asks for. An error is not answered yet.
func (s *Service) answer(w http.ResponseWriter, r *http.Request, c *call, b *buffers) (wire.Format, error) {
	format, known := formatOf(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost {
		return format, &wire.Fault{Type: "AccessDeniedException", Message: "Unable to determine service/operation name to be authorized"}
	}
	if !known {
		return format, &wire.Fault{Type: "UnknownOperationException", Status: http.StatusNotFound}
	}
	if err := s.read(w, r, c, b); err != nil {
		return format, err
	}
	defer b.held.release()
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
		// It may go on for long, and says little.
		if len(b.body) > smallBody {
			return format, errTooLarge
		}
		b.held.release()
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
