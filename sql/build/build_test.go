package build

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

// cell is row i of a column as text.
func cell(c *column.Column, i int) string {
	if c.IsNull(i) {
		return "-"
	}
	switch c.Type.Kind {
	case column.Boolean:
		return fmt.Sprint(c.Bools.Get(i))
	case column.Int, column.Date:
		return fmt.Sprint(c.Int32s[i])
	case column.Float:
		return fmt.Sprint(c.Float32s[i])
	case column.Double:
		return fmt.Sprint(c.Float64s[i])
	case column.String, column.Binary, column.JSON:
		return string(c.Text(i))
	case column.List:
		var out []string
		for k := c.Offsets[i]; k < c.Offsets[i+1]; k++ {
			out = append(out, cell(c.Children[0], int(k)))
		}
		return "[" + strings.Join(out, " ") + "]"
	case column.Struct:
		var out []string
		for _, child := range c.Children {
			out = append(out, cell(child, i))
		}
		return "{" + strings.Join(out, " ") + "}"
	}
	if c.Fixed != nil {
		return fmt.Sprintf("%x", c.Fixed[16*i:16*i+16])
	}
	return fmt.Sprint(c.Int64s[i])
}

func fill(b *Column, i int) {
	switch b.col.Type.Kind {
	case column.Float, column.Double:
		b.Float(float64(i) + 0.5)
	case column.String, column.Binary, column.JSON:
		b.Text([]byte(fmt.Sprint("t", i)))
	default:
		if b.fixed() {
			b.Text([]byte(fmt.Sprintf("0123456789abcde%d", i%10)))
		} else {
			b.Int(int64(i % 2))
		}
	}
}

func TestCopiedRowsAreTheSame(t *testing.T) {
	leafs := []column.Type{{Kind: column.Boolean}, {Kind: column.Int}, {Kind: column.BigInt}, {Kind: column.Float}, {Kind: column.Double},
		{Kind: column.String}, {Kind: column.Binary}, {Kind: column.Date}, {Kind: column.Time}, {Kind: column.Timestamp}, {Kind: column.UUID},
		{Kind: column.JSON}, {Kind: column.Decimal, Precision: 10, Scale: 2}, {Kind: column.Decimal, Precision: 30, Scale: 2}}
	for _, leaf := range leafs {
		list := column.Type{Kind: column.List, Elem: &leaf}
		whole := column.Type{Kind: column.Struct, Fields: []column.Field{{Name: "a", Type: leaf}, {Name: "l", Type: list}}}
		b := New(whole)
		for i := range 20 {
			if i%7 == 3 {
				b.Null()
				continue
			}
			if i%3 == 0 {
				b.children[0].Null()
			} else {
				fill(b.children[0], i)
			}
			l := b.children[1]
			for k := range i % 4 {
				fill(l.children[0], k)
			}
			l.col.Offsets = append(l.col.Offsets, int32(l.children[0].Len()))
			l.next()
			b.next()
		}
		from := b.Finish()
		copied := New(whole)
		rows := []int32{0, 3, 4, 5, 11, 19, 19, 10}
		copied.Rows(from, rows)
		to := copied.Finish()
		if to.Len != len(rows) || to.Nulls != 2 {
			t.Errorf("%s: %d rows, %d nulls", leaf, to.Len, to.Nulls)
		}
		for i, r := range rows {
			if got, want := cell(to, i), cell(from, int(r)); got != want {
				t.Errorf("%s: row %d is %s, want %s", leaf, r, got, want)
			}
		}
	}
}

func TestNullsBeforeAndAfterValues(t *testing.T) {
	b := New(column.Type{Kind: column.String})
	for i := range 20 {
		if i == 9 || i == 19 {
			b.Null()
		} else {
			b.Text([]byte{byte('a' + i)})
		}
	}
	c := b.Finish()
	for i := range 20 {
		want := string(rune('a' + i))
		if i == 9 || i == 19 {
			want = "-"
		}
		if got := cell(c, i); got != want {
			t.Errorf("row %d is %q", i, got)
		}
	}
}
