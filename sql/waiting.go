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
	times   []int64
	columns []*build.Column
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

// add takes rows of a batch. Columns are those of the types; rows ascend.
func (w *waiting) add(shard record.ShardID, times []int64, columns []*column.Column, rows []int32) {
	for len(rows) > 0 {
		pieces := w.shards[shard]
		if n := len(pieces); n == 0 || len(pieces[n-1].times) >= pieceRows {
			pieces = append(pieces, w.piece())
			w.shards[shard] = pieces
		}
		p := pieces[len(pieces)-1]
		part := rows[:min(len(rows), pieceRows-len(p.times))]
		for i, c := range columns {
			p.columns[i].Rows(c, part)
		}
		for _, r := range part {
			p.push(times[r])
		}
		w.n += len(part)
		w.low = min(w.low, p.low)
		rows = rows[len(part):]
	}
}

func (w *waiting) piece() *piece {
	p := &piece{low: math.MaxInt64}
	for _, t := range w.types {
		p.columns = append(p.columns, build.New(t))
	}
	return p
}

func (p *piece) push(at int64) {
	p.left = append(p.left, int32(len(p.times)))
	p.times = append(p.times, at)
	p.low = min(p.low, at)
}

// released is rows in their order.
type released struct {
	n       int
	times   []int64
	columns []*column.Column
	all     []int32 // 0, 1, 2, …
}

// place is a row that leaves.
type place struct {
	at    int64
	piece int32
	row   int32
}

// release takes out the rows before a time.
func (w *waiting) release(before int64) released {
	var places []place
	var pieces []*piece
	w.low = math.MaxInt64
	for _, id := range slices.Sorted(maps.Keys(w.shards)) {
		kept := w.shards[id][:0]
		for _, p := range w.shards[id] {
			if p.low < before {
				places = p.leave(before, int32(len(pieces)), places)
				pieces = append(pieces, p)
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
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.piece, b.piece), cmp.Compare(a.row, b.row))
	})
	return w.gather(places, pieces)
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
func (w *waiting) gather(places []place, pieces []*piece) released {
	out := released{n: len(places), times: make([]int64, len(places)), all: make([]int32, len(places))}
	for i, p := range places {
		out.times[i], out.all[i] = p.at, int32(i)
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
			n += int64(8*cap(p.times) + 4*cap(p.left))
			for _, c := range p.columns {
				n += c.Bytes()
			}
		}
	}
	return n
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
		for _, p := range w.shards[id] {
			for _, r := range p.left {
				dst = binary.AppendVarint(dst, p.times[r])
				for _, c := range p.columns {
					dst = appendCell(dst, c.View(), int(r))
				}
			}
		}
	}
	return dst
}

// read reads into an empty waiting what append wrote.
func (w *waiting) read(r *agg.Reader) error {
	for range r.Count("shards") {
		id, n := r.Uvarint("shard"), r.Count("rows")
		if r.Err() != nil || id > math.MaxUint32 || n == 0 || w.shards[record.ShardID(id)] != nil {
			return fmt.Errorf("shard %d of the rows that wait: %w", id, agg.ErrSnapshot)
		}
		var pieces []*piece
		for i := range n {
			if i%pieceRows == 0 {
				pieces = append(pieces, w.piece())
			}
			p := pieces[len(pieces)-1]
			p.push(r.Varint("time"))
			for i, t := range w.types {
				readCell(r, t, p.columns[i])
			}
			if err := r.Err(); err != nil {
				return err
			}
			w.low = min(w.low, p.low)
		}
		w.shards[record.ShardID(id)] = pieces
		w.n += n
	}
	return r.Err()
}
