package sql

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/build"
)

// pieceRows is how many rows a piece takes.
const pieceRows = 4096

// piece is rows of one shard in the order they came.
type piece struct {
	times []int64
	// arrivals are the rows' numbers in the order they came, over all shards and key groups.
	arrivals []int64
	columns  []*build.Column
	// left are the rows that still wait.
	left []int32
	// low is the smallest time of those.
	low int64
}

// waiting is rows on their way to an operator that takes them by event time: they wait until the
// watermark has passed them, and leave ordered by time, then shard, then arrival.
type waiting struct {
	types  []column.Type
	shards map[record.ShardID][]*piece
	n      int
	// low is the smallest time that waits; the largest of all times when nothing does.
	low int64
}

func newWaiting(types []column.Type) waiting {
	return waiting{types: types, shards: make(map[record.ShardID][]*piece), low: math.MaxInt64}
}

// add takes rows of a batch, of which the first arrived under a number. Columns are those of the types;
// rows ascend.
func (w *waiting) add(shard record.ShardID, arrival int64, times []int64, columns []*column.Column, rows []int32) {
	for len(rows) > 0 {
		p := w.last(shard)
		part := rows[:min(len(rows), pieceRows-len(p.times))]
		for i, c := range columns {
			p.columns[i].Rows(c, part)
		}
		for _, r := range part {
			p.push(times[r], arrival+int64(r))
		}
		w.n += len(part)
		w.low = min(w.low, p.low)
		rows = rows[len(part):]
	}
}

// last is the piece of a shard that takes the next row.
func (w *waiting) last(shard record.ShardID) *piece {
	pieces := w.shards[shard]
	if n := len(pieces); n == 0 || len(pieces[n-1].times) >= pieceRows {
		pieces = append(pieces, w.piece())
		w.shards[shard] = pieces
	}
	return pieces[len(pieces)-1]
}

func (w *waiting) piece() *piece {
	p := &piece{low: math.MaxInt64}
	for _, t := range w.types {
		p.columns = append(p.columns, build.New(t))
	}
	return p
}

func (p *piece) push(at, arrival int64) {
	p.left = append(p.left, int32(len(p.times)))
	p.times, p.arrivals = append(p.times, at), append(p.arrivals, arrival)
	p.low = min(p.low, at)
}

// released is rows in their order.
type released struct {
	n       int
	ranks   []rank
	columns []*column.Column
	all     []int32 // 0, 1, 2, …
}

// rank is the place of a row among others: by time, then the shard that it is of, then arrival.
type rank struct {
	at      int64
	shard   record.ShardID
	arrival int64
}

func (r rank) compare(o rank) int {
	return cmp.Or(cmp.Compare(r.at, o.at), cmp.Compare(r.shard, o.shard), cmp.Compare(r.arrival, o.arrival))
}

// place is a row that leaves.
type place struct {
	at    int64
	piece int32
	row   int32
}

// compare looks at times first, which nearly always tell places apart.
func (p place) compare(o place) int {
	if p.at != o.at {
		if p.at < o.at {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(p.piece, o.piece), cmp.Compare(p.row, o.row))
}

// release takes out the rows before a time.
func (w *waiting) release(before int64) released {
	var places []place
	var pieces []*piece
	var shards []record.ShardID
	w.low = math.MaxInt64
	for _, id := range slices.Sorted(maps.Keys(w.shards)) {
		kept := w.shards[id][:0]
		for _, p := range w.shards[id] {
			if p.low < before {
				places = p.leave(before, int32(len(pieces)), places)
				pieces, shards = append(pieces, p), append(shards, id)
			}
			if len(p.left) > 0 {
				kept = append(kept, p)
				w.low = min(w.low, p.low)
			}
		}
		clear(w.shards[id][len(kept):])
		if w.shards[id] = kept; len(kept) == 0 {
			delete(w.shards, id)
		}
	}
	w.n -= len(places)
	slices.SortFunc(places, place.compare)
	return w.gather(places, pieces, shards)
}

// leave appends the rows before a time.
func (p *piece) leave(before int64, number int32, places []place) []place {
	left := p.left[:0]
	p.low = math.MaxInt64
	for _, r := range p.left {
		at := p.times[r]
		if at < before {
			places = append(places, place{at: at, piece: number, row: r})
			continue
		}
		left = append(left, r)
		p.low = min(p.low, at)
	}
	p.left = left
	return places
}

// gather copies rows in the order of their places.
func (w *waiting) gather(places []place, pieces []*piece, shards []record.ShardID) released {
	out := released{n: len(places), ranks: make([]rank, len(places)), all: make([]int32, len(places))}
	for i, p := range places {
		out.ranks[i], out.all[i] = rank{at: p.at, shard: shards[p.piece], arrival: pieces[p.piece].arrivals[p.row]}, int32(i)
	}
	var rows []int32
	for c, t := range w.types {
		b := build.New(t)
		for i := 0; i < len(places); {
			from := places[i].piece
			rows = rows[:0]
			for ; i < len(places) && places[i].piece == from; i++ {
				rows = append(rows, places[i].row)
			}
			b.Rows(pieces[from].columns[c].View(), rows)
		}
		out.columns = append(out.columns, b.Finish())
	}
	return out
}

func (w *waiting) memory() int64 {
	n := int64(0)
	for _, pieces := range w.shards {
		for _, p := range pieces {
			n += int64(16*cap(p.times) + 4*cap(p.left))
			for _, c := range p.columns {
				n += c.Bytes()
			}
		}
	}
	return n
}

// rowsCodec writes rows one after another, times and arrivals as what they differ by.
type rowsCodec struct{ at, arrival int64 }

func (c *rowsCodec) append(dst []byte, at, arrival int64) []byte {
	dst = binary.AppendVarint(dst, at-c.at)
	dst = binary.AppendVarint(dst, arrival-c.arrival)
	c.at, c.arrival = at, arrival
	return dst
}

func (c *rowsCodec) read(r *agg.Reader) (at, arrival int64) {
	c.at += r.Varint("time")
	c.arrival += r.Varint("arrival")
	return c.at, c.arrival
}

// appendRows appends rows that add takes, so that read takes them.
func appendRows(dst []byte, shard record.ShardID, arrival int64, times []int64, columns []*column.Column, rows []int32) []byte {
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(shard)), uint64(len(rows)))
	var codec rowsCodec
	for _, r := range rows {
		dst = codec.append(dst, times[r], arrival+int64(r))
		for _, c := range columns {
			dst = agg.AppendCell(dst, c, int(r))
		}
	}
	return dst
}

// append appends the rows that wait to a snapshot.
func (w *waiting) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(w.shards)))
	for _, id := range slices.Sorted(maps.Keys(w.shards)) {
		n := 0
		for _, p := range w.shards[id] {
			n += len(p.left)
		}
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(id)), uint64(n))
		var codec rowsCodec
		for _, p := range w.shards[id] {
			for _, r := range p.left {
				dst = codec.append(dst, p.times[r], p.arrivals[r])
				for _, c := range p.columns {
					dst = agg.AppendCell(dst, c.View(), int(r))
				}
			}
		}
	}
	return dst
}

// read takes what append wrote.
func (w *waiting) read(r *agg.Reader) error {
	for range r.Count("shards") {
		if err := w.readRows(r); err != nil {
			return err
		}
	}
	return r.Err()
}

// readRows takes what appendRows wrote.
func (w *waiting) readRows(r *agg.Reader) error {
	id, n := r.Uvarint("shard"), r.Count("rows")
	if r.Err() != nil || id > math.MaxUint32 || n == 0 {
		return fmt.Errorf("shard %d of the rows that wait: %w", id, agg.ErrSnapshot)
	}
	var codec rowsCodec
	for range n {
		p := w.last(record.ShardID(id))
		p.push(codec.read(r))
		for i, t := range w.types {
			agg.ReadCell(r, t, p.columns[i])
		}
		w.n++
		w.low = min(w.low, p.low)
		if err := r.Err(); err != nil {
			return err
		}
	}
	return nil
}
