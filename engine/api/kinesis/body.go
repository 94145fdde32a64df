package kinesis

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
	"golang.org/x/sync/semaphore"
)

const (
	// maxBody is that of a PutRecords: 10 MiB in base64, with keys and names.
	maxBody = 16 << 20
	// tinyBody is what is read of anybody. Who sends more must look like one of the users.
	tinyBody = 4 << 10
	// smallBody is up to what size a body asks for memory that large ones do not take.
	smallBody = 64 << 10
	// smallMemory is for small bodies and what they are decoded to: 128 requests under way.
	smallMemory = 128 * 2 * smallBody
	// stallAfter is within what time a body that is not tiny has to bring another smallBody, and bodyTimeout all of it.
	stallAfter  = 5 * time.Second
	bodyTimeout = time.Minute
)

var errTooLarge = &wire.Fault{Type: "RequestEntityTooLargeException", Message: "Request is larger than 16 MiB, or than 64 KiB for GetRecords and SubscribeToShard.", Status: http.StatusRequestEntityTooLarge}

// read reads the body. What it takes in memory, with what it is decoded to, is held until it is released. Who only claims
// to send much holds none of it, who holds some has to go on sending, and who is a stranger by the header gets none.
func (s *Service) read(w http.ResponseWriter, r *http.Request, c *call, b *buffers) error {
	if r.ContentLength > maxBody {
		return errTooLarge
	}
	err := s.readBody(w, r, c, b)
	if err == nil {
		return nil
	}
	b.held.release()
	var large *http.MaxBytesError
	var refused *wire.Fault
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &large):
		return errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &wire.Fault{Type: "RequestTimeoutException", Message: "The body came too slowly.", Status: http.StatusRequestTimeout}
	}
	return &wire.Fault{Type: "SerializationException", Message: "The body could not be read."}
}

// readBody reads in steps, each of which asks for more memory than the one before.
func (s *Service) readBody(w http.ResponseWriter, r *http.Request, c *call, b *buffers) (err error) {
	in := http.MaxBytesReader(w, r.Body, maxBody)
	more, err := s.readTiny(w, in, b)
	if err != nil || !more {
		return err
	}
	if wrong := c.precheck(r); wrong != nil {
		return wrong
	}
	if err := b.held.acquire(r.Context(), s.small, 2*smallBody); err != nil {
		return err
	}
	// Not every transport has deadlines; one without is the test's.
	to := http.NewResponseController(w)
	defer func() { _ = to.SetReadDeadline(time.Time{}) }()
	_ = to.SetReadDeadline(time.Now().Add(s.stall))
	if b.body, more, err = readUpTo(in, b.body, smallBody); err != nil || !more {
		return err
	}
	size := r.ContentLength
	if size < 0 {
		size = maxBody
	}
	b.held.release()
	// On HTTP/2 a deadline that passes while nothing is read ends the body all the same.
	_ = to.SetReadDeadline(time.Time{})
	if err := b.held.acquire(r.Context(), s.memory, 2*size); err != nil {
		return err
	}
	b.body, err = s.readRest(to, in, b.body)
	return err
}

// readTiny reads what may come from anybody.
func (s *Service) readTiny(w http.ResponseWriter, in io.Reader, b *buffers) (more bool, err error) {
	s.arrivals.enter(&b.arriving, w)
	b.body, more, err = readUpTo(in, b.body[:0], tinyBody)
	if !s.arrivals.leave(&b.arriving) {
		// Its deadline has passed, whatever was read before.
		return false, os.ErrDeadlineExceeded
	}
	return more, err
}

// readRest reads a body to its end, as long as it comes.
func (s *Service) readRest(to *http.ResponseController, in io.Reader, b []byte) ([]byte, error) {
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

// holding is memory that a request has.
type holding struct {
	from *semaphore.Weighted
	size int64
}

func (h *holding) acquire(ctx context.Context, from *semaphore.Weighted, size int64) error {
	err := from.Acquire(ctx, size)
	if err == nil {
		h.from, h.size = from, size
	}
	return err
}

func (h *holding) release() {
	if h.from != nil {
		h.from.Release(h.size)
		h.from = nil
	}
}
