package encode

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/parquet-go/parquet-go/encoding/rle"

	"github.com/millrace-io/millrace/engine/column"
)

// levels are the definition and repetition levels of an open page: which entries are null, how
// deep, and where rows begin. While every entry has a value, only their number is kept.
type levels struct {
	maxDef, maxRep uint8
	rows, entries  int
	explicit       bool
	defs, reps     []byte
}

func (l *levels) reset() {
	*l = levels{maxDef: l.maxDef, maxRep: l.maxRep, defs: l.defs[:0], reps: l.reps[:0], explicit: l.maxRep > 0}
}

// full adds n rows with a value each.
func (l *levels) full(n int) {
	l.rows += n
	l.entries += n
	if l.explicit {
		l.defs = fill(l.defs, n, l.maxDef)
	}
}

// spell makes the levels explicit.
func (l *levels) spell() {
	if !l.explicit {
		l.explicit = true
		l.defs = fill(l.defs[:0], l.entries, l.maxDef)
	}
}

func fill(dst []byte, n int, v byte) []byte {
	from := len(dst)
	dst = slices.Grow(dst, n)[:from+n]
	for i := from; i < len(dst); i++ {
		dst[i] = v
	}
	return dst
}

// encodeDefs replaces dst by the encoded definition levels.
func (l *levels) encodeDefs(dst []byte) ([]byte, error) {
	if !l.explicit {
		// One run: a header with the lowest bit clear, then the value in whole bytes.
		return append(binary.AppendUvarint(dst[:0], uint64(l.entries)<<1), l.maxDef), nil
	}
	return encodeLevels(dst, l.defs, l.maxDef)
}

// encodeReps replaces dst by the encoded repetition levels.
func (l *levels) encodeReps(dst []byte) ([]byte, error) {
	if l.maxRep == 0 {
		return dst[:0], nil
	}
	return encodeLevels(dst, l.reps, l.maxRep)
}

func encodeLevels(dst, src []byte, highest uint8) ([]byte, error) {
	return (&rle.Encoding{BitWidth: bits.Len8(highest)}).EncodeLevels(dst[:0], src)
}

// shred adds the rows r of a top-level column to l and returns the column of the leaf and the
// places in it that have a value. The places may be in spare, whose new memory is returned.
func (f *leaf) shred(l *levels, top *column.Column, r rows, spare []int32) (*column.Column, rows, []int32) {
	if f.maxRep > 0 {
		w := walker{leaf: f, levels: l, places: spare[:0]}
		for i := range r.len() {
			w.walk(top, 0, r.at(i), 0, 0, 0)
		}
		l.rows += r.len()
		return w.target(top), rows{idx: w.places}, w.places
	}
	nulls := false
	at := top
	for _, step := range f.steps {
		nulls = nulls || at.Nulls > 0
		at = at.Children[step]
	}
	if !nulls && at.Nulls == 0 {
		l.full(r.len())
		return at, r, spare
	}
	l.spell()
	l.rows += r.len()
	l.entries += r.len()
	places := spare[:0]
	if len(f.steps) == 0 {
		places = flat(l, at, r, places)
	} else {
		places = f.nested(l, top, r, places)
	}
	return at, rows{idx: places}, places
}

// flat shreds a top-level column with nulls.
func flat(l *levels, c *column.Column, r rows, places []int32) []int32 {
	from := len(l.defs)
	l.defs = slices.Grow(l.defs, r.len())[:from+r.len()]
	defs := l.defs[from:]
	for i := range defs {
		j := r.at(i)
		defs[i] = 0
		if c.Valid.Get(j) {
			defs[i] = 1
			places = append(places, int32(j))
		}
	}
	return places
}

// nested shreds a field of structs.
func (f *leaf) nested(l *levels, top *column.Column, r rows, places []int32) []int32 {
	for i := range r.len() {
		j := r.at(i)
		def, at := uint8(0), top
		for step := 0; !at.IsNull(j); step++ {
			def++
			if step == len(f.steps) {
				places = append(places, int32(j))
				break
			}
			at = at.Children[f.steps[step]]
		}
		l.defs = append(l.defs, def)
	}
	return places
}

// walker shreds columns that have a list on their way.
type walker struct {
	leaf   *leaf
	levels *levels
	places []int32
}

// walk adds what is at row of c, which is step steps down. rep is the level at which this entry
// repeats, def and lists how many optional or repeated nodes and lists are above.
func (w *walker) walk(c *column.Column, step, row int, rep, def, lists uint8) {
	if c.IsNull(row) {
		w.entry(rep, def)
		return
	}
	def++
	if step == len(w.leaf.steps) {
		w.entry(rep, def)
		w.places = append(w.places, int32(row))
		return
	}
	child := c.Children[w.leaf.steps[step]]
	if c.Type.Kind != column.List {
		w.walk(child, step+1, row, rep, def, lists)
		return
	}
	from, to := c.Offsets[row], c.Offsets[row+1]
	if from == to {
		w.entry(rep, def)
		return
	}
	for i := from; i < to; i++ {
		w.walk(child, step+1, int(i), rep, def+1, lists+1)
		rep = lists + 1
	}
}

func (w *walker) entry(rep, def uint8) {
	w.levels.reps = append(w.levels.reps, rep)
	w.levels.defs = append(w.levels.defs, def)
	w.levels.entries++
}

// target is the column of the leaf.
func (w *walker) target(top *column.Column) *column.Column {
	for _, step := range w.leaf.steps {
		top = top.Children[step]
	}
	return top
}
