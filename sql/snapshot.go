package sql

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/window"
)

// snapshotVersion is the first byte of a snapshot; docs/formats/query-state.md has the layout.
const snapshotVersion = 3

// shape tells snapshots of different queries apart.
func (p *windowPlan) shape() []byte {
	return append(p.windowShape(nil), p.layout.Shape()...)
}

// meaning is a hash of expressions as they would be written.
func meaning(parts []ast.Expr) []byte {
	h := sha256.New()
	for _, e := range parts {
		text := ast.Format(e)
		h.Write(binary.AppendUvarint(nil, uint64(len(text))))
		h.Write([]byte(text))
	}
	return h.Sum(nil)[:16]
}

// header begins a snapshot.
func (p *windowPlan) header() []byte {
	shape := p.shape()
	return append(binary.AppendUvarint([]byte{snapshotVersion}, uint64(len(shape))), shape...)
}

// readHeader checks that a snapshot is of this query.
func (p *windowPlan) readHeader(r *agg.Reader) error { return checkHeader(r, p.shape()) }

// ErrChanged reports state of a query with other windows, keys or aggregates. It is an agg.ErrSnapshot.
var ErrChanged error = changed{}

type changed struct{}

func (changed) Error() string { return "its windows, keys or aggregates have changed" }
func (changed) Unwrap() error { return agg.ErrSnapshot }

// checkHeader checks the version and the shape of a snapshot.
func checkHeader(r *agg.Reader, want []byte) error {
	switch v := r.Bytes(1, "version"); {
	case len(v) < 1 || v[0] == snapshotVersion:
	case v[0] == chainVersion || v[0] == unionVersion:
		return ErrChanged
	default:
		return fmt.Errorf("version %d is not known: %w", v[0], agg.ErrSnapshot)
	}
	if shape := r.Bytes(r.Count("shape"), "shape"); r.Err() == nil && !slices.Equal(shape, want) {
		return ErrChanged
	}
	return r.Err()
}

// ended checks that a snapshot was read to its end without a mistake.
func ended(r *agg.Reader) error {
	if err := r.Err(); err != nil {
		return err
	}
	if r.Rest() > 0 {
		return fmt.Errorf("%d bytes too many: %w", r.Rest(), agg.ErrSnapshot)
	}
	return nil
}

// Snapshot encodes the open panes and what was closed. The same rows give the same bytes.
func (o *panes) Snapshot() ([]byte, error) {
	if err := o.spill(); err != nil {
		return nil, err
	}
	out := o.plan.header()
	out = binary.AppendVarint(out, o.closed)
	out = binary.AppendVarint(out, o.shown)
	out = binary.AppendVarint(out, o.barred)
	out = binary.AppendUvarint(out, uint64(o.next))
	out = append(out, flag(o.divided), flag(o.byValue))
	out = binary.AppendUvarint(out, uint64(len(o.shards)))
	for _, id := range slices.Sorted(maps.Keys(o.shards)) {
		out = binary.AppendUvarint(out, uint64(id))
		out = binary.AppendUvarint(out, uint64(len(o.shards[id])))
		for _, b := range o.shards[id] {
			out = binary.AppendVarint(out, b.pane.Start)
			out = binary.AppendVarint(out, b.first)
			out = binary.AppendUvarint(out, uint64(len(b.fresh)))
			for _, word := range b.fresh {
				out = binary.AppendUvarint(out, word)
			}
			var err error
			if out, err = o.appendGroups(out, b); err != nil {
				return nil, err
			}
			out = b.appendRuns(out)
		}
	}
	return out, nil
}

// Restore sets the state to a snapshot; an empty one is the state of a new operator. The error
// wraps agg.ErrSnapshot if the snapshot is damaged or of another query, and the state is then
// as before.
func (o *panes) Restore(snapshot []byte) error {
	fresh := newPanes(o.plan)
	fresh.keep = o.keep
	if len(snapshot) > 0 {
		if err := fresh.read(snapshot); err != nil {
			return fmt.Errorf("restore the windows of a query: %w", err)
		}
	}
	o.shards, o.closed, o.shown, o.barred, o.next = fresh.shards, fresh.closed, fresh.shown, fresh.barred, fresh.next
	o.divided, o.byValue = fresh.divided, fresh.byValue
	for _, f := range o.folders {
		f.due, f.stale = fresh.due, fresh.stale
		f.untouch()
	}
	return nil
}

func (o *panes) read(snapshot []byte) error {
	r := agg.NewReader(snapshot)
	if err := o.plan.readHeader(r); err != nil {
		return err
	}
	o.closed, o.shown, o.barred = r.Varint("closed"), r.Varint("shown"), r.Varint("barred")
	o.next = int(min(r.Uvarint("section"), agg.KeyGroups))
	if f := r.Bytes(2, "divided"); len(f) == 2 {
		o.divided, o.byValue = f[0] == 1, f[1] == 1
	}
	for range r.Count("shards") {
		id := r.Uvarint("shard")
		buckets := o.readBuckets(r)
		if r.Err() != nil {
			break
		}
		if o.shards[record.ShardID(id)] != nil || id > math.MaxUint32 || buckets == nil {
			return fmt.Errorf("shard %d is in it twice or without windows: %w", id, agg.ErrSnapshot)
		}
		o.shards[record.ShardID(id)] = buckets
	}
	return ended(r)
}

// readBuckets returns nil if there are none or they are out of order.
func (o *panes) readBuckets(r *agg.Reader) []*bucket {
	var out []*bucket
	for range r.Count("panes") {
		start, first := r.Varint("pane"), r.Varint("first window")
		b := &bucket{first: first}
		for range r.Count("changes") {
			b.fresh = append(b.fresh, r.Uvarint("changes"))
			o.stale = true
		}
		o.readGroups(r, b)
		b.readRuns(r)
		if r.Err() != nil {
			return nil
		}
		pane, fits := o.plan.windows.Pane(start)
		var w window.Span
		if fits && first > math.MinInt64 {
			w, fits = o.plan.windows.After(pane, first-1)
		}
		if !fits || pane.Start != start || w.End != first || !b.valid() {
			return nil
		}
		if n := len(out); n > 0 && (out[n-1].pane.Start > start || out[n-1].pane.Start == start && out[n-1].first >= first) {
			return nil
		}
		next, ok := o.plan.windows.After(pane, max(first-1, o.closed))
		if !ok {
			return nil
		}
		b.pane, b.old, o.due = pane, len(b.parts), min(o.due, next.End)
		out = append(out, b)
	}
	return out
}
