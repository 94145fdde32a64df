package sql

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql/expr"
)

// maxUnnested is how many bytes of texts and lists a batch may be given by repeating its rows.
const maxUnnested = 64 << 20

// unnester runs an unnestStep. It holds memory that is used again.
type unnester struct {
	plan *unnestStep
	list *expr.Program

	all []int32 // 0, 1, 2, …
	// of and to are pairs of rows of the batch and of the elements, -1 for none; places those of the
	// elements in their lists, from 1.
	of, to  []int32
	places  []int64
	fields  []int32
	picked  pickers
	number  column.Column
	missing column.Bitmap
	out     column.Batch
	origins origins
}

func newUnnester(p *unnestStep) *unnester {
	return &unnester{plan: p, list: p.list.Clone(), picked: make(pickers, len(p.out.Fields))}
}

func (u *unnester) twin() runner { return newUnnester(u.plan) }

// apply returns a row for each element.
func (u *unnester) apply(b *column.Batch) (*column.Batch, []int32, error) {
	list, err := u.pair(b)
	if err != nil {
		return nil, nil, err
	}
	size, largest := u.size(b)
	switch {
	case largest > maxUnnested:
		return nil, nil, tooWide(largest)
	case b.Selected() > 1 && (len(u.of) > mostJoined || size > maxUnnested):
		return nil, nil, errWide
	}
	return u.repeat(b, list), u.of, nil
}

func tooWide(bytes int64) error {
	return fmt.Errorf("UNNEST would repeat %d MiB of the columns beside the list for one row, more than %d MiB; select fewer columns", bytes>>20, maxUnnested>>20)
}

// spread is apply for rows of windows, which come in one batch.
func (u *unnester) spread(b *column.Batch) (*column.Batch, error) {
	list, err := u.pair(b)
	if err != nil {
		return nil, err
	}
	if _, largest := u.size(b); largest > maxUnnested {
		return nil, tooWide(largest)
	}
	return u.repeat(b, list), nil
}

// pair lists the rows with their elements, and returns the lists.
func (u *unnester) pair(b *column.Batch) (*column.Column, error) {
	list, err := u.list.Eval(b)
	if err != nil {
		return nil, fmt.Errorf("evaluate UNNEST: %w", err)
	}
	rows := b.Selection
	if rows == nil {
		u.count(b.Rows)
		rows = u.all[:b.Rows]
	}
	u.of, u.to, u.places = u.of[:0], u.to[:0], u.places[:0]
	for _, r := range rows {
		from, to := list.Offsets[r], list.Offsets[r+1]
		if from == to || list.IsNull(int(r)) {
			if u.plan.left {
				u.of, u.to, u.places = append(u.of, r), append(u.to, -1), append(u.places, 0)
			}
			continue
		}
		for i := from; i < to; i++ {
			u.of, u.to, u.places = append(u.of, r), append(u.to, i), append(u.places, int64(i-from)+1)
		}
	}
	return list, nil
}

func (u *unnester) count(n int) {
	for len(u.all) < n {
		u.all = append(u.all, int32(len(u.all)))
	}
}

// reads reports whether column f of the output is read by anybody.
func (u *unnester) reads(f int) bool { return u.plan.wanted == nil || u.plan.wanted[f] }

// size is how many bytes of texts and lists the repeated rows have, all of them and the largest one.
func (u *unnester) size(b *column.Batch) (all, largest int64) {
	for i := 0; i < len(u.of); {
		r, n := u.of[i], int64(0)
		for ; i < len(u.of) && u.of[i] == r; i++ {
			n++
		}
		bytes := int64(0)
		for f, c := range b.Columns {
			if c != nil && u.reads(f) {
				bytes += held(c, int(r))
			}
		}
		all, largest = all+n*bytes, max(largest, n*bytes)
	}
	return all, largest
}

// held is the bytes of the texts and lists in a row.
func held(c *column.Column, r int) int64 {
	if c.IsNull(r) {
		return 0
	}
	n := int64(0)
	switch {
	case c.Dict != nil:
	case c.Type.Kind == column.String, c.Type.Kind == column.Binary, c.Type.Kind == column.JSON:
		n = int64(c.Offsets[r+1] - c.Offsets[r])
	case c.Type.Kind == column.Struct:
		for _, child := range c.Children {
			n += held(child, r)
		}
	case c.Type.Kind == column.List:
		n = 8 * int64(c.Offsets[r+1]-c.Offsets[r])
		for i := c.Offsets[r]; i < c.Offsets[r+1]; i++ {
			n += held(c.Children[0], int(i))
		}
	}
	return n
}

// repeat is a batch of the pairs.
func (u *unnester) repeat(b *column.Batch, list *column.Column) *column.Batch {
	p, n := u.plan, len(u.of)
	u.count(n)
	rows := u.all[:n]
	columns := u.out.Columns[:0]
	for f, c := range b.Columns {
		if c != nil && u.reads(f) {
			c = u.picked[f].pick(c, u.of, rows, n)
		} else {
			c = nil
		}
		columns = append(columns, c)
	}
	elements := list.Children[0]
	sources, at := []*column.Column{elements}, u.to
	if p.fields {
		sources, at = elements.Children, u.present(elements)
	}
	for _, c := range sources {
		f := len(columns)
		if !u.reads(f) {
			columns = append(columns, nil)
			continue
		}
		columns = append(columns, u.picked[f].pick(c, at, rows, n))
	}
	if p.ordinality {
		columns = append(columns, u.numbers(n))
	}
	u.out = column.Batch{Schema: p.out, Rows: n, Origin: b.Origin, Columns: columns}
	u.origins.spread(&u.out, b, u.of)
	return &u.out
}

// present is to without the structs that are null, none of whose fields has a value.
func (u *unnester) present(elements *column.Column) []int32 {
	if elements.Valid == nil {
		return u.to
	}
	u.fields = u.fields[:0]
	for _, i := range u.to {
		if i >= 0 && elements.IsNull(int(i)) {
			i = -1
		}
		u.fields = append(u.fields, i)
	}
	return u.fields
}

// numbers is the column of WITH ORDINALITY.
func (u *unnester) numbers(n int) *column.Column {
	u.number = column.Column{Type: column.Type{Kind: column.BigInt}, Len: n, Int64s: u.places}
	u.missing = sized(u.missing, (n+7)/8)
	for i := range u.missing {
		u.missing[i] = 0xff
	}
	for i, place := range u.places {
		if place == 0 {
			u.missing[i>>3] &^= 1 << (i & 7)
			u.number.Nulls++
		}
	}
	if u.number.Nulls > 0 {
		u.number.Valid = u.missing
	}
	return &u.number
}

// origins is memory for where the rows of a batch come from.
type origins struct {
	ordinals  []record.Ordinal
	arrivals  []int64
	watermark []int64
}

// spread gives row i of out the origin of row of[i] of b.
func (o *origins) spread(out, b *column.Batch, of []int32) {
	if b.Origin.Ordinals != nil {
		o.ordinals = gather(o.ordinals, b.Origin.Ordinals, of)
		out.Origin.Ordinals = o.ordinals
	}
	if b.Origin.Arrivals != nil {
		o.arrivals = gather(o.arrivals, b.Origin.Arrivals, of)
		out.Origin.Arrivals = o.arrivals
	}
	if b.Watermarks != nil {
		o.watermark = gather(o.watermark, b.Watermarks, of)
		out.Watermarks = o.watermark
	}
}
