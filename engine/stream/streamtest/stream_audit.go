package streamtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// stored is a record as an audit finds it.
type stored struct {
	shard   stream.Shard
	ordinal record.Ordinal
	arrival int64
	key     string
	data    string
	hash    record.HashKey
}

// verify demands that the stream at rest is as the oracle says.
func (h *reshaping) verify() error { return h.audit(true) }

// audit reads everything. With whole each record that was sent must be there, not only those that
// were acknowledged.
func (h *reshaping) audit(whole bool) error {
	if err := h.auditShards(); err != nil {
		return err
	}
	all, err := h.readStream()
	if err != nil {
		return err
	}
	count := map[string]int{}
	last := map[string]int64{}
	for _, r := range all {
		if !r.shard.Range.Contains(r.hash) {
			return fmt.Errorf("record %.20q is in %s with %s, its hash key is %s", r.data, r.shard.ID, r.shard.Range, r.hash)
		}
		var id int
		var pos int64
		if _, err := fmt.Sscanf(r.data, "%d/%d", &id, &pos); err != nil {
			return fmt.Errorf("record %.20q: %w", r.data, err)
		}
		text := fmt.Sprintf("%d/%d", id, pos)
		if count[text]++; count[text] > 1 {
			return fmt.Errorf("record %s is stored twice", text)
		}
		if id != 0 && pos <= last[r.key] {
			return fmt.Errorf("key %s: record %s follows %d", r.key, text, last[r.key])
		}
		last[r.key] = pos
	}
	return h.auditPositions(count, whole)
}

func (h *reshaping) auditPositions(count map[string]int, whole bool) error {
	for text, acked := range h.oracle.free {
		if acked && count[text] == 0 {
			return fmt.Errorf("record %s was acknowledged and is lost", text)
		}
	}
	for id := 1; id <= modelProducers; id++ {
		must := h.oracle.acked[id]
		// A producer that trusts the position never sends again what is before it.
		if pos, ok := h.stream.Position(uint64(id)); ok {
			must = max(must, pos)
		}
		if whole && h.Settings.Sync != stream.SyncInterval {
			must = h.oracle.acked[id]
		}
		for pos := int64(1); pos <= h.oracle.sent[id]; pos++ {
			if n := count[fmt.Sprintf("%d/%d", id, pos)]; n == 0 && pos <= must {
				return fmt.Errorf("record %d of producer %d is lost: %d were acknowledged", pos, id, must)
			}
		}
	}
	return nil
}

// auditShards demands a complete lineage, and logs that agree with it.
func (h *reshaping) auditShards() error {
	shards := map[record.ShardID]stream.Shard{}
	children := map[record.ShardID]int{}
	for _, sh := range h.stream.Shards() {
		shards[sh.ID] = sh
		b := h.stream.Log(sh.ID).Bounds()
		if b.Closed != (sh.State == stream.ShardClosed) {
			return fmt.Errorf("%s is %s, its log says closed %v", sh.ID, sh.State, b.Closed)
		}
		for _, p := range sh.Parents {
			children[p]++
			parent := shards[p]
			if parent.State != stream.ShardClosed || !sh.Created.After(parent.Created) {
				return fmt.Errorf("%s, created %s, is a child of %+v", sh.ID, sh.Created, parent)
			}
			if last := h.stream.Log(p).Bounds().Arrival; b.Arrival < last {
				return fmt.Errorf("%s is at %d, its parent %s was at %d", sh.ID, b.Arrival, p, last)
			}
		}
	}
	for id, sh := range shards {
		if (children[id] > 0) != (sh.State == stream.ShardClosed) {
			return fmt.Errorf("%s is %s and has %d children", id, sh.State, children[id])
		}
	}
	if d := h.stream.Describe(); d.Status != stream.Active {
		return fmt.Errorf("the stream is %s", d.Status)
	}
	return nil
}

// readStream reads all shards, parents before children.
func (h *reshaping) readStream() ([]stored, error) {
	if h.Settings.Sync == stream.SyncInterval {
		if err := h.flush(); err != nil {
			return nil, err
		}
	}
	var all []stored
	for _, sh := range h.stream.Shards() {
		log := h.stream.Log(sh.ID)
		buf := stream.Buffer{Max: 2000}
		for at := log.Bounds().Oldest; ; {
			frames, err := log.Read(context.Background(), at, &buf)
			if err != nil {
				return nil, err
			}
			if len(frames) == 0 {
				break
			}
			for _, f := range frames {
				at = f.First
				for body := f.Body; len(body) > 0; at++ {
					r, rest, err := record.Next(body)
					if err != nil {
						return nil, fmt.Errorf("%s: frame at %d: %w", sh.ID, f.First, err)
					}
					all = append(all, stored{
						shard: sh, ordinal: at, arrival: f.Arrival, key: string(r.Key), data: string(r.Data), hash: record.Hash(r.Key),
					})
					body = rest
				}
			}
		}
	}
	return all, nil
}

// seek compares the iterators of a random record with a search through everything.
func (h *reshaping) seek() error {
	all, err := h.readStream()
	if err != nil || len(all) == 0 {
		return err
	}
	r := all[h.r.IntN(len(all))]
	first := r.ordinal
	for _, o := range all {
		if o.shard.ID == r.shard.ID && o.arrival >= r.arrival {
			first = min(first, o.ordinal)
		}
	}
	number := r.shard.Sequence(r.ordinal, r.arrival).String()
	h.clock.Store(max(h.clock.Load(), r.arrival)) // a time in the future is refused
	for _, c := range []struct {
		from stream.From
		want record.Ordinal
	}{
		{stream.From{Type: stream.AtSequence, Sequence: number}, r.ordinal},
		{stream.From{Type: stream.AfterSequence, Sequence: number}, r.ordinal + 1},
		{stream.From{Type: stream.AtTimestamp, Time: time.UnixMilli(r.arrival)}, first},
		{stream.From{Type: stream.TrimHorizon}, 0},
		{stream.From{Type: stream.Latest}, h.stream.Log(r.shard.ID).Bounds().Next},
	} {
		got, err := h.stream.Iterator(context.Background(), r.shard.ID, c.from)
		if err != nil || got != c.want {
			return errors.Join(fmt.Errorf("iterator %s of %s at %+v: %d, want %d", c.from.Type, r.shard.ID, c.from, got, c.want), err)
		}
	}
	return nil
}
