package kinesis

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
)

// events writes an event stream.
type events struct {
	w      http.ResponseWriter
	to     *http.ResponseController
	format wire.Format
	cursor *cursor
	frame  []byte
	body   []byte
	// last says that the event that was made last names the shards that follow: the shard may come to its end right
	// after an event was made that does not.
	last bool
	// still refuses what the client has no right to any more; asked is when it was asked last.
	still func(ctx context.Context) error
	asked time.Time
	// allowance is how many bytes may be sent now, with limits.
	allowance meter
}

// run sends events until the time is over, the shard is at its end, or the client is gone.
func (e *events) run(ctx context.Context) {
	if !e.send("initial-response", wire.Encode(e.format, nil, &none{})) {
		return
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		// Asked for before reading, so that what arrives in between is not slept through.
		updated := e.cursor.updated()
		err := e.allowed(ctx)
		records := 0
		if err == nil {
			records, err = e.event(ctx)
		}
		if ctx.Err() != nil {
			e.over(ctx)
			return
		}
		if err != nil {
			e.fail(err)
			return
		}
		if !e.send("SubscribeToShardEvent", e.body) || e.last {
			return
		}
		if records > 0 {
			e.hold(ctx)
			continue
		}
		e.shrink()
		select {
		case <-updated:
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// allowed reports whether the client may still have what it asked for, once a second: who is removed does not read on
// for minutes.
func (e *events) allowed(ctx context.Context) error {
	now := e.cursor.s.o.Now()
	if now.Sub(e.asked) < askAgain {
		return nil
	}
	e.asked = now
	return e.still(ctx)
}

// hold waits until a subscription of a stream with limits may have more: it gets 2 MiB a second for itself (Kinesis API,
// SubscribeToShard).
func (e *events) hold(ctx context.Context) {
	c := e.cursor
	if c.stream.Settings().Limits != stream.KinesisLimits {
		return
	}
	perSecond := float64(capacity.Kinesis().BytesOut)
	now := c.s.o.Now()
	if e.allowance.at.IsZero() {
		e.allowance.tokens = perSecond
	} else if passed := now.Sub(e.allowance.at); passed > 0 {
		e.allowance.tokens = min(perSecond, e.allowance.tokens+passed.Seconds()*perSecond)
	}
	e.allowance.at = now
	e.allowance.tokens -= float64(c.bytes)
	if e.allowance.tokens >= 0 {
		return
	}
	t := time.NewTimer(time.Duration(-e.allowance.tokens / perSecond * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// shrink lets go of the memory of a large event before what may be a long wait.
func (e *events) shrink() {
	if cap(e.body) > smallBody {
		e.body, e.frame = nil, nil
	}
}

// over tells why a subscription was ended, unless its time was over or nobody listens.
func (e *events) over(ctx context.Context) {
	var f *wire.Fault
	if errors.As(context.Cause(ctx), &f) {
		e.fail(f)
	}
}

// updated is closed when there is more to read, or the shards that follow are listed.
func (c *cursor) updated() <-chan struct{} {
	if c.log.Bounds().Closed {
		return c.stream.Updated()
	}
	return c.log.Updated()
}

// eventTail is what of SubscribeToShardEvent follows the records.
type eventTail struct {
	number   string
	behind   int64
	children []childShard
}

func (t *eventTail) Fields(f *wire.Fields) {
	f.String("ContinuationSequenceNumber", &t.number)
	f.Count("MillisBehindLatest", &t.behind)
	wire.List(f, "ChildShards", &t.children, nil)
}

// event encodes the next event and returns how many records it has.
func (e *events) event(ctx context.Context) (records int, err error) {
	c := e.cursor
	c.records, c.bytes = 0, 0
	if err := c.s.memory.Acquire(ctx, 2*eventBytes); err != nil {
		return 0, err
	}
	defer c.s.memory.Release(2 * eventBytes)
	w := wire.NewWriter(e.format, e.body[:0])
	w.BeginObject()
	w.Name("Records")
	w.BeginArray()
	buffer := readBuffers.Get().(*stream.Buffer)
	defer readBuffers.Put(buffer)
	if err := c.read(ctx, buffer, maxRecords, eventBytes, w); err != nil {
		return 0, err
	}
	w.EndArray()
	t := eventTail{behind: c.behind(), number: c.continuation()}
	if e.last = c.ended(); e.last {
		t.number, t.children = "", c.children()
	}
	w.Append(&t)
	w.EndObject()
	e.body = w.Bytes()
	return c.records, nil
}

// continuation is the number after which another subscription goes on.
func (c *cursor) continuation() string {
	if c.next == 0 {
		return c.shard.First().String()
	}
	arrival := c.arrival
	if arrival == 0 {
		arrival = c.log.Bounds().Arrival
	}
	return c.shard.Sequence(c.next-1, arrival).String()
}

// fail tells of an error within the stream, by one of the exceptions that it may have (Kinesis API,
// SubscribeToShardEventStream).
func (e *events) fail(err error) {
	s := e.cursor.s
	f := *s.faultOf(context.Background(), err)
	if f.Status >= http.StatusInternalServerError {
		s.o.Log.Error("subscription failed", "stream", e.cursor.stream.Name(), "shard", e.cursor.shard.ID, "error", err)
	}
	if f.Type != "ResourceNotFoundException" && f.Type != "ResourceInUseException" && !strings.HasPrefix(f.Type, "KMS") {
		f.Type = "InternalFailureException"
	}
	e.message([]wire.Header{{Name: ":message-type", Value: "exception"}, {Name: ":exception-type", Value: f.Type}, {Name: ":content-type", Value: e.format.ContentType()}},
		wire.Encode(e.format, nil, &f))
}

func (e *events) send(kind string, payload []byte) bool {
	return e.message([]wire.Header{{Name: ":message-type", Value: "event"}, {Name: ":event-type", Value: kind}, {Name: ":content-type", Value: e.format.ContentType()}}, payload)
}

// message writes one message at once. It reports whether the client still reads.
func (e *events) message(headers []wire.Header, payload []byte) bool {
	e.frame = wire.AppendMessage(e.frame[:0], wire.Message{Headers: headers, Payload: payload})
	// Not every transport has deadlines; one without is the test's.
	_ = e.to.SetWriteDeadline(time.Now().Add(writePatience))
	if _, err := e.w.Write(e.frame); err != nil {
		return false
	}
	return e.to.Flush() == nil
}
