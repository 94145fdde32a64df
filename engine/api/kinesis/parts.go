package kinesis

import (
	"errors"
	"net/http"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
)

// partSize is how much of an answer is gathered before it is sent: what fits into a processor's cache.
const partSize = 256 << 10

// partPatience is how long a client may take to read a part.
const partPatience = 10 * time.Second

// errGone reports a client that does not read what it asked for.
var errGone = errors.New("the client is gone")

// parts is an answer that is sent in parts if it is long. A short one is sent at once, with its length.
type parts struct {
	w      http.ResponseWriter
	r      *http.Request
	call   *call
	format wire.Format
	asked  time.Time
	began  bool
}

// send sends what was gathered.
func (p *parts) send(out *wire.Writer) error {
	if !p.began {
		p.began = true
		p.call.record(nil)
		late(p.r, p.asked)
		wire.Begin(p.w, p.format, p.call.id)
	}
	// Not every transport has deadlines; one without is the test's.
	_ = http.NewResponseController(p.w).SetWriteDeadline(time.Now().Add(partPatience))
	return out.Flush(p.w)
}

// end sends the rest. A client that went away is its own affair.
func (p *parts) end(out *wire.Writer) {
	if p.began {
		_ = p.send(out)
		return
	}
	p.call.record(nil)
	if len(out.Bytes()) > largeAnswer {
		late(p.r, p.asked)
	}
	_ = wire.Answer(p.w, http.StatusOK, p.format, p.call.id, out.Bytes())
}
