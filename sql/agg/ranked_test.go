package agg

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

func TestMoreValuesThanAGroupMayHaveAreDamage(t *testing.T) {
	columns := rows(rand.New(rand.NewPCG(3, 4)), 100)
	value, time := fieldTypes[aDouble], fieldTypes[aTime]
	for name, c := range map[string]struct {
		make func(limit int) accumulator
		args []*column.Column
	}{
		"lists": {func(limit int) accumulator { return newLists(Spec{Args: []column.Type{value, time}, Limit: limit}) },
			[]*column.Column{columns[aDouble], columns[aTime]}},
		"rankings": {func(limit int) accumulator {
			return newRankings(Spec{Func: MaxsBy, Args: []column.Type{value, time, time}, Limit: limit})
		}, []*column.Column{columns[aDouble], columns[aTime], columns[aTime]}},
	} {
		a := c.make(5)
		a.grow(1)
		a.add(make([]uint32, 100), c.args, upTo(100))
		frame := a.append(nil)
		for limit, want := range map[int]error{5: nil, 4: ErrSnapshot} {
			r := NewReader(frame)
			c.make(limit).read(r, 1)
			if !errors.Is(r.Err(), want) {
				t.Errorf("%s of 5 values read with a limit of %d: %v", name, limit, r.Err())
			}
		}
	}
}
