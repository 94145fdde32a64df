package expr

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// logic is AND or OR in three-valued logic.
type logic struct {
	and   bool
	terms []node
}

func (l *logic) typ() column.Type { return boolean }

func (l *logic) eval(x *exec) *column.Column {
	acc := l.terms[0].eval(x)
	for _, n := range l.terms[1:] {
		r := n.eval(x)
		t := x.temp(boolean)
		if x.err != nil {
			return &t.col
		}
		if l.and {
			andBits(t, acc, r)
		} else {
			orBits(t, acc, r)
		}
		x.release(acc, r)
		acc = &t.col
	}
	return acc
}

func andBits(t *temp, l, r *column.Column) {
	out := t.bits()
	for i := range out {
		out[i] = l.Bools[i] & r.Bools[i]
	}
	if l.Valid == nil && r.Valid == nil {
		return
	}
	valid := t.nullable()
	for i := range valid {
		lv, rv := validByte(l, i), validByte(r, i)
		yes := l.Bools[i] & lv & r.Bools[i] & rv
		no := ^l.Bools[i]&lv | ^r.Bools[i]&rv
		valid[i] = yes | no
	}
}

func orBits(t *temp, l, r *column.Column) {
	out := t.bits()
	for i := range out {
		out[i] = l.Bools[i]&validByte(l, i) | r.Bools[i]&validByte(r, i)
	}
	if l.Valid == nil && r.Valid == nil {
		return
	}
	valid := t.nullable()
	for i := range valid {
		lv, rv := validByte(l, i), validByte(r, i)
		no := ^l.Bools[i] & lv & ^r.Bools[i] & rv
		valid[i] = out[i] | no
	}
}

func validByte(c *column.Column, i int) byte {
	if c.Valid == nil {
		return 0xff
	}
	return c.Valid[i]
}

// filter asks each term only about the rows that the earlier ones left open.
func (l *logic) filter(x *exec, dst []int32) []int32 {
	outer := x.sel
	defer func() { x.sel = outer }()
	if l.and {
		rows := filter(l.terms[0], x, x.list())
		for _, n := range l.terms[1:] {
			x.sel = rows
			rows = filter(n, x, rows[:0])
		}
		dst = append(dst, rows...)
		x.giveBack(rows)
		return dst
	}
	hits, open := x.list(), append(x.list(), x.sel...)
	for _, n := range l.terms {
		x.sel = open
		found := filter(n, x, x.list())
		open = without(open, found)
		hits = merged(hits, found, x)
		x.giveBack(found)
	}
	dst = append(dst, hits...)
	x.giveBack(hits)
	x.giveBack(open)
	return dst
}

// without removes from ascending rows those of another ascending list.
func without(rows, gone []int32) []int32 {
	k, g := 0, 0
	for _, r := range rows {
		if g < len(gone) && gone[g] == r {
			g++
			continue
		}
		rows[k] = r
		k++
	}
	return rows[:k]
}

// merged merges two ascending lists without common rows; a is given back.
func merged(a, b []int32, x *exec) []int32 {
	if len(b) == 0 {
		return a
	}
	out := x.list()
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		if a[i] < b[j] {
			out = append(out, a[i])
			i++
		} else {
			out = append(out, b[j])
			j++
		}
	}
	out = append(append(out, a[i:]...), b[j:]...)
	x.giveBack(a)
	return out
}

// not is NOT of a condition.
type not struct{ x node }

func (n *not) typ() column.Type { return boolean }

func (n *not) eval(x *exec) *column.Column {
	c := n.x.eval(x)
	t := x.temp(boolean)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(c)
	out := t.bits()
	for i := range out {
		out[i] = ^c.Bools[i]
	}
	x.release(c)
	return &t.col
}

// isNull is x IS NULL, or IS NOT NULL when not is set.
type isNull struct {
	x   node
	not bool
}

func (n *isNull) typ() column.Type { return boolean }

func (n *isNull) eval(x *exec) *column.Column {
	c := n.x.eval(x)
	t := x.temp(boolean)
	if x.err != nil {
		return &t.col
	}
	out := t.bits()
	for i := range out {
		out[i] = ^validByte(c, i)
		if n.not {
			out[i] = ^out[i]
		}
	}
	x.release(c)
	return &t.col
}

// isTrue is x IS TRUE, which is never NULL.
type isTrue struct{ x node }

func (n *isTrue) typ() column.Type { return boolean }

func (n *isTrue) eval(x *exec) *column.Column {
	c := n.x.eval(x)
	t := x.temp(boolean)
	if x.err != nil {
		return &t.col
	}
	out := t.bits()
	for i := range out {
		out[i] = c.Bools[i] & validByte(c, i)
	}
	x.release(c)
	return &t.col
}

// among is x IN a list of numbers.
type among[T int64 | float64] struct {
	x   node
	set map[T]struct{}
	// null is set when the list has a NULL: what is not found is then unknown.
	null bool
}

func (a *among[T]) typ() column.Type { return boolean }

func (a *among[T]) eval(x *exec) *column.Column {
	c := a.x.eval(x)
	t := x.temp(boolean)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(c)
	out, in := t.bits(), values[T](c)
	for _, i := range x.sel {
		if _, ok := a.set[in[i]]; ok {
			out[i>>3] |= 1 << (i & 7)
		} else if a.null {
			t.setNull(i)
		}
	}
	x.release(c)
	return &t.col
}

// branches is CASE: the value of the first branch whose condition is true, else of the last
// one. Without a value (nil) it is NULL.
type branches struct {
	t      column.Type
	conds  []node
	values []node
}

func (b *branches) typ() column.Type { return b.t }

func (b *branches) eval(x *exec) *column.Column {
	outer := x.sel
	defer func() { x.sel = outer }()
	open := append(x.list(), outer...)
	parts := make([]part, 0, len(b.values))
	for i, v := range b.values {
		rows := open
		if i < len(b.conds) {
			x.sel = open
			rows = filter(b.conds[i], x, x.list())
			open = without(open, rows)
		}
		p := part{rows: rows}
		if v != nil && len(rows) > 0 {
			p.col = x.under(rows, v)
		}
		parts = append(parts, p)
	}
	return assemble(x, b.t, parts, outer)
}

// coalesce is the first of its values that is not null.
type coalesce struct {
	t      column.Type
	values []node
}

func (c *coalesce) typ() column.Type { return c.t }

func (c *coalesce) eval(x *exec) *column.Column {
	outer := x.sel
	open := append(x.list(), outer...)
	var parts []part
	for _, v := range c.values {
		if len(open) == 0 {
			break
		}
		col := x.under(open, v)
		rows := x.list()
		for _, i := range open {
			if !col.IsNull(int(i)) {
				rows = append(rows, i)
			}
		}
		open = without(open, rows)
		parts = append(parts, part{col: col, rows: rows})
	}
	parts = append(parts, part{rows: open})
	return assemble(x, c.t, parts, outer)
}

// part is the rows that take their value from a column, NULL if that is nil.
type part struct {
	col  *column.Column
	rows []int32
}

// assemble makes a column of parts, which together have the rows of sel, and gives back what they hold.
func assemble(x *exec, typ column.Type, parts []part, sel []int32) *column.Column {
	t := x.temp(typ)
	if x.err == nil {
		blend(x, t, parts, sel)
	}
	for _, p := range parts {
		if p.col != nil {
			x.release(p.col)
		}
		x.giveBack(p.rows)
	}
	return &t.col
}

// blend fills t from parts, which together have the rows of sel.
func blend(x *exec, t *temp, parts []part, sel []int32) {
	switch t.col.Type.Kind {
	case column.Boolean:
		t.bits()
	case column.Int, column.Date:
		t.int32s()
	case column.BigInt, column.Timestamp, column.Time, interval.Kind:
		t.int64s()
	case column.Decimal:
		t.wides()
	case column.UUID:
		t.sixteens()
	case column.List, column.Struct:
		blendNested(x, t, parts)
		return
	case column.Float:
		t.float32s()
	case column.Double:
		t.float64s()
	default:
		blendTexts(x, t, parts, sel)
		return
	}
	for _, p := range parts {
		for _, i := range p.rows {
			if p.col == nil || p.col.IsNull(int(i)) {
				t.setNull(i)
				continue
			}
			switch t.col.Type.Kind {
			case column.Boolean:
				t.bools[i>>3] |= byte(bit(p.col.Bools.Get(int(i)))) << (i & 7)
			case column.Int, column.Date:
				t.i32[i] = p.col.Int32s[i]
			case column.Float:
				t.f32[i] = p.col.Float32s[i]
			case column.Double:
				t.f64[i] = p.col.Float64s[i]
			case column.UUID:
				copy(t.fixed[16*i:16*i+16], p.col.Fixed[16*i:])
			default:
				if t.col.Fixed != nil {
					copy(t.fixed[16*i:16*i+16], p.col.Fixed[16*i:])
				} else {
					t.i64[i] = p.col.Int64s[i]
				}
			}
		}
	}
}

// blendNested copies lists and structs row by row.
func blendNested(x *exec, t *temp, parts []part) {
	from := make([]*column.Column, x.n)
	for _, p := range parts {
		for _, i := range p.rows {
			from[i] = p.col
		}
	}
	b := build.New(t.col.Type)
	var row [1]int32
	for i, c := range from {
		if row[0] = int32(i); c == nil {
			b.Null()
		} else {
			b.Rows(c, row[:])
		}
	}
	t.col = *b.Finish()
}

func blendTexts(x *exec, t *temp, parts []part, sel []int32) {
	from := make([]*column.Column, x.n)
	for _, p := range parts {
		for _, i := range p.rows {
			if p.col == nil || p.col.IsNull(int(i)) {
				t.setNull(i)
				continue
			}
			from[i] = p.col
		}
	}
	w := t.writer()
	for _, i := range sel {
		w.row(i)
		if from[i] != nil {
			w.buf = append(w.buf, from[i].Text(int(i))...)
			if w.full(x) {
				break
			}
		}
	}
	w.finish()
}
