package objects

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
)

// dictPeople is a batch of people whose a and b are ids of the dictionary that they share; b is null in some rows.
func dictPeople(first, rows int, texts []string, nulls bool) *column.Batch {
	d := &column.Dict{Offsets: []int32{0}}
	for _, t := range texts {
		d.Bytes = append(d.Bytes, t...)
		d.Offsets = append(d.Offsets, int32(len(d.Bytes)))
	}
	b := &column.Batch{Schema: people, Rows: rows}
	id := &column.Column{Type: people.Fields[0].Type, Len: rows}
	a := &column.Column{Type: people.Fields[1].Type, Len: rows, Dict: d, DictLen: len(texts)}
	c := &column.Column{Type: people.Fields[2].Type, Len: rows, Dict: d, DictLen: len(texts)}
	if nulls {
		c.Valid = make(column.Bitmap, (rows+7)/8)
	}
	for i := range rows {
		id.Int64s = append(id.Int64s, int64(first+i))
		a.IDs = append(a.IDs, int32((first+i)%5))
		c.IDs = append(c.IDs, int32((first+i)%len(texts)))
		switch {
		case !nulls:
		case i%3 > 0:
			c.Valid.Set(i)
		default:
			c.Nulls++
		}
	}
	b.Columns = []*column.Column{id, a, c}
	return b
}

// plain is the batch without dictionaries.
func plain(t *testing.T, b *column.Batch) *column.Batch {
	t.Helper()
	var columns []*column.Column
	for _, c := range b.Columns {
		x := column.NewBuilder(c.Type)
		for i := range b.Rows {
			x.AppendFrom(c, i)
		}
		columns = append(columns, x.Finish())
	}
	p, err := column.NewBatch(people, columns)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func texts(n int, format string) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return all
}

// Rows come with ids of one decoder after the other, plain, null, and beyond what the stage's dictionary takes.
func TestStagedTextsAreTheSameWithAndWithoutIDs(t *testing.T) {
	long := strings.Repeat("x", 200) + "%d"
	for name, all := range map[string][]*column.Batch{
		"one decoder":      {dictPeople(0, 500, texts(40, "v%d"), false), dictPeople(500, 500, texts(40, "v%d"), false)},
		"nulls in between": {dictPeople(0, 500, texts(40, "v%d"), false), dictPeople(500, 500, texts(60, "v%d"), true), dictPeople(1000, 300, texts(60, "v%d"), false)},
		"other values":     {dictPeople(0, 500, texts(40, "v%d"), false), dictPeople(500, 500, texts(70, "w%d"), false)},
		"the empty text":   {dictPeople(0, 50, append(texts(9, "v%d"), ""), true)},
		"plain in between": {dictPeople(0, 500, texts(40, "v%d"), false), plain(t, dictPeople(500, 90, texts(5, "p%d"), true)), dictPeople(590, 300, texts(60, "v%d"), false)},
		"more than fits":   {dictPeople(0, 3000, texts(3000, long), false), dictPeople(3000, 3000, texts(3000, long), true)},
		"a dozen of decoders": func() (all []*column.Batch) {
			for i := range 24 {
				all = append(all, dictPeople(i*100, 100, texts(30+i%12, fmt.Sprint(i%12)+"-%d"), false))
			}
			return all
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			write := func(plainly bool) (map[string]string, *Chunk) {
				c := newChunk(t, func(s *Settings) { s.Layout = Layout{PartitionBy: []string{"a"}} })
				for _, b := range all {
					if plainly {
						b = plain(t, b)
					}
					addAll(t, c, []*column.Batch{b})
				}
				return contents(t, c), c
			}
			want, one := write(true)
			got, two := write(false)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%.2000s", d)
			}
			for i, p := range one.list {
				if q := two.list[i]; p.hash != q.hash || p.rows != q.rows {
					t.Errorf("%s: %d rows %s, %d rows %s with ids", p.path, p.rows, p.hash, q.rows, q.hash)
				}
			}
		})
	}
}

func TestTheStageHoldsAsMuchAsItsDictionariesMay(t *testing.T) {
	c := newChunk(t, func(s *Settings) { s.Layout = Layout{PartitionBy: []string{"a"}} })
	for i := range 40 {
		addAll(t, c, []*column.Batch{dictPeople(i*1000, 1000, texts(1000, strings.Repeat("x", 200)+fmt.Sprint(i)+"-%d"), false)})
	}
	for i, x := range c.stage.texts {
		if x != nil && x.memory() > 2*int64(c.stage.textsLimit) {
			t.Errorf("column %d: %d bytes, may have %d", i, x.memory(), c.stage.textsLimit)
		}
	}
}
