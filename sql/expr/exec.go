package expr

import (
	"fmt"
	"math/bits"

	"github.com/millrace-io/millrace/engine/column"
)

// maxText is how many bytes of text one node may make for one batch.
const maxText = 64 << 20

// exec is one evaluation: the batch, the rows that matter, and memory that is used again.
type exec struct {
	batch *column.Batch
	// sel is the rows to compute, ascending. Other rows of a result are unspecified.
	sel []int32
	n   int
	err error

	identity   []int32
	zeros      []int32
	free, live []*temp
	lists      [][]int32
	tables     map[tested][]byte
	mappings   map[mapping]*mapped
	bound      map[*bound]*column.Column
	// results are those of calls that other programs have as well, nil if there are none.
	results *results
}

// begin prepares for a batch; results of the last evaluation are no longer valid.
func (x *exec) begin(b *column.Batch) {
	x.free = append(x.free, x.live...)
	x.live = x.live[:0]
	x.batch, x.n, x.err = b, b.Rows, nil
	if x.results != nil && x.results.first == x {
		x.results.forget()
	}
	x.sel = b.Selection
	if x.sel == nil {
		x.sel = x.rows(b.Rows)
	}
}

// rows is 0, 1, … n-1.
func (x *exec) rows(n int) []int32 {
	for len(x.identity) < n {
		x.identity = append(x.identity, int32(len(x.identity)))
	}
	return x.identity[:n]
}

func (x *exec) fail(format string, args ...any) {
	if x.err == nil {
		x.err = fmt.Errorf(format, args...)
	}
}

// list is a scratch selection; giveBack returns it.
func (x *exec) list() []int32 {
	if len(x.lists) == 0 {
		return make([]int32, 0, max(x.n, 64))
	}
	l := x.lists[len(x.lists)-1]
	x.lists = x.lists[:len(x.lists)-1]
	return l[:0]
}

func (x *exec) giveBack(l []int32) { x.lists = append(x.lists, l) }

// under evaluates n for fewer rows.
func (x *exec) under(sel []int32, n node) *column.Column {
	outer := x.sel
	x.sel = sel
	c := n.eval(x)
	x.sel = outer
	return c
}

// temp is a column that an exec owns, with the capacity of its slices kept for the next use.
type temp struct {
	col column.Column

	valid, bools []byte
	i32          []int32
	i64          []int64
	f32          []float32
	f64          []float64
	off          []int32
	bytes, fixed []byte
}

// temp is a column of x.n rows without nulls; the caller sets its values.
func (x *exec) temp(t column.Type) *temp {
	var out *temp
	if n := len(x.free); n > 0 {
		out, x.free = x.free[n-1], x.free[:n-1]
	} else {
		out = new(temp)
	}
	out.col = column.Column{Type: t, Len: x.n}
	x.live = append(x.live, out)
	return out
}

// release gives columns back that are not needed any more; input columns are left alone.
func (x *exec) release(columns ...*column.Column) {
	for _, c := range columns {
		for i := len(x.live) - 1; i >= 0; i-- {
			if t := x.live[i]; &t.col == c {
				x.live = append(x.live[:i], x.live[i+1:]...)
				x.free = append(x.free, t)
				break
			}
		}
	}
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/8)
	}
	return s[:n]
}

func (t *temp) int64s() []int64 {
	t.i64 = sized(t.i64, t.col.Len)
	t.col.Int64s = t.i64
	return t.i64
}

func (t *temp) int32s() []int32 {
	t.i32 = sized(t.i32, t.col.Len)
	t.col.Int32s = t.i32
	return t.i32
}

func (t *temp) float64s() []float64 {
	t.f64 = sized(t.f64, t.col.Len)
	t.col.Float64s = t.f64
	return t.f64
}

func (t *temp) float32s() []float32 {
	t.f32 = sized(t.f32, t.col.Len)
	t.col.Float32s = t.f32
	return t.f32
}

// sixteens are 16 bytes a row.
func (t *temp) sixteens() []byte {
	t.fixed = sized(t.fixed, 16*t.col.Len)
	t.col.Fixed = t.fixed
	return t.fixed
}

// bits are all zero at first.
func (t *temp) bits() []byte {
	t.bools = sized(t.bools, (t.col.Len+7)/8)
	clear(t.bools)
	t.col.Bools = t.bools
	return t.bools
}

// nullable is the validity, made all ones if there was none.
func (t *temp) nullable() []byte {
	if t.col.Valid == nil {
		t.valid = sized(t.valid, (t.col.Len+7)/8)
		for i := range t.valid {
			t.valid[i] = 0xff
		}
		t.col.Valid = t.valid
	}
	return t.valid
}

func (t *temp) setNull(row int32) { t.nullable()[row>>3] &^= 1 << (row & 7) }

// nullsOf makes every row null that is null in one of the columns.
func (t *temp) nullsOf(columns ...*column.Column) {
	for _, c := range columns {
		if c.Valid == nil {
			continue
		}
		valid := t.nullable()
		for i, b := range c.Valid[:len(valid)] {
			valid[i] &= b
		}
	}
}

// count sets the number of nulls of a finished column.
func count(c *column.Column) *column.Column {
	c.Nulls = 0
	if c.Valid == nil {
		return c
	}
	ones := 0
	whole := c.Len / 8
	for _, b := range c.Valid[:whole] {
		ones += bits.OnesCount8(b)
	}
	for i := whole * 8; i < c.Len; i++ {
		if c.Valid.Get(i) {
			ones++
		}
	}
	if c.Nulls = c.Len - ones; c.Nulls == 0 {
		c.Valid = nil
	}
	return c
}

// writer fills a text column row by row, ascending; rows left out are empty.
type writer struct {
	t    *temp
	off  []int32
	buf  []byte
	next int32
}

func (t *temp) writer() *writer {
	t.off = sized(t.off, t.col.Len+1)
	return &writer{t: t, off: t.off, buf: t.bytes[:0]}
}

// row begins a row; its text is what is appended to buf.
func (w *writer) row(i int32) {
	for ; w.next <= i; w.next++ {
		w.off[w.next] = int32(len(w.buf))
	}
}

// full reports whether the text has become too large, and says so in x.
func (w *writer) full(x *exec) bool {
	if len(w.buf) <= maxText {
		return false
	}
	x.fail("an expression makes more than %d MiB of text for one batch", maxText>>20)
	w.buf = w.buf[:0]
	return true
}

func (w *writer) finish() {
	for ; int(w.next) < len(w.off); w.next++ {
		w.off[w.next] = int32(len(w.buf))
	}
	w.t.bytes = w.buf
	w.t.col.Offsets, w.t.col.Bytes = w.off, w.buf
}
