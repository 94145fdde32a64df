package objects

import (
	"io"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
)

// In the stage it would be held twice more: there, and where it is read back.
func TestAVeryLargeRowGoesToItsEncoderAtOnce(t *testing.T) {
	c := newChunk(t, func(s *Settings) { s.Layout.PartitionBy = []string{"a"} })
	long := strings.Repeat("0123456789abcdef", heavyText/16)
	ids := []int64{0, 1, 2, 3, 4, 5}
	a, b := column.NewBuilder(people.Fields[1].Type), column.NewBuilder(people.Fields[1].Type)
	for _, id := range ids {
		a.AppendText([]byte{"xy"[id%2]})
		b.AppendText([]byte([]string{"short", long, "short"}[id%3]))
	}
	batch, err := column.NewBatch(people, []*column.Column{column.Int64s(people.Fields[0].Type, ids, nil), a.Finish(), b.Finish()})
	if err != nil {
		t.Fatal(err)
	}
	batch.Origin = column.Origin{Shard: record.ShardID(0), Arrivals: make([]int64, len(ids))}
	addAll(t, c, []*column.Batch{batch})
	if n := c.stage.total; n > 1000 {
		t.Errorf("%d bytes of rows are staged", n)
	}
	plan, err := c.Plan(cut1)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Objects) != 2 {
		t.Fatalf("%d objects", len(plan.Objects))
	}
	for i, o := range plan.Objects {
		p := c.frozen[o.Key]
		text, err := io.ReadAll(io.NewSectionReader(c.content(p), 0, p.size))
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(text), "\n"); lines != 3 || o.Rows != 3 || strings.Count(string(text), long) != 1 ||
			strings.Count(string(text), `"a":"`+"xy"[i:i+1]+`"`) != 3 {
			t.Errorf("%s has %d lines, %d rows, %d bytes", o.Key, lines, o.Rows, len(text))
		}
	}
}
