package httpstream

import (
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/sinks/serve"
)

// piece is how many bytes are sent in one write.
const piece = 32 << 10

// reset tells a client to forget its rows: it missed changes, and the latest rows follow.
const reset = "event: reset\ndata: {}\n\n"

// ServeHTTP answers GET: the latest rows as JSON or NDJSON, or changes as they come, by Accept.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.clients.Add(1) > int64(s.cfg.MaxClients) {
		s.clients.Add(-1)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many clients; come again", http.StatusServiceUnavailable)
		return
	}
	defer s.clients.Add(-1)
	out := &writer{w: w, control: http.NewResponseController(w), timeout: s.cfg.Timeout.Std()}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Accept")
	accept := r.Header.Get("Accept")
	var err error
	switch {
	case strings.Contains(accept, "text/event-stream") && r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no")
		err = s.follow(out, r)
	case strings.Contains(accept, "ndjson"):
		w.Header().Set("Content-Type", "application/x-ndjson")
		err = s.list(out, "", "\n", "\n", "")
	default:
		w.Header().Set("Content-Type", "application/json")
		err = s.list(out, `{"position":"`, ",", "", "]}\n")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.cut.Add(1)
		s.env.Log.Info("cut a client off", "client", r.RemoteAddr, "reason", err)
	}
}

// list sends the latest rows.
func (s *sink) list(out *writer, head, between, last, foot string) error {
	v, ok := s.pin()
	if !ok {
		out.w.Header().Set("Retry-After", "1")
		http.Error(out.w, "too many slow clients; come again", http.StatusServiceUnavailable)
		return nil
	}
	defer s.unpin(v)
	position := s.id(v.last)
	// The rows are kept for it meanwhile, so there is one time for all.
	out.deadline()
	out.w.Header().Set("X-Millrace-Position", position)
	if head != "" {
		out.add(head + position + `","rows":[`)
	}
	for i, e := range v.latest {
		if i > 0 {
			out.add(between)
		}
		if err := out.row(e.text); err != nil {
			return err
		}
		if len(out.buf) < piece {
			continue
		}
		if err := out.send(); err != nil {
			return err
		}
	}
	if len(v.latest) > 0 {
		out.add(last)
	}
	out.add(foot)
	return out.send()
}

// id names a position, so that one of another stream is not taken for it.
func (s *sink) id(position int64) string {
	return s.env.Identity.Incarnation + "-" + strconv.FormatInt(position, 10)
}

// resume is the position that a client has seen; asked says that it named one.
func (s *sink) resume(r *http.Request) (position int64, asked bool) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return -1, false
	}
	incarnation, number, _ := strings.Cut(text, "-")
	position, err := strconv.ParseInt(number, 10, 64)
	if err != nil || incarnation != s.env.Identity.Incarnation {
		return -1, true
	}
	return position, true
}

// follow sends changes until the client or the server goes. A client that is new gets the latest rows
// first; so does one whose place is not held any more, after an event named reset: it came back late, reads
// slowly, or one commit brought more changes than are held.
func (s *sink) follow(out *writer, r *http.Request) error {
	// The server's time-out is for reading requests; this one is read.
	if err := out.control.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	at, asked := s.resume(r)
	_, held := s.current().after(at)
	if !held {
		at = -1
		if asked {
			out.add(reset)
		}
	}
	heartbeat := time.NewTicker(s.cfg.Heartbeat.Std())
	defer heartbeat.Stop()
	// Not an event: it tells a new client at once that the connection stands.
	out.add(": millrace\n\n")
	for beginning := !held; ; {
		v := s.current()
		events, ok := v.after(at)
		if !ok && !beginning {
			out.add(reset)
			at, beginning = -1, true
		}
		if beginning {
			events = v.latestAfter(at)
		}
		// A client that reads slowly holds no more than a piece, so the view is looked up anew for each.
		sent, err := s.sendEvents(out, events)
		if err != nil {
			return err
		}
		if sent < len(events) {
			at = events[sent-1].position
			continue
		}
		at, beginning = v.last, false
		select {
		case <-v.replaced:
		case <-heartbeat.C:
			out.add(": \n\n")
		case <-r.Context().Done():
			return nil
		case <-serve.Stopping(r):
			return nil
		}
	}
}

// sendEvents sends as many as fill a piece, and says how many.
func (s *sink) sendEvents(out *writer, events []*event) (sent int, err error) {
	if len(events) > 0 || len(out.buf) > 0 {
		out.deadline()
	}
	for size := 0; sent < len(events) && size < piece; size += len(events[sent-1].text) {
		e := events[sent]
		out.add("id: " + s.id(e.position) + "\ndata: ")
		// JSON text has no line breaks, which would end the event.
		if err := out.row(e.text); err != nil {
			return sent, err
		}
		out.add("\n\n")
		sent++
	}
	if len(out.buf) == 0 {
		return sent, nil
	}
	return sent, out.send()
}

// writer gathers what is sent. Errors of a deadline show in the write.
type writer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	buf     []byte
	err     error
}

func (o *writer) add(text string) { o.buf = append(o.buf, text...) }

// row sends a row at once if it is large: a client has no copy of it.
func (o *writer) row(text []byte) error {
	if len(text) < piece {
		o.buf = append(o.buf, text...)
		return nil
	}
	if err := o.flush(); err != nil {
		return err
	}
	_, err := o.w.Write(text)
	return err
}

// deadline gives the client a time to read what is sent from now on.
func (o *writer) deadline() {
	if err := o.control.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
		o.err = err
	}
}

// send writes what was gathered, and nothing stays behind.
func (o *writer) send() error {
	if err := o.flush(); err != nil {
		return err
	}
	return o.control.Flush()
}

// flush writes what was gathered.
func (o *writer) flush() error {
	if o.err != nil {
		return o.err
	}
	_, err := o.w.Write(o.buf)
	o.buf = o.buf[:0]
	return err
}
