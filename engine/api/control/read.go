package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/capacity"
)

// Read implements Records.
func (l *Local) Read(ctx context.Context, r ReadRequest) (Page, error) {
	s, err := l.stream(ctx, r.Stream)
	if err != nil {
		return Page{}, fmt.Errorf("read stream %q: %w", r.Stream, err)
	}
	page, err := read(ctx, s, r)
	if err != nil {
		return Page{}, fmt.Errorf("read stream %q: %w", r.Stream, err)
	}
	return page, nil
}

func read(ctx context.Context, s *stream.Stream, r ReadRequest) (Page, error) {
	p := &pager{stream: s, limit: r.Limit}
	if p.limit <= 0 || p.limit > MaxRead {
		p.limit = MaxRead
	}
	var err error
	if r.Cursor == "" {
		p.cursor, err = begin(ctx, s, r)
	} else {
		p.cursor, err = decodeCursor(r.Cursor, s.Name(), s.Incarnation())
	}
	if err != nil {
		return Page{}, err
	}
	if err := p.wait(ctx, time.Duration(r.WaitMillis)*time.Millisecond); err != nil {
		return Page{}, err
	}
	p.page.Cursor, err = p.cursor.encode()
	return p.page, err
}

// begin is the cursor in front of the first page.
func begin(ctx context.Context, s *stream.Stream, r ReadRequest) (*cursor, error) {
	c := &cursor{Stream: s.Name(), Incarnation: s.Incarnation()}
	if r.From.Sequence != "" {
		return c, c.at(ctx, s, r)
	}
	for _, sh := range s.Shards() {
		log := s.Log(sh.ID)
		if log == nil || r.Shard != nil && sh.ID != *r.Shard {
			continue
		}
		next, err := firstIn(ctx, log, r.From)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sh.ID, err)
		}
		c.Places = append(c.Places, place{Shard: sh.ID, Next: next})
	}
	if c.Only = r.Shard != nil; c.Only && len(c.Places) == 0 {
		return nil, absent(s, *r.Shard)
	}
	return c, nil
}

// at makes the cursor stand at a sequence number.
func (c *cursor) at(ctx context.Context, s *stream.Stream, r ReadRequest) error {
	q, err := stream.ParseSequence(r.From.Sequence)
	if err != nil {
		return err
	}
	if r.Shard != nil && *r.Shard != q.Shard {
		return fmt.Errorf("%w: the sequence number is one of %s, not of %s", stream.ErrInvalid, q.Shard, r.Shard)
	}
	next, err := s.Iterator(ctx, q.Shard, stream.From{Type: stream.AtSequence, Sequence: r.From.Sequence})
	c.Only = true
	c.Places = []place{{Shard: q.Shard, Next: next}}
	var trimmed *stream.TrimmedError
	switch {
	case errors.As(err, &trimmed):
		return fmt.Errorf("%w: retention took what %s had before record %d; begin with earliest", stream.ErrTrimmed, q.Shard, trimmed.Oldest)
	case errors.Is(err, stream.ErrNotFound):
		return absent(s, q.Shard)
	}
	return err
}

// absent is the error of a shard that the stream does not have. Numbers of shards rise, and one that is
// gone was closed, so others follow it.
func absent(s *stream.Stream, id record.ShardID) error {
	if slices.ContainsFunc(s.Shards(), func(sh stream.Shard) bool { return sh.ID > id }) {
		return fmt.Errorf("%w: %s was closed and retention took all its records; those that are left are in the shards that follow it, begin with earliest", stream.ErrTrimmed, id)
	}
	return fmt.Errorf("%s: %w", id, stream.ErrNotFound)
}

// firstIn is where reading a shard begins.
func firstIn(ctx context.Context, log stream.Log, from From) (record.Ordinal, error) {
	b := log.Bounds()
	switch {
	case from.Latest:
		return b.Next, nil
	case from.Last > 0:
		return max(b.Oldest, b.Next-record.Ordinal(from.Last)), nil
	case !from.Time.IsZero():
		next, err := log.Seek(ctx, from.Time)
		return max(next, b.Oldest), err
	}
	return b.Oldest, nil
}

// pager fills a page.
type pager struct {
	stream *stream.Stream
	cursor *cursor
	limit  int
	bytes  int
	buffer stream.Buffer
	page   Page
	// throttled is set when a shard gives no more for now.
	throttled error
	// passed are shards known to be due, so that a long lineage is looked at once.
	passed map[record.ShardID]bool
}

func (p *pager) full() bool { return len(p.page.Records) >= p.limit || p.bytes >= maxPage }

// wait fills the page, and tries again until there is something or the time is over.
func (p *pager) wait(ctx context.Context, d time.Duration) error {
	p.page.Records = []Stored{}
	timer := time.NewTimer(min(max(d, 0), MaxWait))
	defer timer.Stop()
	for {
		// Asked for before reading, so that what arrives in between is not slept through.
		var updated <-chan struct{}
		if d > 0 {
			updated = p.stream.Updated()
		}
		if err := p.fill(ctx); err != nil {
			return err
		}
		if p.throttled != nil && p.empty() {
			return p.throttled
		}
		if d <= 0 || !p.empty() || p.page.Ended {
			return nil
		}
		select {
		case <-updated:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// empty reports whether the page tells nothing yet.
func (p *pager) empty() bool {
	return len(p.page.Records) == 0 && p.page.Expired == 0 && len(p.page.Damaged) == 0
}

// fill reads from each shard in turn until the page is full or there is nothing more.
func (p *pager) fill(ctx context.Context) error {
	p.join()
	p.throttled = nil
	idle := 0
	for !p.full() && idle < len(p.cursor.Places) {
		if p.cursor.Turn >= len(p.cursor.Places) {
			p.cursor.Turn = 0
		}
		at := &p.cursor.Places[p.cursor.Turn]
		before := at.Next
		if err := p.shard(ctx, at); err != nil {
			return fmt.Errorf("%s: %w", at.Shard, err)
		}
		if idle++; at.Next != before {
			idle = 0
		}
		if !p.full() {
			p.cursor.Turn++
		}
	}
	p.page.CaughtUp = !p.full() && p.throttled == nil
	p.page.Ended = p.page.CaughtUp && p.ended()
	return nil
}

// join adds the shards that the stream got since the last page; they are read from their
// beginnings, because they had no records then.
func (p *pager) join() {
	if p.cursor.Only {
		return
	}
	for _, sh := range p.stream.Shards() {
		if p.cursor.find(sh.ID) == nil {
			p.cursor.Places = append(p.cursor.Places, place{Shard: sh.ID})
		}
	}
}

func (p *pager) ended() bool {
	for i := range p.cursor.Places {
		if !p.finished(&p.cursor.Places[i]) {
			return false
		}
	}
	return true
}

// finished reports whether a shard was closed and is read to its end, or is gone.
func (p *pager) finished(at *place) bool {
	log := p.stream.Log(at.Shard)
	if log == nil {
		return true
	}
	b := log.Bounds()
	return b.Closed && at.Next >= b.Next
}

// due reports whether all parents of a shard, and theirs, were read: the records of a key stay in
// order across a split or merge. A parent without records is finished before it is due.
func (p *pager) due(id record.ShardID) bool {
	if p.cursor.Only || p.passed[id] {
		return true
	}
	sh, _ := p.stream.Shard(id)
	for _, parent := range sh.Parents {
		if at := p.cursor.find(parent); at != nil && !(p.finished(at) && p.due(parent)) {
			return false
		}
	}
	if p.passed == nil {
		p.passed = map[record.ShardID]bool{}
	}
	p.passed[id] = true
	return true
}

// shard reads once from a shard.
func (p *pager) shard(ctx context.Context, at *place) error {
	log := p.stream.Log(at.Shard)
	// A read counts, also one that brings nothing.
	if log == nil || !p.due(at.Shard) || at.Next == log.Bounds().Next {
		return nil
	}
	frames, err := p.stream.Read(ctx, at.Shard, at.Next, &p.buffer)
	var limit *capacity.ThrottledError
	if errors.As(err, &limit) {
		p.throttled = err
		return nil
	}
	if errors.Is(err, stream.ErrTrimmed) {
		oldest := log.Bounds().Oldest
		p.page.Expired += int64(max(oldest-at.Next, 0))
		at.Next = max(oldest, at.Next)
		return nil
	}
	if err != nil {
		return p.pass(at, err)
	}
	for _, f := range frames {
		if err := p.frame(at, f); err != nil || p.full() {
			return err
		}
	}
	return nil
}

// pass goes on behind a damaged place, which the page tells of.
func (p *pager) pass(at *place, err error) error {
	var damage *stream.CorruptError
	if !errors.As(err, &damage) || damage.Next <= at.Next {
		return err
	}
	p.page.Damaged = append(p.page.Damaged, Damage{Shard: at.Shard, Records: int64(damage.Next - max(damage.From, at.Next)), Text: damage.Error()})
	at.Next = damage.Next
	return nil
}

func (p *pager) frame(at *place, f stream.Frame) error {
	sh, _ := p.stream.Shard(at.Shard)
	body := f.Body
	for i := range f.Count {
		r, rest, err := record.Next(body)
		ordinal := f.First + record.Ordinal(i)
		if err != nil {
			return fmt.Errorf("record %d: %w", ordinal, err)
		}
		body = rest
		if ordinal < at.Next {
			continue
		}
		if p.full() {
			return nil
		}
		at.Next = ordinal + 1
		p.bytes += len(r.Data)
		p.page.Records = append(p.page.Records, Stored{
			Shard:          at.Shard,
			SequenceNumber: sh.Sequence(ordinal, f.Arrival).String(),
			Arrival:        time.UnixMilli(f.Arrival).UTC(),
			Key:            strings.ToValidUTF8(string(r.Key), "\ufffd"),
			Data:           append([]byte(nil), r.Data...),
		})
	}
	return nil
}
