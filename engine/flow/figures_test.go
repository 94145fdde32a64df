package flow

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFiguresOfTasksAddUp(t *testing.T) {
	a := &Figures{Partitions: 1, Memory: map[string]int64{"x": 2}, Spilled: 3}
	b := &Figures{Partitions: 10, Memory: map[string]int64{"x": 20, "y": 5}, Spilled: 30}
	want := &Figures{Partitions: 11, Memory: map[string]int64{"x": 22, "y": 5}, Spilled: 33}
	var none *Figures
	if d := cmp.Diff(want, none.add(a).add(nil).add(b)); d != "" {
		t.Error(d)
	}
	if a.Memory["x"] != 2 {
		t.Error("a summand changed")
	}
}
