package pipelines

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sources"
)

// maxSampled is how many bytes of records a sample has at most, one larger record aside.
const maxSampled = 64 << 20

// sampleTime is how long a source without an end is listened to.
const sampleTime = 3 * time.Second

// Sample is the first n records that a source would write, fewer if its input ends before, and what came within
// sampleTime if it has no end. Nothing is stored and no position moves. rejected counts pieces of input that could not
// become records, of those that were looked at.
func Sample(ctx context.Context, c sources.Component, cfg any, n int) (records [][]byte, rejected int64, err error) {
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	s := &sampler{left: n, enough: enough}
	source, err := c.Open(cfg, sources.Env{
		Pipeline: "sample", Name: "sample", Log: silent(), Now: time.Now, Status: func(error) {}, Progress: func(int64, int64) {},
		Reject: func(context.Context, sources.Rejected) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.rejected++
			return nil
		},
	})
	if err != nil {
		return nil, 0, err
	}
	if !source.Bounded() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, sampleTime)
		defer cancel()
	}
	err = source.Run(ctx, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left <= 0 || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return s.records, s.rejected, err
}

// sampler is a stream that keeps the first records in memory.
type sampler struct {
	enough context.CancelFunc

	mu       sync.Mutex // guards what follows
	left     int
	size     int
	records  [][]byte
	rejected int64
}

// Write implements sources.Writer.
func (s *sampler) Write(ctx context.Context, b *record.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	body := b.Body(0)
	for range b.Len() {
		r, rest, err := record.Next(body)
		if err != nil {
			return fmt.Errorf("sample: %w", err)
		}
		if body = rest; s.left <= 0 {
			break
		}
		s.left--
		if s.size += len(r.Data); s.size >= maxSampled {
			s.left = 0
		}
		s.records = append(s.records, append([]byte(nil), r.Data...))
	}
	if s.left <= 0 {
		s.enough()
		return context.Canceled
	}
	return ctx.Err()
}

// TryWrite implements sources.Writer.
func (s *sampler) TryWrite(ctx context.Context, b *record.Batch) error { return s.Write(ctx, b) }

// Position implements sources.Writer: nothing was read before.
func (s *sampler) Position(uint64) (int64, bool) { return 0, false }

// Flush implements sources.Writer.
func (s *sampler) Flush(context.Context, record.Producer, int64) error { return nil }
