package agg

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

func TestPickedSizeIsWhatAppendWrites(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	l := everything()
	columns := rows(r, 900)
	table := l.New()
	fold(table, columns, upTo(900))
	for range 20 {
		groups := inOrder(table.Len())
		r.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
		groups = groups[:r.IntN(len(groups)+1)]
		if got, want := table.PickedSize(groups), len(table.Pick(groups).Append(nil)); got != want {
			t.Fatalf("groups %v take %d bytes, Append writes %d", groups, got, want)
		}
	}
}

func TestPickedSizeCountsGroupsOfTwoBytes(t *testing.T) {
	l := NewLayout(fieldTypes[:1], []Spec{{Func: CountDistinct, Args: fieldTypes[:1], Out: bigint}})
	table := l.New()
	var b Batch
	columns := manyKeys(300)
	l.Prepare(&b, columns, upTo(300), 300)
	table.Add(table.Find(&b, upTo(300), nil), columns, upTo(300))
	if got, want := table.PickedSize(inOrder(300)), len(table.Pick(inOrder(300)).Append(nil)); got != want {
		t.Errorf("300 groups take %d bytes, Append writes %d", got, want)
	}
}

// manyKeys is a column of different numbers.
func manyKeys(n int) []*column.Column {
	c := build.New(bigint)
	for i := range n {
		c.Int(int64(i))
	}
	return []*column.Column{c.Finish()}
}
