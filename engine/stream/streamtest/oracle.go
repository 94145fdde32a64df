package streamtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

func (s *shardModel) clone() *shardModel {
	c := *s
	c.records = slices.Clip(s.records)
	c.positions = maps.Clone(s.positions)
	c.maybe = slices.Clone(s.maybe)
	c.claims = slices.Clone(s.claims)
	return &c
}

// tails are the lists of records that may follow the first n: what is there now, and what
// operations of unknown outcome may have added to it.
func (s *shardModel) tails(n int) [][]rec {
	if n > len(s.records) {
		return nil
	}
	now := s.records[n:]
	tails := [][]rec{now}
	for _, m := range s.maybe {
		tails = append(tails, append(slices.Clip(now), m...))
	}
	return tails
}

// content is the data of a producer's record: the same each time it is sent.
func content(producer uint64, pos int64) string {
	text := fmt.Sprintf("%d/%d/", producer, pos)
	return text + strings.Repeat(string(rune('a'+pos%26)), int(uint64(pos)*producer*2654435761%700))
}

// append stores one to three batches at once that partly repeat what the shard has. Several of them
// may be of one producer, each behind the one before.
func (h *history) append(s *shardModel) error {
	batches := h.batches(s)
	sent := make([][]rec, len(batches))
	for i, b := range batches {
		sent[i] = s.fresh(b)
		s.claims = append(s.claims, claim{producer: b.Producer.ID, recs: sent[i], end: b.End})
	}
	s.mayStore(batches, sent)
	waits := make([]func() (stream.Appended, error), len(batches))
	for i, b := range batches {
		wait, err := s.log.Enqueue(context.Background(), b)
		if errors.Is(err, stream.ErrGap) && (before(batches, i) >= 0 || b.Len() == 0) {
			// One before it failed already, or failed earlier and is not what this one repeats.
			wait, err = func() (stream.Appended, error) { return stream.Appended{}, stream.ErrGap }, nil
		}
		if err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
		waits[i] = wait
	}
	failed := false
	for i, wait := range waits {
		done, err := wait()
		if err != nil {
			failed = true
			continue
		}
		last := !slices.ContainsFunc(batches[i+1:], func(b *record.Batch) bool { return b.Producer.ID == batches[i].Producer.ID })
		if err := s.stored(batches[i], sent[i], done, last); err != nil {
			return err
		}
		h.result.Records += done.Count
	}
	if !failed {
		s.maybe, s.claims = nil, nil
	}
	return nil
}

// mayStore notes what the log may hold if some of the batches fail: any of them may be stored without
// the others, but none without those of its producer before it.
func (s *shardModel) mayStore(batches []*record.Batch, sent [][]rec) {
	for mask := 1; mask < 1<<len(batches); mask++ {
		var tail []rec
		possible := true
		for i := range batches {
			if mask>>i&1 == 0 {
				continue
			}
			j := before(batches, i)
			possible = possible && (j < 0 || mask>>j&1 != 0)
			tail = append(tail, sent[i]...)
		}
		if possible {
			s.maybe = append(s.maybe, tail)
		}
	}
}

// before is the index of the batch before i of the same producer, or -1.
func before(batches []*record.Batch, i int) int {
	for j := i - 1; j >= 0; j-- {
		if id := batches[i].Producer.ID; id != 0 && batches[j].Producer.ID == id {
			return j
		}
	}
	return -1
}

func (h *history) batches(s *shardModel) []*record.Batch {
	batches := make([]*record.Batch, 1+h.r.IntN(3))
	order := h.r.Perm(producers)
	if h.r.IntN(3) == 0 {
		order[1] = order[0]
	}
	for i := range batches {
		b := &record.Batch{}
		batches[i] = b
		if h.r.IntN(4) == 0 {
			for range h.r.IntN(4) {
				s.counter++
				b.Add([]byte("k"), fmt.Appendf(nil, "none/%d/%d", s.counter, h.r.IntN(1000)), 0)
			}
			continue
		}
		id := uint64(order[i] + 1)
		has := s.positions[id]
		b.Producer = record.Producer{ID: id, Epoch: has.Epoch + uint32(h.r.IntN(10)/9)}
		at := max(0, has.Value-int64(h.r.IntN(4)))
		if j := before(batches, i); j >= 0 {
			b.Producer.Epoch, at = batches[j].Producer.Epoch, batches[j].End
			has.Value = at
		}
		for range h.r.IntN(8) {
			at++
			b.Add([]byte("k"), []byte(content(id, at)), at)
		}
		b.End = max(at, has.Value) + int64(h.r.IntN(8)/7)
	}
	return batches
}

// fresh are the records of a batch that the shard does not have.
func (s *shardModel) fresh(b *record.Batch) []rec {
	var fresh []rec
	for i := range b.Len() {
		if b.Producer.ID == 0 || b.Position(i) > s.positions[b.Producer.ID].Value {
			fresh = append(fresh, rec{data: string(b.Record(i).Data), producer: b.Producer.ID, pos: b.Position(i)})
		}
	}
	return fresh
}

// stored notes an append that was acknowledged; last says that none of its producer is under way behind it.
func (s *shardModel) stored(b *record.Batch, sent []rec, done stream.Appended, last bool) error {
	if done.Count != len(sent) || done.Skipped != b.Len()-len(sent) {
		return fmt.Errorf("append stored %d and skipped %d of %d, %d are new", done.Count, done.Skipped, b.Len(), len(sent))
	}
	if done.Count > 0 && done.First != record.Ordinal(len(s.records)) {
		return fmt.Errorf("append got ordinal %d, the log ended at %d", done.First, len(s.records))
	}
	s.records = append(s.records, sent...)
	if b.Producer.ID == 0 {
		return nil
	}
	s.positions[b.Producer.ID] = stream.Position{Epoch: b.Producer.Epoch, Value: b.End}
	if p, ok := s.log.Position(b.Producer.ID); last && (!ok || p != s.positions[b.Producer.ID]) {
		return fmt.Errorf("position of producer %d is %v after its batch up to %d", b.Producer.ID, p, b.End)
	}
	return nil
}

// verify compares all that can be read with the oracle.
func (s *shardModel) verify() error {
	oldest, got, _, err := readAll(s.log)
	if err != nil {
		return err
	}
	if oldest > s.trimmed {
		return fmt.Errorf("the oldest record is %d, only those before %d were trimmed", oldest, s.trimmed)
	}
	if !equal(got, s.records[oldest:]) {
		return fmt.Errorf("records from %d on: read %v, want %v", oldest, brief(got), brief(s.records[oldest:]))
	}
	if oldest > 0 {
		if _, err := s.log.Read(context.Background(), oldest-1, &stream.Buffer{}); !errors.Is(err, stream.ErrTrimmed) {
			return fmt.Errorf("read before the oldest record: %w", err)
		}
	}
	return nil
}

// recovered compares what is there after an open with the oracle, and takes it over: all that was
// acknowledged, and the beginning of something that was under way.
func (s *shardModel) recovered() error {
	oldest, got, _, err := readAll(s.log)
	if err != nil {
		return err
	}
	if oldest > s.trimmed {
		return fmt.Errorf("the oldest record is %d, only those before %d were trimmed", oldest, s.trimmed)
	}
	acked := s.records[min(int(oldest), len(s.records)):]
	if len(got) < len(acked) || !equal(got[:len(acked)], acked) {
		return fmt.Errorf("acknowledged records from %d on: read %v, want %v", oldest, brief(got), brief(acked))
	}
	tail := got[len(acked):]
	ok := len(tail) == 0
	for _, m := range s.maybe {
		ok = ok || len(tail) <= len(m) && equal(tail, m[:len(tail)])
	}
	if !ok {
		return fmt.Errorf("behind the %d acknowledged records: read %v, which nobody sent in this order", len(s.records), brief(tail))
	}
	s.records = append(s.records, tail...)
	if err := s.recoveredPositions(); err != nil {
		return err
	}
	s.maybe, s.claims = nil, nil
	return nil
}

// recoveredPositions checks that a producer would repeat what is missing and nothing else.
func (s *shardModel) recoveredPositions() error {
	stored := map[rec]bool{}
	highest := map[uint64]int64{}
	for _, r := range s.records {
		if r.producer == 0 {
			continue
		}
		if stored[r] || r.pos <= highest[r.producer] {
			return fmt.Errorf("record %v is stored twice", brief([]rec{r}))
		}
		stored[r], highest[r.producer] = true, r.pos
	}
	for id := uint64(1); id <= producers; id++ {
		p, _ := s.log.Position(id)
		if was := s.positions[id]; p.Value < max(was.Value, highest[id]) || p.Epoch < was.Epoch {
			return fmt.Errorf("producer %d: position %v, was %v and record %d is stored", id, p, was, highest[id])
		}
		for _, c := range s.claims {
			for _, r := range c.recs {
				if c.producer == id && r.pos <= p.Value && !stored[r] {
					return fmt.Errorf("producer %d: position %d, but record %d is not stored", id, p.Value, r.pos)
				}
			}
		}
		if p != (stream.Position{}) {
			s.positions[id] = p
		}
	}
	return nil
}

// seek compares Seek with a search through everything.
func (h *history) seek(s *shardModel) error {
	oldest, _, frames, err := readAll(s.log)
	if err != nil {
		return err
	}
	t := h.clock.Load() - int64(h.r.IntN(20_000))
	if len(frames) > 0 && h.r.IntN(2) == 0 {
		t = frames[h.r.IntN(len(frames))].Arrival
	}
	want := record.Ordinal(len(s.records))
	for _, f := range frames {
		if f.Arrival >= t {
			want = max(f.First, oldest)
			break
		}
	}
	got, err := s.log.Seek(context.Background(), time.UnixMilli(t))
	if err != nil || got != want {
		return fmt.Errorf("seek to %d: record %d, want %d: %w", t, got, want, err)
	}
	return nil
}

// readAll reads a log from its oldest record to its end.
func readAll(log stream.Log) (oldest record.Ordinal, recs []rec, frames []stream.Frame, err error) {
	bounds := log.Bounds()
	buf := stream.Buffer{Max: 3000}
	for at := bounds.Oldest; ; {
		got, err := log.Read(context.Background(), at, &buf)
		if err != nil {
			return 0, nil, nil, err
		}
		if len(got) == 0 {
			if at != bounds.Next {
				err = fmt.Errorf("nothing to read at %d, the log ends at %d", at, bounds.Next)
			}
			return bounds.Oldest, recs, frames, err
		}
		for _, f := range got {
			if err := checkFrame(f, at, frames); err != nil {
				return 0, nil, nil, err
			}
			skip := int(max(at-f.First, 0))
			all, err := decode(f)
			if err != nil {
				return 0, nil, nil, err
			}
			recs = append(recs, all[skip:]...)
			at = f.Next()
			f.Body = nil
			frames = append(frames, f)
		}
	}
}

func checkFrame(f stream.Frame, at record.Ordinal, before []stream.Frame) error {
	if f.First > at || f.Next() <= at || f.Count == 0 || len(before) > 0 && f.First != at {
		return fmt.Errorf("frame of records %d to %d read at %d", f.First, f.Next(), at)
	}
	if len(before) > 0 && f.Arrival < before[len(before)-1].Arrival {
		return fmt.Errorf("frame at %d arrived at %d, before the one in front of it", at, f.Arrival)
	}
	return nil
}

func decode(f stream.Frame) ([]rec, error) {
	var recs []rec
	for body := f.Body; len(body) > 0; {
		r, rest, err := record.Next(body)
		if err != nil {
			return nil, fmt.Errorf("frame at %d: %w", f.First, err)
		}
		got := rec{data: string(r.Data), producer: f.Producer.ID}
		if got.producer != 0 {
			if _, err := fmt.Sscanf(got.data, "%d/%d/", &got.producer, &got.pos); err != nil {
				return nil, fmt.Errorf("frame at %d: data %.20q: %w", f.First, got.data, err)
			}
		}
		recs, body = append(recs, got), rest
	}
	if len(recs) != f.Count {
		return nil, fmt.Errorf("frame at %d has %d records, says %d", f.First, len(recs), f.Count)
	}
	return recs, nil
}

func equal(a, b []rec) bool { return slices.Equal(a, b) }

// brief shortens records for messages.
func brief(recs []rec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", len(recs))
	for i, r := range recs {
		if i >= 3 && i < len(recs)-3 {
			continue
		}
		fmt.Fprintf(&b, " %.12s", r.data)
	}
	return b.String()
}
