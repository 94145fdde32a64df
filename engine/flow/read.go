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
func (t *Task) readShard(ctx context.Context, r *reader) (int, error) {
	if !r.reading || r.next >= r.limit {
		return 0, nil
	}
	frames, err := r.log.Read(ctx, r.next, &t.buffer)
	if errors.Is(err, stream.ErrTrimmed) && r.limit == noLimit {
		return t.expire(r), nil
	}
	if damage := (*stream.CorruptError)(nil); errors.As(err, &damage) {
		return t.damaged(r, damage)
	}
	if err != nil {
		return 0, Permanent(err)
	}
	start := r.next
	if r.oldest == 0 && len(frames) > 0 {
		r.oldest = frames[0].Arrival
	}
	for _, f := range frames {
		if err := t.decode(ctx, r, f, frames); err != nil {
			return 0, err
		}
	}
	if err := t.flush(ctx, r, frames); err != nil {
		return 0, err
	}
	n := int(r.next - start)
	if n > 0 {
		r.active = t.Now()
		t.touch()
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
func (t *Task) expire(r *reader) int {
	return t.pass(r, r.log.Bounds().Oldest, "records expired before they were read")
}

// damaged stops at damaged records, or goes on behind them if that was asked for.
func (t *Task) damaged(r *reader, damage *stream.CorruptError) (int, error) {
	if t.SkipDamaged && r.limit == noLimit && damage.Next > r.next {
		return t.pass(r, damage.Next, "damaged records are skipped: "+damage.Error()), nil
	}
	return 0, Permanent(fmt.Errorf("%w; restore the file from a backup, or run once with --skip-damaged to go on behind the damage and count the records as expired", damage))
}

// pass moves a reader over records that cannot be read any more.
func (t *Task) pass(r *reader, to record.Ordinal, why string) int {
	lost := to - r.next
	if lost <= 0 {
		return 0
	}
	t.Log.Warn(why, "task", t.Identity.Name, "stream", t.Input.Name, "shard", r.id.String(), "records", int64(lost))
	t.ledger[0].In += int64(lost)
	t.ledger[0].Expired += int64(lost)
	r.next = to
	t.touch()
	return int(lost)
}

// decode adds the records of a frame to the open batch.
func (t *Task) decode(ctx context.Context, r *reader, f stream.Frame, frames []stream.Frame) error {
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
		if t.Input.UserRecords {
			err = t.addUsers(ctx, r, rec.Data, ordinal, f.Arrival, frames)
		} else {
			err = t.add(ctx, r, rec.Data, row{ordinal: ordinal, arrival: f.Arrival}, frames)
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

// add adds a row to the open batch, which goes on once it is full.
func (t *Task) add(ctx context.Context, r *reader, data []byte, at row, frames []stream.Frame) error {
	t.ledger[0].In++
	if err := t.decoder.Add(data, at.ordinal, at.arrival); err != nil {
		t.rejectRecord(at, data, err)
	} else if t.Input.UserRecords {
		t.subs = append(t.subs, at.sub)
	}
	if t.decoder.Len() < maxBatchRows && t.decoder.Bytes() < maxBatchBytes && len(t.rejects) < maxBatchRows {
		return nil
	}
	return t.flush(ctx, r, frames)
}

// addUsers adds the user records of a record. Those whose hash keys are another shard's are left out, as the Kinesis
// Client Library does: their producer saw from the answer where they came to and puts them again. The position is that
// of the record, and a chunk is never cut within one.
func (t *Task) addUsers(ctx context.Context, r *reader, data []byte, ordinal record.Ordinal, arrival int64, frames []stream.Frame) error {
	at := row{ordinal: ordinal, arrival: arrival}
	if !t.users.Open(data) {
		return t.add(ctx, r, data, at, frames)
	}
	for u, more := t.users.Next(); more; u, more = t.users.Next() {
		if !r.keys.Contains(u.Hash) {
			t.ledger[0].In++
			t.ledger[0].Filtered++
			continue
		}
		at.sub = int32(u.Sub)
		if err := t.add(ctx, r, u.Data, at, frames); err != nil {
			return err
		}
	}
	return nil
}

// rejectRecord keeps a record that is not a row of the schema.
func (t *Task) rejectRecord(at row, data []byte, err error) {
	t.ledger[0].Bad++
	code := "parse-error"
	var row *column.RowError
	if errors.As(err, &row) {
		code = row.Code
	}
	t.rejects = append(t.rejects, reject{step: t.Input.Name, undecoded: true, row: at, code: code, reason: err.Error(), data: data})
}

// flush sends the open batch through the steps into the processor and keeps what was rejected.
func (t *Task) flush(ctx context.Context, r *reader, frames []stream.Frame) error {
	if t.decoder.Len() > 0 {
		b := t.decoder.Take(column.Origin{Stream: t.Input.Name, Shard: r.id})
		if b.Origin.Subs = nil; t.Input.UserRecords {
			b.Origin.Subs = t.subs
		}
		err := t.process(ctx, r, b, frames)
		t.decoder.Release(b)
		t.subs = t.subs[:0]
		if err != nil {
			return err
		}
	}
	if len(t.rejects) == 0 {
		return nil
	}
	slices.SortStableFunc(t.rejects, func(a, b reject) int { return cmp.Or(cmp.Compare(a.ordinal, b.ordinal), cmp.Compare(a.sub, b.sub)) })
	for _, x := range t.rejects {
		if err := t.keep(r.id, x); err != nil {
			return err
		}
	}
	t.rejects = t.rejects[:0]
	return nil
}

// process sends one batch on.
func (t *Task) process(ctx context.Context, r *reader, b *column.Batch, frames []stream.Frame) error {
	b = t.stamp(r, b, frames)
	t.ledger[0].Passed += int64(b.Selected())
	t.status.sample(0, t.Now(), b)
	for i, s := range t.Steps {
		out, outcome, err := s.Transform.Apply(b)
		if err != nil {
			return Permanent(fmt.Errorf("transform %q: %w", s.Name, err))
		}
		outcome.Counts.In, outcome.Counts.Passed = int64(b.Selected()), int64(out.Selected())
		t.ledger[i+1].Counts.Add(outcome.Counts)
		t.rejectRows(s.Name, b, outcome.Rejects, frames)
		b = out
		t.status.sample(i+1, t.Now(), b)
	}
	if b.Selected() == 0 {
		return nil
	}
	outcome, err := t.Processor.Add(ctx, b)
	if err != nil {
		return Permanent(named(err))
	}
	outcome.Counts.In = int64(b.Selected())
	t.ledger[len(t.ledger)-1].Counts.Add(outcome.Counts)
	t.rejectRows(t.Identity.Name, b, outcome.Rejects, frames)
	return nil
}

// stamp puts the shard's watermark before each row and takes rows out that claim to be from the
// far future.
func (t *Task) stamp(r *reader, b *column.Batch, frames []stream.Frame) *column.Batch {
	if t.Input.Arrival {
		return t.stampArrivals(r, b)
	}
	if t.event < 0 {
		return b
	}
	events := b.Columns[t.event]
	t.marks = slices.Grow(t.marks[:0], b.Rows)[:b.Rows]
	delay, future := t.Input.Delay.Microseconds(), maxFuture.Microseconds()
	mark := r.watermark
	var bad []Reject
	for i := range b.Rows {
		t.marks[i] = mark
		if events.IsNull(i) {
			continue
		}
		at := events.Int64s[i]
		if at > b.Origin.Arrivals[i]*1000+future {
			bad = append(bad, Reject{Row: i, Code: codeFarFuture, Reason: fmt.Sprintf("%s lies more than %s after the record's arrival", t.Input.EventTime, maxFuture)})
			continue
		}
		mark = max(mark, at-delay)
	}
	r.watermark = mark
	out := *b
	out.Watermarks = t.marks
	if len(bad) > 0 {
		t.ledger[0].Bad += int64(len(bad))
		t.rejectRows(t.Input.Name, b, bad, frames)
		out.Selection = without(b, bad)
	}
	return &out
}

// stampArrivals puts the arrival of the record before it before each row. Arrivals do not go back in
// a shard, so no row is late by them.
func (t *Task) stampArrivals(r *reader, b *column.Batch) *column.Batch {
	t.marks = t.marks[:0]
	for _, at := range b.Origin.Arrivals {
		t.marks = append(t.marks, r.watermark)
		r.watermark = max(r.watermark, 1000*at)
	}
	out := *b
	out.Watermarks = t.marks
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
