package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// readShard takes one read's worth of records and returns how many.
func (l *lane) readShard(ctx context.Context, r *reader) (int, error) {
	if !r.reading || r.next >= r.limit {
		return 0, nil
	}
	frames, err := r.log.Read(ctx, r.next, l.buffer)
	if errors.Is(err, stream.ErrTrimmed) && r.limit == noLimit {
		return l.expire(r), nil
	}
	if damage := (*stream.CorruptError)(nil); errors.As(err, &damage) {
		return l.damaged(r, damage)
	}
	if err != nil {
		return 0, Permanent(err)
	}
	start := r.next
	if r.oldest == 0 && len(frames) > 0 {
		r.oldest = frames[0].Arrival
	}
	for _, f := range frames {
		if err := l.decode(ctx, r, f, frames); err != nil {
			return 0, err
		}
	}
	if err := l.flush(ctx, r, frames); err != nil {
		return 0, err
	}
	n := int(r.next - start)
	if n > 0 {
		r.active = l.t.Now()
	}
	return n, nil
}

// touch opens the chunk's clock at its first record.
func (t *Task) touch() {
	if t.chunk.opened.IsZero() {
		t.chunk.opened = t.Now()
	}
}

// expire moves a reader past records that retention took before they were read.
func (l *lane) expire(r *reader) int {
	return l.pass(r, r.log.Bounds().Oldest, "records expired before they were read")
}

// damaged stops at damaged records, or goes on behind them if that was asked for.
func (l *lane) damaged(r *reader, damage *stream.CorruptError) (int, error) {
	if l.t.SkipDamaged && r.limit == noLimit && damage.Next > r.next {
		return l.pass(r, damage.Next, "damaged records are skipped: "+damage.Error()), nil
	}
	return 0, Permanent(fmt.Errorf("%w; restore the file from a backup, or run once with --skip-damaged to go on behind the damage and count the records as expired", damage))
}

// pass moves a reader over records that cannot be read any more.
func (l *lane) pass(r *reader, to record.Ordinal, why string) int {
	lost := to - r.next
	if lost <= 0 {
		return 0
	}
	l.t.Log.Warn(why, "task", l.t.Identity.Name, "stream", r.feed.Input.Name, "shard", r.feed.shard(r.id).String(), "records", int64(lost))
	in := l.in(r)
	in.In += int64(lost)
	in.Expired += int64(lost)
	r.next = to
	return int(lost)
}

// decode adds the records of a frame to the open batch.
func (l *lane) decode(ctx context.Context, r *reader, f stream.Frame, frames []stream.Frame) error {
	body := f.Body
	for i := range f.Count {
		rec, rest, err := record.Next(body)
		if err != nil {
			return Permanent(fmt.Errorf("record %d: %w", f.First+record.Ordinal(i), err))
		}
		body = rest
		ordinal := f.First + record.Ordinal(i)
		if ordinal < r.next {
			continue
		}
		if ordinal >= r.limit {
			return nil
		}
		r.next = ordinal + 1
		if r.feed.Input.UserRecords {
			err = l.addUsers(ctx, r, rec.Data, ordinal, f.Arrival, frames)
		} else {
			err = l.addRecord(ctx, r, rec.Data, row{ordinal: ordinal, arrival: f.Arrival}, frames)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// row is where a row comes from.
type row struct {
	ordinal record.Ordinal
	sub     int32
	arrival int64
}

// addRecord adds a row to the open batch, which goes on once it is full.
func (l *lane) addRecord(ctx context.Context, r *reader, data []byte, at row, frames []stream.Frame) error {
	l.in(r).In++
	decoder := l.decoders[r.feed.index]
	if err := decoder.Add(data, at.ordinal, at.arrival); err != nil {
		l.rejectRecord(r, at, data, err)
	} else if r.feed.Input.UserRecords {
		l.subs = append(l.subs, at.sub)
	}
	if decoder.Len() < l.rows && decoder.Bytes() < l.bytes && len(l.rejects) < l.rows {
		return nil
	}
	return l.flush(ctx, r, frames)
}

// addUsers adds the user records of a record. Those whose hash keys are another shard's are left out, as the Kinesis
// Client Library does: their producer saw from the answer where they came to and puts them again. The position is that
// of the record, and a chunk is never cut within one.
func (l *lane) addUsers(ctx context.Context, r *reader, data []byte, ordinal record.Ordinal, arrival int64, frames []stream.Frame) error {
	at := row{ordinal: ordinal, arrival: arrival}
	if !l.users.Open(data) {
		return l.addRecord(ctx, r, data, at, frames)
	}
	for u, more := l.users.Next(); more; u, more = l.users.Next() {
		if !r.keys.Contains(u.Hash) {
			l.in(r).In++
			l.in(r).Filtered++
			continue
		}
		at.sub = int32(u.Sub)
		if err := l.addRecord(ctx, r, u.Data, at, frames); err != nil {
			return err
		}
	}
	return nil
}

// rejectRecord keeps a record that is not a row of the schema.
func (l *lane) rejectRecord(r *reader, at row, data []byte, err error) {
	l.in(r).Bad++
	code := "parse-error"
	var row *column.RowError
	if errors.As(err, &row) {
		code = row.Code
	}
	l.rejects = append(l.rejects, reject{step: r.feed.Input.Name, undecoded: true, row: at, code: code, reason: err.Error(), data: data})
}

// flush sends the open batch through the steps into the processor and keeps what was rejected.
func (l *lane) flush(ctx context.Context, r *reader, frames []stream.Frame) error {
	if decoder := l.decoders[r.feed.index]; decoder.Len() > 0 {
		b := decoder.Take(column.Origin{Stream: r.feed.Input.Name, Input: r.feed.index, Shard: r.id})
		if b.Origin.Subs = nil; r.feed.Input.UserRecords {
			b.Origin.Subs = l.subs
		}
		err := l.process(ctx, r, b, frames)
		decoder.Release(b)
		l.subs = l.subs[:0]
		if err != nil {
			return err
		}
	}
	if len(l.rejects) == 0 {
		return nil
	}
	slices.SortStableFunc(l.rejects, func(a, b reject) int { return cmp.Or(cmp.Compare(a.ordinal, b.ordinal), cmp.Compare(a.sub, b.sub)) })
	for _, x := range l.rejects {
		if err := l.t.keep(r, x); err != nil {
			return err
		}
	}
	l.rejects = l.rejects[:0]
	return nil
}

// process sends one batch on.
func (l *lane) process(ctx context.Context, r *reader, b *column.Batch, frames []stream.Frame) error {
	t, f := l.t, r.feed
	b = l.stamp(r, b, frames)
	l.in(r).Passed += int64(b.Selected())
	t.status.sample(f.places[0], t.Now(), b)
	for i, s := range f.steps(l.number) {
		out, outcome, err := s.Transform.Apply(b)
		if err != nil {
			return Permanent(fmt.Errorf("transform %q: %w", s.Name, err))
		}
		outcome.Counts.In, outcome.Counts.Passed = int64(b.Selected()), int64(out.Selected())
		l.counts[f.places[i+1]].Add(outcome.Counts)
		l.rejectRows(s.Name, b, outcome.Rejects, frames)
		b = out
		t.status.sample(f.places[i+1], t.Now(), b)
	}
	if b.Selected() == 0 {
		return nil
	}
	outcome, err := l.add(ctx, b)
	if err != nil {
		return Permanent(named(err))
	}
	outcome.Counts.In = int64(b.Selected())
	l.last().Add(outcome.Counts)
	l.rejectRows(t.Identity.Name, b, outcome.Rejects, frames)
	return nil
}

// stamp puts the shard's watermark before each row and takes rows out that claim to be from the
// far future.
func (l *lane) stamp(r *reader, b *column.Batch, frames []stream.Frame) *column.Batch {
	in := &r.feed.Input
	if in.Arrival {
		return l.stampArrivals(r, b)
	}
	if r.feed.event < 0 {
		return b
	}
	events := b.Columns[r.feed.event]
	l.marks = slices.Grow(l.marks[:0], b.Rows)[:b.Rows]
	delay, future := in.Delay.Microseconds(), maxFuture.Microseconds()
	mark := r.watermark
	var bad []Reject
	for i := range b.Rows {
		l.marks[i] = mark
		if events.IsNull(i) {
			continue
		}
		at := events.Int64s[i]
		if at > b.Origin.Arrivals[i]*1000+future {
			bad = append(bad, Reject{Row: i, Code: codeFarFuture, Reason: fmt.Sprintf("%s lies more than %s after the record's arrival", in.EventTime, maxFuture)})
			continue
		}
		mark = max(mark, at-delay)
	}
	r.watermark = mark
	out := *b
	out.Watermarks = l.marks
	if len(bad) > 0 {
		l.in(r).Bad += int64(len(bad))
		l.rejectRows(in.Name, b, bad, frames)
		out.Selection = without(b, bad)
	}
	return &out
}

// stampArrivals puts the arrival of the record before it before each row. Arrivals do not go back in
// a shard, so no row is late by them.
func (l *lane) stampArrivals(r *reader, b *column.Batch) *column.Batch {
	l.marks = l.marks[:0]
	for _, at := range b.Origin.Arrivals {
		l.marks = append(l.marks, r.watermark)
		r.watermark = max(r.watermark, 1000*at)
	}
	out := *b
	out.Watermarks = l.marks
	return &out
}

// without is the selection of b less the rejected rows, which are in order.
func without(b *column.Batch, rejects []Reject) []int32 {
	rows := make([]int32, 0, b.Selected())
	for i := range int32(b.Rows) {
		if len(rejects) > 0 && rejects[0].Row == int(i) {
			rejects = rejects[1:]
			continue
		}
		rows = append(rows, i)
	}
	return rows
}
