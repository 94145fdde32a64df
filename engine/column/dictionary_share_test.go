package column

import (
	"fmt"
	"testing"
)

func TestDictionariesOfManyColumnsShareTheirMemory(t *testing.T) {
	schema := &Schema{}
	row := []byte("{")
	for i := range 1000 {
		schema.Fields = append(schema.Fields, Field{Name: fmt.Sprint("c", i), Type: Type{Kind: String}})
	}
	d := NewDecoder(schema, nil, Options{})
	for n := range 4000 {
		row = append(row[:0], '{')
		for i := range 1000 {
			if i > 0 {
				row = append(row, ',')
			}
			row = fmt.Appendf(row, `"c%d":"v%d"`, i, n*7919+i)
		}
		row = append(row, '}')
		if err := d.Add(row, 0, 0); err != nil {
			t.Fatal(err)
		}
		if d.Bytes() > 1<<20 {
			d.Release(d.Take(Origin{}))
		}
	}
	held := 0
	for _, f := range d.root.fields {
		held += len(f.dict.dict.Bytes) + 4*len(f.dict.dict.Offsets) + 8*len(f.dict.dict.hashes) + 8*len(f.dict.table)
	}
	// Each entry of the budget stands for its text and what finds it; tables double.
	if limit := 4 * allDictionaries; held > limit {
		t.Errorf("the dictionaries hold %d MiB, more than %d", held>>20, limit>>20)
	}
}
