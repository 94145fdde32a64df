package column

import (
	"fmt"
	"testing"
)

// TestTextsWithoutADictionaryAreNothingElse: readers tell the kinds of values by the slices that
// are set.
func TestTextsWithoutADictionaryAreNothingElse(t *testing.T) {
	schema := &Schema{Fields: []Field{{Name: "k", Type: Type{Kind: String}}}}
	d := NewDecoder(schema, nil, Options{})
	plain := 0
	for from := 0; from < 5*dictionaryTrial; from += dictionaryTrial {
		events := make([][]byte, dictionaryTrial)
		for i := range events {
			events[i] = fmt.Appendf(nil, `{"k":"%d"}`, from+i)
		}
		b := decodeAll(t, d, events)
		c := b.Columns[0]
		if c.Dict == nil {
			plain++
			if c.Int32s != nil || c.IDs != nil {
				t.Errorf("batch at %d: texts with %d numbers and %d ids", from, len(c.Int32s), len(c.IDs))
			}
		}
		for i := range b.Rows {
			if got := string(c.Text(i)); got != fmt.Sprint(from+i) {
				t.Fatalf("row %d is %s", from+i, got)
			}
		}
		d.Release(b)
	}
	if plain == 0 {
		t.Error("all batches had dictionaries")
	}
}
