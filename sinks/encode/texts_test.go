package encode

import (
	"fmt"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

// Tables from a decoder's ids outlive the file, what they say does not.
func TestIDsOfEarlierFilesAreForgotten(t *testing.T) {
	dict := &column.Dict{Offsets: []int32{0}}
	for i := range 40 {
		dict.Bytes = fmt.Appendf(dict.Bytes, "value %d", i)
		dict.Offsets = append(dict.Offsets, int32(len(dict.Bytes)))
	}
	d := newTexts()
	for file := range 40 {
		if file == 20 {
			d.base = lastBase - 3 // it begins anew within these files
		}
		c := &column.Column{Type: kind(column.String), Dict: dict, DictLen: 40}
		var want []string
		for i := range 5 + file {
			id := int32((i*7 + file*11) % 40)
			c.IDs = append(c.IDs, id)
			want = append(want, fmt.Sprintf("value %d", id))
		}
		c.Len = len(c.IDs)
		for range 2 {
			ids := d.appendIDs(nil, c, rows{to: c.Len})
			for i, id := range ids {
				if got := string(d.value(id)); got != want[i] {
					t.Fatalf("file %d, row %d: %q, want %q", file, i, got, want[i])
				}
			}
			if ids[0] != 0 || d.len() != len(distinct(want)) {
				t.Fatalf("file %d: first id %d, %d values, want %d", file, ids[0], d.len(), len(distinct(want)))
			}
		}
		b := d.bounds(column.String)
		if string(b.min) != slices.Min(want) || string(b.max) != slices.Max(want) {
			t.Fatalf("file %d: from %q to %q, want %q to %q", file, b.min, b.max, slices.Min(want), slices.Max(want))
		}
		d.reset()
	}
	if d.base > lastBase {
		t.Errorf("base %d", d.base)
	}
}

func distinct(s []string) map[string]bool {
	m := map[string]bool{}
	for _, v := range s {
		m[v] = true
	}
	return m
}
