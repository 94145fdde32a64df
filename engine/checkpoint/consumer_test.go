package checkpoint_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// shardLog is a shard in memory. A test may add frames, seal it, trim it and close it.
type shardLog struct {
	stream.Log

	mu      sync.Mutex
	frames  []stream.Frame
	oldest  record.Ordinal
	next    record.Ordinal
	sealed  bool
	closed  bool
	reads   int
	updated chan struct{}
}

func newLog() *shardLog { return &shardLog{updated: make(chan struct{})} }

// add stores n records as one frame.
func (l *shardLog) add(n int, arrival int64) *shardLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b record.Batch
	for i := range n {
		b.Add([]byte("k"), fmt.Append(nil, int(l.next)+i), 0)
	}
	l.frames = append(l.frames, stream.Frame{First: l.next, Count: n, Arrival: arrival, Body: slices.Clone(b.Body(0))})
	l.next += record.Ordinal(n)
	l.tell()
	return l
}

func (l *shardLog) seal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed = true
	l.tell()
}

func (l *shardLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	close(l.updated)
}

func (l *shardLog) tell() {
	close(l.updated)
	l.updated = make(chan struct{})
}

func (l *shardLog) trim(to record.Ordinal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.oldest = to
}

func (l *shardLog) Read(_ context.Context, from record.Ordinal, buf *stream.Buffer) ([]stream.Frame, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if from < l.oldest {
		return nil, stream.ErrTrimmed
	}
	for _, f := range l.frames {
		if f.Next() > from {
			return []stream.Frame{f}, nil
		}
	}
	return nil, nil
}

func (l *shardLog) Bounds() stream.Bounds {
	l.mu.Lock()
	defer l.mu.Unlock()
	return stream.Bounds{Oldest: l.oldest, Next: l.next, Closed: l.sealed}
}

func (l *shardLog) Updated() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.updated
}

// basket collects records per shard, as their data.
type basket struct {
	mu   sync.Mutex
	data map[record.ShardID][]string
	fail error
}

func newBasket() *basket { return &basket{data: map[record.ShardID][]string{}} }

func (b *basket) process(_ context.Context, l *checkpoint.Lease, frames []stream.Frame) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	for _, f := range frames {
		body := f.Body
		for range f.Count {
			r, rest, err := record.Next(body)
			if err != nil {
				return err
			}
			b.data[l.Shard()] = append(b.data[l.Shard()], string(r.Data))
			body = rest
		}
	}
	return nil
}

func (b *basket) of(id record.ShardID) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.data[id])
}

// numbers are from up to to as text.
func numbers(from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func logs(l map[record.ShardID]*shardLog) func(record.ShardID) stream.Log {
	return func(id record.ShardID) stream.Log {
		if log, ok := l[id]; ok {
			return log
		}
		return nil
	}
}

func TestConsumerReadsOnAndEndsWithAClosedShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log, b := groupOf(t, 1), newLog().add(5, 1), newBasket()
		c := checkpoint.Consumer{Log: logs(map[record.ShardID]*shardLog{0: log}), Process: b.process}
		g.join("a", c.Handle)
		synctest.Wait()
		log.add(3, 2)
		log.add(2, 3)
		synctest.Wait()
		if got := g.lease(0); got.Position != 10 || got.Ended {
			t.Errorf("lease %+v", got)
		}
		log.seal()
		synctest.Wait()
		if got := g.lease(0); !got.Ended || !slices.Equal(b.of(0), numbers(0, 10)) {
			t.Errorf("lease %+v, read %v", got, b.of(0))
		}
	})
}

func TestConsumerBeginsInTheMiddleOfAFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log, b := groupOf(t, 1), newLog().add(5, 1).add(5, 1), newBasket()
		c := checkpoint.Consumer{Log: logs(map[record.ShardID]*shardLog{0: log}), Process: b.process}
		g.join("a", c.Handle, func(c *checkpoint.LeaseConfig) {
			c.Start = func(context.Context, []checkpoint.ShardInfo) (map[record.ShardID]record.Ordinal, error) {
				return map[record.ShardID]record.Ordinal{0: 3}, nil
			}
		})
		synctest.Wait()
		if got := b.of(0); !slices.Equal(got, numbers(3, 10)) {
			t.Errorf("read %v", got)
		}
	})
}

func TestConsumerCountsWhatExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log, b := groupOf(t, 1), newLog().add(5, 1).add(5, 1), newBasket()
		log.trim(7)
		var expired int64
		c := checkpoint.Consumer{
			Log: logs(map[record.ShardID]*shardLog{0: log}), Process: b.process,
			Expired: func(_ *checkpoint.Lease, n int64) { expired += n },
		}
		g.join("a", c.Handle)
		synctest.Wait()
		if got := b.of(0); expired != 7 || !slices.Equal(got, numbers(7, 10)) || g.lease(0).Position != 10 {
			t.Errorf("expired %d, read %v, lease %+v", expired, got, g.lease(0))
		}
	})
}

func TestConsumerThatCheckpointsSeldomRecordsWhatItDidWhenItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log, b := groupOf(t, 1), newLog(), newBasket()
		// A shard that always has more to read gives no other occasion to checkpoint.
		endless := func(ctx context.Context, l *checkpoint.Lease, frames []stream.Frame) error {
			log.add(1, 1)
			time.Sleep(time.Second)
			return b.process(ctx, l, frames)
		}
		log.add(1, 1)
		c := checkpoint.Consumer{Log: logs(map[record.ShardID]*shardLog{0: log}), Process: endless, Every: time.Minute}
		w := g.join("a", c.Handle)
		pass(30 * time.Second)
		if s := w.Stats(); s.Checkpoints != 0 {
			t.Errorf("%d checkpoints in half of Every", s.Checkpoints)
		}
		w.cancel()
		_ = w.wait()
		if got := g.lease(0).Position; got == 0 || int(got) != len(b.of(0)) {
			t.Errorf("position %d after %d records", got, len(b.of(0)))
		}
	})
}

func TestConsumersErrorsNameTheShard(t *testing.T) {
	broken := errors.New("bucket is gone")
	for name, c := range map[string]struct {
		log  *shardLog
		fail error
		want error
	}{
		"no such shard": {nil, nil, stream.ErrNotFound},
		"process":       {newLog().add(1, 1), broken, broken},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBasket()
				b.fail = c.fail
				all := map[record.ShardID]*shardLog{}
				if c.log != nil {
					all[0] = c.log
					c.log.updated = make(chan struct{})
				}
				err := groupOf(t, 1).join("a", checkpoint.Consumer{Log: logs(all), Process: b.process}.Handle).wait()
				if !errors.Is(err, c.want) {
					t.Errorf("run: %v, want %v", err, c.want)
				}
			})
		})
	}
}

func TestClosedLogEndsTheConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog().add(1, 1)
		c := checkpoint.Consumer{Log: logs(map[record.ShardID]*shardLog{0: log}), Process: newBasket().process}
		w := groupOf(t, 1).join("a", c.Handle)
		synctest.Wait()
		log.close()
		if err := w.wait(); !errors.Is(err, stream.ErrClosed) {
			t.Errorf("run: %v", err)
		}
	})
}

func TestWorkersShareAStreamAcrossASplitAndDeaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, b := groupOf(t, 3), newBasket()
		all := map[record.ShardID]*shardLog{}
		for id := range record.ShardID(6) {
			all[id] = newLog()
		}
		c := checkpoint.Consumer{Log: logs(all), Process: b.process}
		workers := []*running{g.join("a", c.Handle), g.join("b", c.Handle), g.join("c", c.Handle)}
		fill := func(ids ...record.ShardID) {
			for _, id := range ids {
				all[id].add(10, 1)
			}
		}
		for range 5 {
			fill(0, 1, 2)
			pass(expiry)
		}
		g.child(3, 1)
		g.child(4, 1)
		all[1].seal()
		fill(3, 4)
		workers[1].die()
		for range 5 {
			fill(0, 2, 3, 4)
			pass(expiry)
		}
		workers = []*running{workers[0], workers[2], g.join("d", c.Handle)}
		g.child(5, 0, 4)
		all[0].seal()
		all[4].seal()
		fill(5, 2)
		pass(5 * expiry)
		if got := spread(workers); !slices.Equal(got, []int{1, 1, 1}) {
			t.Errorf("the workers hold %v", got)
		}
		got := map[record.ShardID]int{}
		for id := range all {
			got[id] = len(b.of(id))
			if !slices.Equal(b.of(id), numbers(0, got[id])) {
				t.Errorf("%s: read %v", id, b.of(id))
			}
		}
		if want := map[record.ShardID]int{0: 100, 1: 50, 2: 110, 3: 60, 4: 60, 5: 10}; !maps.Equal(got, want) {
			t.Errorf("records read %v, want %v", got, want)
		}
	})
}
