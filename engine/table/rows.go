package table

import (
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/build"
)

// rows gathers the rows of a table within its memory.
type rows struct {
	spec    *Spec
	columns []*gathered
	n       int
	all     []int32 // 0, 1, 2, …
}

// gathered is one column: texts are numbers of distinct values, so that what is computed of them is
// computed once for each.
type gathered struct {
	column *build.Column
	values *column.Values
}

func newRows(s *Spec) *rows {
	r := &rows{spec: s}
	for _, f := range s.Schema.Fields {
		g := &gathered{column: build.New(f.Type)}
		if f.Type.Kind == column.String {
			g.column = build.New(column.Type{Kind: column.Int})
			g.values = column.NewValues(int(s.Memory))
		}
		r.columns = append(r.columns, g)
	}
	return r
}

// text appends to a column of texts.
func (g *gathered) text(v []byte) bool {
	if g.values == nil {
		g.column.Text(v)
		return true
	}
	id, ok := g.values.ID(v)
	g.column.Int(int64(id))
	return ok
}

// add appends all rows of a batch. Error: *TooLargeError.
func (r *rows) add(b *column.Batch) error {
	for i, g := range r.columns {
		c := b.Columns[i]
		if g.values == nil {
			for len(r.all) < b.Rows {
				r.all = append(r.all, int32(len(r.all)))
			}
			g.column.Rows(c, r.all[:b.Rows])
			continue
		}
		for k := range b.Rows {
			if c.IsNull(k) {
				g.column.Null()
			} else if !g.text(c.Text(k)) {
				return &TooLargeError{r.spec.Memory}
			}
		}
	}
	r.n += b.Rows
	return r.fits()
}

// fits reports whether the rows so far are within the memory.
func (r *rows) fits() error {
	if r.memory() > r.spec.Memory {
		return &TooLargeError{r.spec.Memory}
	}
	return nil
}

func (r *rows) memory() int64 {
	n := int64(r.n) * indexBytes * int64(max(r.spec.Uses, 1))
	for _, g := range r.columns {
		n += g.column.Bytes()
		if g.values != nil {
			n += g.values.Memory()
		}
	}
	return n
}

// finish is all rows as a batch.
func (r *rows) finish() (*column.Batch, error) {
	out := &column.Batch{Schema: r.spec.Schema, Rows: r.n}
	for i, g := range r.columns {
		c := g.column.Finish()
		if g.values != nil {
			c.Type = r.spec.Schema.Fields[i].Type
			c.IDs, c.Int32s = c.Int32s, nil
			c.Dict, c.DictLen = g.values.Dict()
		}
		out.Columns = append(out.Columns, c)
	}
	return out, r.unique(out)
}

// unique checks the key.
func (r *rows) unique(b *column.Batch) error {
	if len(r.spec.Key) == 0 {
		return nil
	}
	var keys []*column.Column
	var types []column.Type
	for _, name := range r.spec.Key {
		c := b.Columns[b.Schema.Index(name)]
		for i := range b.Rows {
			if c.IsNull(i) {
				return fmt.Errorf("row %d has no %s, which is its key", i+1, name)
			}
		}
		keys, types = append(keys, c), append(types, c.Type)
	}
	all := make([]int32, b.Rows)
	for i := range all {
		all[i] = int32(i)
	}
	x := agg.NewLayout(types, nil).Index(keys, all, b.Rows)
	if x.Unique() {
		return nil
	}
	for i := range all {
		if next := x.Next(int32(i)); next >= 0 {
			return fmt.Errorf("rows %d and %d have the same key (%s); make the content unique, or remove key, and both are joined", i+1, next+1, strings.Join(r.spec.Key, ", "))
		}
	}
	return nil
}
