package objects

import (
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
)

// TestPartitionsByValuesThatNoDictionaryPaysFor takes the rows from the decoder, which has given
// up the dictionary of the partition's column.
func TestPartitionsByValuesThatNoDictionaryPaysFor(t *testing.T) {
	const values, batches, rows = 5000, 6, 10_000
	c := newChunk(t, func(s *Settings) { s.Layout.PartitionBy = []string{"a"} })
	d := column.NewDecoder(people, nil, column.Options{})
	plain := false
	for n := range batches {
		for i := range rows {
			id := n*rows + i
			event := fmt.Appendf(nil, `{"id":%d,"a":"value %d","b":"x"}`, id, id%values)
			if err := d.Add(event, record.Ordinal(id), 1); err != nil {
				t.Fatal(err)
			}
		}
		b := d.Take(column.Origin{})
		plain = plain || b.Columns[1].Dict == nil
		addAll(t, c, []*column.Batch{b})
		d.Release(b)
	}
	if !plain {
		t.Error("all batches had dictionaries")
	}
	plan, err := c.Plan(cut1)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range plan.Objects {
		if o.Rows != batches*rows/values {
			t.Fatalf("%s has %d rows, want %d", o.Key, o.Rows, batches*rows/values)
		}
	}
	if len(plan.Objects) != values {
		t.Errorf("%d objects, want %d", len(plan.Objects), values)
	}
}
