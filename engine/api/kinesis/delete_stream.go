package kinesis

import (
	"context"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream"
)

type deleteStreamInput struct {
	target
	enforce *bool
}

func (in *deleteStreamInput) Fields(f *wire.Fields) {
	in.fields(f)
	f.Bool("EnforceConsumerDeletion", &in.enforce)
}

// deleteStream is DeleteStream. The records are gone when it returns; the name is seen a moment longer.
func (s *Service) deleteStream(ctx context.Context, in *deleteStreamInput) error {
	st, err := s.known(ctx, &in.target)
	if err != nil {
		return err
	}
	e, err := s.extras.get(ctx, st)
	if err != nil {
		return err
	}
	name := st.Name()
	if len(e.Consumers) > 0 && !value(in.enforce) {
		return inUse("Stream %s under account %s has %d registered consumers; deregister them, or set EnforceConsumerDeletion.", name, s.o.Account, len(e.Consumers))
	}
	gone := st.Describe()
	if other, ok := s.states.begin(name, state{status: stream.Deleting, gone: &gone}); !ok {
		return s.notActive(name, other.status)
	}
	s.subscriptions.end(s.noStream(name), func(k subscriptionKey) bool { return k.stream == name })
	// What is left of the document after a crash is of another incarnation than the next stream.
	err = s.o.Streams.Delete(ctx, name)
	if err == nil {
		err = s.extras.forget(ctx, name)
	}
	s.states.end(name, err)
	return err
}
