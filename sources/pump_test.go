package sources_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sources"
	"github.com/millrace-io/millrace/sources/sourcestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var producer = record.Producer{ID: 7, Epoch: 1}

func fill(n int64) func(context.Context, *sources.Pump) error {
	return func(ctx context.Context, p *sources.Pump) error {
		for i := range n {
			b, err := p.Next(ctx)
			if err != nil {
				return err
			}
			if b.Len() != 0 || b.End != 0 {
				return errors.New("a used batch")
			}
			b.Producer, b.End = producer, i+1
			b.Add([]byte("key"), fmt.Append(nil, i), i+1)
			if err := p.Send(ctx, b); err != nil {
				return err
			}
		}
		return p.Flush(ctx, producer, n+1)
	}
}

func TestPumpWritesInOrderAndFlushesLast(t *testing.T) {
	s := sourcestest.New(2)
	if err := sources.RunPump(t.Context(), s, fill(100)); err != nil {
		t.Fatal(err)
	}
	all := s.Records()
	if len(all) != 100 || all[99].Data != "99" {
		t.Fatalf("%d records", len(all))
	}
	if position, ok := s.Position(producer.ID); !ok || position != 101 {
		t.Fatal(position, ok)
	}
}

func TestPumpStopsWhenAWriteFails(t *testing.T) {
	s := sourcestest.New(1)
	s.CrashAfter(10)
	if err := sources.RunPump(t.Context(), s, fill(1000)); !errors.Is(err, sourcestest.ErrCrash) {
		t.Fatal(err)
	}
}

func TestPumpReturnsTheErrorOfFillAndWritesNothingLate(t *testing.T) {
	broken := errors.New("broken")
	err := sources.RunPump(t.Context(), sourcestest.New(1), func(context.Context, *sources.Pump) error { return broken })
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

func TestStoppedPumpIsNoError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &slow{Stream: sourcestest.New(1), entered: make(chan struct{})}
	done := make(chan error)
	go func() { done <- sources.RunPump(ctx, s, fill(1000)) }()
	<-s.entered
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// slow never finishes a write before ctx is done.
type slow struct {
	*sourcestest.Stream
	entered chan struct{}
}

func (s *slow) Write(ctx context.Context, _ *record.Batch) error {
	close(s.entered)
	<-ctx.Done()
	return fmt.Errorf("stream is full: %w", ctx.Err())
}

// counted counts the batches that were written.
type counted struct {
	sources.Writer
	written int
}

func (c *counted) Write(ctx context.Context, b *record.Batch) error {
	err := c.Writer.Write(ctx, b)
	c.written++
	return err
}

func TestABatchAloneWaitsForTheOthers(t *testing.T) {
	w := &counted{Writer: sourcestest.New(2)}
	err := sources.RunPump(t.Context(), w, func(ctx context.Context, p *sources.Pump) error {
		for i := range int64(12) {
			next := p.Next
			if i%4 == 3 {
				next = p.Alone
			}
			b, err := next(ctx)
			if err != nil {
				return err
			}
			if i%4 == 3 && w.written != int(i) {
				t.Errorf("%d batches written of %d", w.written, i)
			}
			b.Producer, b.End = producer, i+1
			b.Add([]byte("key"), []byte("data"), i+1)
			if err := p.Send(ctx, b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || w.written != 12 {
		t.Fatal(w.written, err)
	}
}

func TestBatchesAreAsLargeAsTheMemoryAllows(t *testing.T) {
	for _, c := range []struct {
		memory int64
		want   int
	}{{0, 2 << 20}, {64 << 20, 2 << 20}, {4 << 20, 1 << 20}, {1000, 128 << 10}} {
		if got := (sources.Env{Memory: c.memory}).BatchSize(2 << 20); got != c.want {
			t.Errorf("batches of %d bytes with a memory of %d, want %d", got, c.memory, c.want)
		}
	}
}
