package agg

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// conditions is more than one set has marks for.
const conditions = maxMarked + 2

// counting counts the values of a number and of a text, and of each those with different conditions.
func counting(shared bool) *Layout {
	var specs []Spec
	for _, t := range []column.Type{bigint, text} {
		specs = append(specs, Spec{Func: CountDistinct, Args: []column.Type{t}, Out: bigint})
		lead := len(specs)
		for range conditions {
			s := Spec{Func: CountDistinct, Args: []column.Type{t}, Out: bigint, Filtered: true}
			if shared {
				s.Same = lead
			}
			specs = append(specs, s)
		}
	}
	return NewLayout([]column.Type{bigint}, specs)
}

// conditional is n rows: a key, a number, a text, and the conditions.
func conditional(r *rand.Rand, n int) []*column.Column {
	types := []column.Type{bigint, bigint, text}
	for range conditions {
		types = append(types, boolean)
	}
	out := make([]*column.Column, len(types))
	for i, t := range types {
		c := build.New(t)
		for range n {
			switch {
			case i > 0 && r.IntN(6) == 0:
				c.Null()
			case i == 0:
				c.Int(r.Int64N(4))
			case i == 2:
				c.Text(fmt.Append(nil, r.IntN(60)))
			case i == 1:
				c.Int(r.Int64N(600))
			default:
				c.Int(int64(flag(r.IntN(i) == 0)))
			}
		}
		out[i] = c.Finish()
	}
	return out
}

func foldConditional(t *Table, columns []*column.Column, rows []int32) {
	var b Batch
	t.layout.Prepare(&b, columns[:1], rows, columns[0].Len)
	var args []*column.Column
	for _, c := range columns[1:3] {
		args = append(args, c)
		for _, condition := range columns[3:] {
			args = append(args, c, condition)
		}
	}
	t.Add(t.Find(&b, rows, nil), args, rows)
}

// counts are the results by key.
func counts(t *Table) []string { return results(t, func(int) bool { return true }) }

func TestValuesWithMarksCountAsThoseWithSetsOfTheirOwn(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	columns := conditional(r, 4000)
	var want []string
	for _, shared := range []bool{false, true} {
		l := counting(shared)
		whole := l.New()
		for part := range slices.Chunk(upTo(4000), 300) {
			foldConditional(whole, columns, part)
		}
		if !shared {
			want = counts(whole)
		}
		check := func(what string, table *Table) {
			t.Helper()
			if got := counts(table); !slices.Equal(got, want) {
				t.Errorf("shared %v, %s: %v\nwant %v", shared, what, got, want)
			}
		}
		check("in batches", whole)

		reader := NewReader(whole.Append(nil))
		check("from a snapshot", counting(shared).Read(reader))
		check("from a snapshot of the other kind", counting(!shared).Read(NewReader(whole.Append(nil))))

		parts := []*Table{l.New(), l.New(), l.New()}
		for i, part := range slices.Collect(slices.Chunk(upTo(4000), 900)) {
			foldConditional(parts[i%3], columns, part)
		}
		merged := l.New()
		for _, p := range parts {
			merged.Merge(p)
		}
		check("merged", merged)

		for _, byValue := range []bool{false, true} {
			all := l.New()
			for section := range KeyGroups {
				one := l.New()
				for _, p := range parts {
					one.MergeSection(p.Divide(byValue), section)
				}
				if all.Merge(one); byValue {
					all.Settle()
				}
			}
			check(fmt.Sprintf("in sections, by value %v", byValue), all)
		}
	}
}

func TestMarksAreOfValuesThatAreThere(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	table := counting(true).New()
	foldConditional(table, conditional(r, 40), upTo(40))
	snapshot := table.Append(nil)
	for i := range snapshot {
		bad := slices.Clone(snapshot)
		bad[i] ^= byte(1 + r.IntN(255))
		reader := NewReader(bad)
		read := counting(true).Read(reader)
		for k, a := range read.accs {
			m, ok := a.(*marked)
			if !ok || reader.Err() != nil {
				continue
			}
			for g, n := range m.size {
				if n > m.of.size[g] {
					t.Fatalf("byte %d: aggregate %d has %d of %d values", i, k, n, m.of.size[g])
				}
			}
		}
	}
}

func TestSnapshotsWithMarksOfNoValueOrTwiceAreRefused(t *testing.T) {
	value := func(group, v byte) []byte { return []byte{group, 1, v, 0, 0, 0, 0, 0, 0, 0} }
	held := append([]byte{1, 1}, value(0, 5)...) // a group with a value
	for name, c := range map[string]struct {
		marked []byte
		ok     bool
	}{
		"none":             {[]byte{0}, true},
		"the value":        {append([]byte{1}, value(0, 5)...), true},
		"another one":      {append([]byte{1}, value(0, 6)...), false},
		"of another group": {append([]byte{1}, value(1, 5)...), false},
		"twice":            {append([]byte{2}, append(value(0, 5), value(0, 5)...)...), false},
		"null":             {[]byte{1, 0, 0}, false},
	} {
		specs := []Spec{{Func: CountDistinct, Args: []column.Type{bigint}, Out: bigint}, {Func: CountDistinct, Args: []column.Type{bigint}, Out: bigint, Filtered: true, Same: 1}}
		r := NewReader(slices.Concat(held, c.marked))
		if NewLayout(nil, specs).Read(r); (r.Err() == nil) != c.ok {
			t.Errorf("%s: %v", name, r.Err())
		}
	}
}
