package kinesis

import (
	"context"
	"net/http"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
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
	// askAgain is how often a subscription's right is looked at.
	askAgain = time.Second
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

// subscribeToShard is SubscribeToShard. An error that is returned is not answered yet.
func (s *Service) subscribeToShard(w http.ResponseWriter, r *http.Request, asked *call, format wire.Format, b *buffers) error {
	in := &subscribeInput{}
	if err := asked.decode(r.Context(), format, b.body, in); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(r.Context())
	defer stop(nil)
	st, consumer, err := s.findConsumer(ctx, &consumerInput{arn: in.arn})
	if err != nil {
		return err
	}
	if err := s.active(st.Name(), consumer); err != nil {
		return err
	}
	sh, err := s.shardIn(st, *in.shard)
	if err != nil {
		return err
	}
	if err := s.paceIn("SubscribeToShard", st.Name(), sh, s.consumerARN(st.Name(), consumer)); err != nil {
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
	k := subscriptionKey{st.Name(), s.consumerARN(st.Name(), consumer), sh.ID}
	if !s.subscriptions.begin(k, mine, inUse("Another subscription of consumer %s took the place of this one.", k.consumer)) {
		return inUse("Another active subscription exists for this consumer: %s:%s", s.o.Account, k.consumer)
	}
	defer s.subscriptions.leave(k, mine)
	c, err := s.cursor(st, position{st.Name(), st.Incarnation(), sh.ID, next})
	if err != nil {
		return err
	}
	over := time.AfterFunc(subscriptionLife, func() { stop(errOver) })
	defer over.Stop()
	e := &events{
		w: w, to: http.NewResponseController(w), format: format, cursor: c, asked: mine.since,
		still: func(ctx context.Context) error { return asked.again(ctx, r, in) },
	}
	if hasty(r) {
		pause(ctx, lateEvents)
	}
	h := w.Header()
	wire.SetIDs(h, asked.id)
	h.Set("Content-Type", wire.TypeEventStream)
	w.WriteHeader(http.StatusOK)
	e.run(ctx)
	return nil
}
