package pipelines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/column/versions"
	streams "github.com/millrace-io/millrace/engine/stream"
)

// gatherEvery is how often the streams are looked at while records are waited for.
const gatherEvery = 20 * time.Millisecond

// gather lets the sources run until the streams whose schema is not known have enough records, and returns
// what they did by their names.
func (p *Pipeline) gather(ctx context.Context, o ResolveOptions) (map[string]SourceStatus, error) {
	var missing []*Stream
	err := untilRoom(ctx, o.Run, func() (err error) {
		missing, err = p.unsampled(ctx, o.Run)
		return err
	})
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	part := *p
	part.Transforms, part.Queries, part.Sinks = nil, nil, nil
	part.Sources = slices.DeleteFunc(slices.Clone(p.Sources), func(s *Source) bool {
		return !s.Component.AnyStream && !slices.ContainsFunc(missing, func(x *Stream) bool { return x.Name == s.To })
	})
	if len(part.Sources) == 0 {
		return nil, nil // what is stored has to do
	}
	var names []string
	for _, x := range missing {
		names = append(names, fmt.Sprintf("%s (%d records, or %s after the first)", x.Name, x.Infer.Sample, x.Infer.Wait))
	}
	o.Say("waiting for records to infer the schema of " + strings.Join(names, ", "))
	enough := make(chan struct{})
	r, err := Open(ctx, &part, o.Run)
	if err != nil {
		return nil, err
	}
	r.o.Stop = enough
	done := make(chan struct{})
	var watching sync.WaitGroup
	stopped := false
	watching.Go(func() {
		stopped = r.awaitRecords(missing, o.Run.Stop, done)
		close(enough)
	})
	err = r.Wait(ctx)
	close(done)
	watching.Wait()
	did := map[string]SourceStatus{}
	for _, s := range r.sources {
		did[s.spec.Name] = s.status()
	}
	if err = errors.Join(err, r.Close()); err == nil && stopped {
		err = ErrUnsampled
	}
	return did, err
}

// awaitRecords returns once all streams have the records that they wait for, or done is closed; or,
// with true, when stop is.
func (r *Run) awaitRecords(missing []*Stream, stop, done <-chan struct{}) (stopped bool) {
	tick := time.NewTicker(gatherEvery)
	defer tick.Stop()
	first := map[string]time.Time{}
	for {
		left := len(missing)
		for _, x := range missing {
			n, _ := r.feeds[x.Name].records()
			if n > 0 && first[x.Name].IsZero() {
				first[x.Name] = time.Now()
			}
			if n >= int64(x.Infer.Sample) || n > 0 && time.Since(first[x.Name]) >= x.Infer.Wait {
				left--
			}
		}
		if left == 0 {
			return false
		}
		select {
		case <-tick.C:
		case <-done:
			return false
		case <-stop:
			return true
		}
	}
}

// unsampled are the streams with neither a schema nor enough records to infer one from.
func (p *Pipeline) unsampled(ctx context.Context, o Options) (missing []*Stream, err error) {
	if len(p.Unknown) == 0 {
		return nil, nil
	}
	backend, err := openData(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, backend.Close()) }()
	for _, x := range p.Unknown {
		s, err := streams.Open(ctx, backend, x.spec())
		if err != nil {
			return nil, err
		}
		v, err := versions.Latest(ctx, backend.Meta(), x.Name, s.Incarnation())
		n, _ := newFeed(s).records()
		if err = errors.Join(err, s.Close()); err != nil {
			return nil, err
		}
		if v.Number == 0 && n < int64(x.Infer.Sample) {
			missing = append(missing, x)
		}
	}
	return missing, nil
}
