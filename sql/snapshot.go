package sql

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/temporal"
)

// snapshotVersion is the first byte of a snapshot; docs/sql.md has the layout.
const snapshotVersion = 1

// shape tells snapshots of different queries apart.
func (p *windowPlan) shape() []byte {
	return append(binary.AppendVarint(nil, p.size), p.layout.Shape()...)
}

// Snapshot encodes the open windows and what was closed. The same rows give the same bytes.
func (o *tumble) Snapshot() ([]byte, error) {
	out := []byte{snapshotVersion}
	shape := o.plan.shape()
	out = append(binary.AppendUvarint(out, uint64(len(shape))), shape...)
	out = binary.AppendVarint(out, o.closed)
	out = binary.AppendUvarint(out, uint64(len(o.shards)))
	for _, id := range slices.Sorted(maps.Keys(o.shards)) {
		out = binary.AppendUvarint(out, uint64(id))
		out = binary.AppendUvarint(out, uint64(len(o.shards[id])))
		for _, w := range o.shards[id] {
			out = binary.AppendVarint(out, w.start)
			out = w.table.Append(out)
		}
	}
	return out, nil
}

// Restore sets the state to a snapshot; an empty one is the state of a new operator. The error
// wraps agg.ErrSnapshot if the snapshot is damaged or of another query, and the state is then
// as before.
func (o *tumble) Restore(snapshot []byte) error {
	shards, closed := make(map[record.ShardID][]*window), int64(math.MinInt64)
	if len(snapshot) > 0 {
		var err error
		if shards, closed, err = o.plan.restore(snapshot); err != nil {
			return fmt.Errorf("restore the windows of a query: %w", err)
		}
	}
	o.shards, o.closed = shards, closed
	o.untouch()
	return nil
}

func (p *windowPlan) restore(snapshot []byte) (map[record.ShardID][]*window, int64, error) {
	r := agg.NewReader(snapshot)
	if v := r.Bytes(1, "version"); len(v) == 1 && v[0] != snapshotVersion {
		return nil, 0, fmt.Errorf("version %d is not known: %w", v[0], agg.ErrSnapshot)
	}
	if shape := r.Bytes(r.Count("shape"), "shape"); r.Err() == nil && !slices.Equal(shape, p.shape()) {
		return nil, 0, fmt.Errorf("the query has other windows, keys or aggregates than before: %w", agg.ErrSnapshot)
	}
	closed := r.Varint("closed")
	shards := make(map[record.ShardID][]*window)
	for range r.Count("shards") {
		id := r.Uvarint("shard")
		windows := p.readWindows(r)
		if r.Err() != nil {
			break
		}
		if shards[record.ShardID(id)] != nil || id > math.MaxUint32 || windows == nil {
			return nil, 0, fmt.Errorf("shard %d is in it twice or without windows: %w", id, agg.ErrSnapshot)
		}
		shards[record.ShardID(id)] = windows
	}
	if err := r.Err(); err != nil {
		return nil, 0, err
	}
	if r.Rest() > 0 {
		return nil, 0, fmt.Errorf("%d bytes too many: %w", r.Rest(), agg.ErrSnapshot)
	}
	return shards, closed, nil
}

// readWindows returns nil if there are none or they are out of order.
func (p *windowPlan) readWindows(r *agg.Reader) []*window {
	var out []*window
	for range r.Count("windows") {
		w := &window{start: r.Varint("window")}
		w.table = p.layout.Read(r)
		if r.Err() != nil {
			return nil
		}
		end, fits := temporal.AddInt(w.start, p.size)
		w.end = end
		if !fits || temporal.FloorMod(w.start, p.size) != 0 || w.table.Len() == 0 ||
			len(out) > 0 && out[len(out)-1].start >= w.start {
			return nil
		}
		out = append(out, w)
	}
	return out
}
