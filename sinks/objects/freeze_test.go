package objects

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Two objects of three are larger than what is held of it until its turn comes.
func TestObjectsAreTheSameHoweverManyAreCompletedAtOnce(t *testing.T) {
	write := func(workers int) map[string]string {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(workers))
		c := newChunk(t, func(s *Settings) { s.Layout = Layout{PartitionBy: []string{"a"}} })
		long := strings.Repeat("many words ", 5000)
		for i := range 30 {
			var rows []person
			for p := range 18 {
				text := fmt.Sprint(i)
				if p%3 > 0 {
					text = long
				}
				rows = append(rows, of(fmt.Sprint(p), text))
			}
			addAll(t, c, batches(i*18, rows...))
		}
		objects := contents(t, c)
		if c.finished.size() < 6*spoolMemory {
			t.Fatalf("only %d bytes of staged objects", c.finished.size())
		}
		return objects
	}
	one := write(1)
	for key, text := range one {
		if n := strings.Count(text, "\n"); n != 30 {
			t.Errorf("%s has %d rows", key, n)
		}
	}
	if len(one) != 18 {
		t.Errorf("%d objects", len(one))
	}
	for range 3 {
		if d := cmp.Diff(one, write(4)); d != "" {
			t.Fatalf("with four: %.2000s", d)
		}
	}
}
