package kinesis

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

const (
	// subscriptionLife is after how long the server ends a subscription, takeover how old one must be before
	// another takes its place (Kinesis API, SubscribeToShard).
	subscriptionLife = 5 * time.Minute
	takeover         = 5 * time.Second
	// heartbeat is how often an event without records is sent.
	heartbeat = 5 * time.Second
	// eventBytes bounds the data of an event, and writePatience how long a client may take to read one.
	eventBytes    = 1 << 20
	writePatience = 30 * time.Second
)

// startingPosition is StartingPosition.
type startingPosition struct {
	kind, number *string
	at           time.Time
}

func (p *startingPosition) Fields(f *wire.Fields) {
	f.Text("Type", &p.kind, iteratorType)
	f.Text("SequenceNumber", &p.number, sequenceNumber)
	f.Time("Timestamp", &p.at, nil)
}

type subscribeInput struct {
	arn, id, shard *string
	from           *startingPosition
	dryRun         *bool
}

var consumerARNNeeded = func() *wire.Rule { r := *consumerARN; r.Required = true; return &r }()

func (in *subscribeInput) Fields(f *wire.Fields) {
	f.Text("ConsumerARN", &in.arn, consumerARNNeeded)
	f.Text("StreamId", &in.id, streamID)
	f.Text("ShardId", &in.shard, nameRequired)
	wire.Struct(f, "StartingPosition", &in.from, required)
	f.Bool("DryRun", &in.dryRun)
}

// subscriptions are those that are open: one for each consumer and shard.
type subscriptions struct {
	mu   sync.Mutex // guards list
	list map[subscriptionKey]*subscription
}

type subscriptionKey struct {
	consumer string
	shard    record.ShardID
}

type subscription struct {
	since time.Time
	stop  context.CancelFunc
}

// begin takes the place of a consumer and shard. An older subscription ends; a young one keeps it.
func (x *subscriptions) begin(k subscriptionKey, s *subscription) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if old := x.list[k]; old != nil {
		if s.since.Sub(old.since) < takeover {
			return false
		}
		old.stop()
	}
	x.list[k] = s
	return true
}

// leave gives the place back, unless another one took it.
func (x *subscriptions) leave(k subscriptionKey, s *subscription) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.list[k] == s {
		delete(x.list, k)
	}
}

// end ends all of a consumer.
func (x *subscriptions) end(consumer string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for k, s := range x.list {
		if k.consumer == consumer {
			s.stop()
		}
	}
}

// subscribeToShard is SubscribeToShard. An error that is returned is not answered yet.
func (s *Service) subscribeToShard(w http.ResponseWriter, r *http.Request, format wire.Format, id string, body []byte) error {
	in := &subscribeInput{}
	if err := decode(format, body, in); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(r.Context(), subscriptionLife)
	defer stop()
	st, _, err := s.findConsumer(ctx, &consumerInput{arn: in.arn})
	if err != nil {
		return err
	}
	sh, err := s.shardIn(st, *in.shard)
	if err != nil {
		return err
	}
	from := stream.From{Type: stream.IteratorType(*in.from.kind), Sequence: value(in.from.number), Time: in.from.at}
	next, err := s.begin(ctx, st, sh, from)
	if err != nil {
		return err
	}
	if value(in.dryRun) {
		return dryRun()
	}
	mine := &subscription{since: s.o.Now(), stop: stop}
	k := subscriptionKey{*in.arn, sh.ID}
	if !s.subscriptions.begin(k, mine) {
		return inUse("Another active subscription exists for this consumer: %s:%s", s.o.Account, *in.arn)
	}
	defer s.subscriptions.leave(k, mine)
	c, err := s.cursor(st, position{st.Name(), st.Incarnation(), sh.ID, next})
	if err != nil {
		return err
	}
	h := w.Header()
	wire.SetIDs(h, id)
	h.Set("Content-Type", wire.TypeEventStream)
	w.WriteHeader(http.StatusOK)
	e := &events{w: w, to: http.NewResponseController(w), format: format, cursor: c}
	e.run(ctx)
	return nil
}

// events writes an event stream.
type events struct {
	w      http.ResponseWriter
	to     *http.ResponseController
	format wire.Format
	cursor *cursor
	frame  []byte
	body   []byte
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
		records, err := e.event(ctx)
		if err != nil {
			e.fail(err)
			return
		}
		if !e.send("SubscribeToShardEvent", e.body) || e.cursor.ended() || ctx.Err() != nil {
			return
		}
		if records > 0 {
			continue
		}
		select {
		case <-updated:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
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
		return 0, nil // the time is over
	}
	defer c.s.memory.Release(2 * eventBytes)
	w := wire.NewWriter(e.format, e.body[:0])
	w.BeginObject()
	w.Name("Records")
	w.BeginArray()
	buffer := readBuffers.Get().(*stream.Buffer)
	defer readBuffers.Put(buffer)
	if err := c.read(ctx, buffer, maxRecords, eventBytes, w); err != nil && ctx.Err() == nil {
		return 0, err
	}
	w.EndArray()
	t := eventTail{behind: c.behind(), number: c.continuation()}
	if c.ended() {
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

// fail tells of an error within the stream.
func (e *events) fail(err error) {
	f := e.cursor.s.faultOf(context.Background(), err)
	e.message([]wire.Header{{Name: ":message-type", Value: "exception"}, {Name: ":exception-type", Value: f.Type}, {Name: ":content-type", Value: e.format.ContentType()}},
		wire.Encode(e.format, nil, f))
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
