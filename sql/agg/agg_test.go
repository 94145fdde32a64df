package agg

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sort"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

var (
	bigint    = column.Type{Kind: column.BigInt}
	double    = column.Type{Kind: column.Double}
	text      = column.Type{Kind: column.String}
	timestamp = column.Type{Kind: column.Timestamp}
	money     = column.Type{Kind: column.Decimal, Precision: 12, Scale: 2}
	wide      = column.Type{Kind: column.Decimal, Precision: 38, Scale: 2}
	boolean   = column.Type{Kind: column.Boolean}
)

func listOf(t column.Type) column.Type { return column.Type{Kind: column.List, Elem: &t} }

func topOf(t column.Type) column.Type {
	return listOf(column.Type{Kind: column.Struct, Fields: []column.Field{{Name: "value", Type: t}, {Name: "count", Type: bigint}}})
}

// field is the columns of the test's rows.
const (
	aKey = iota
	anInt
	aDouble
	aText
	aTime
	aMoney
	aWide
	aCondition
)

var fieldTypes = []column.Type{bigint, bigint, double, text, timestamp, money, wide, boolean}

// every aggregate, over the fields that of says; exact ones do not depend on how rows were spread.
var every = []struct {
	spec    Spec
	of      []int
	inexact bool
}{
	{Spec{Func: CountAll, Out: bigint}, nil, false},
	{Spec{Func: Count, Out: bigint}, []int{aText}, false},
	{Spec{Func: Sum, Out: bigint}, []int{anInt}, false},
	{Spec{Func: Sum, Out: double}, []int{aDouble}, true},
	{Spec{Func: Sum, Out: wide}, []int{aMoney}, false},
	{Spec{Func: Sum, Out: wide}, []int{aWide}, false},
	{Spec{Func: Avg, Out: double}, []int{aMoney}, false},
	{Spec{Func: Min, Out: text}, []int{aText}, false},
	{Spec{Func: Max, Out: wide}, []int{aWide}, false},
	{Spec{Func: CountDistinct, Out: bigint}, []int{anInt}, false},
	{Spec{Func: CountDistinct, Out: bigint}, []int{aText}, false},
	{Spec{Func: CountDistinct, Out: bigint}, []int{aWide}, false},
	{Spec{Func: ApproxDistinct, Out: bigint}, []int{aDouble}, false},
	{Spec{Func: ApproxDistinct, Out: bigint}, []int{aText}, false},
	{Spec{Func: VarPop, Out: double}, []int{anInt}, true},
	{Spec{Func: StddevSamp, Out: double}, []int{aDouble}, true},
	{Spec{Func: Quantile, Out: double, Fraction: 0.9}, []int{aDouble}, false},
	{Spec{Func: First, Out: text}, []int{aText, aTime}, false},
	{Spec{Func: Last, Out: bigint}, []int{anInt, aTime}, false},
	{Spec{Func: MinBy, Out: text}, []int{aText, aDouble}, false},
	{Spec{Func: MaxBy, Out: double}, []int{aDouble, aText}, true},
	{Spec{Func: List, Out: listOf(text), Limit: 7}, []int{aText, aTime}, false},
	{Spec{Func: List, Out: listOf(bigint), Limit: 1000}, []int{anInt, aTime}, false},
	{Spec{Func: TopK, Out: topOf(bigint), Limit: 2}, []int{anInt}, true},
	{Spec{Func: TopK, Out: topOf(text), Limit: 3}, []int{aText}, false},
	{Spec{Func: MinsBy, Out: listOf(text), Limit: 3}, []int{aText, anInt, aTime}, false},
	{Spec{Func: MaxsBy, Out: listOf(bigint), Limit: 1000}, []int{anInt, aText, aTime}, false},
	{Spec{Func: MaxsBy, Out: listOf(wide), Limit: 5}, []int{aWide, aDouble, aTime}, false},
	{Spec{Func: Sum, Out: bigint, Filtered: true}, []int{anInt}, false},
	{Spec{Func: CountDistinct, Out: bigint, Filtered: true, Same: 10}, []int{anInt}, false},
	{Spec{Func: CountDistinct, Out: bigint, Filtered: true, Same: 11}, []int{aText}, false},
}

func everything() *Layout {
	specs := make([]Spec, len(every))
	for i, e := range every {
		specs[i] = e.spec
		for _, f := range e.of {
			specs[i].Args = append(specs[i].Args, fieldTypes[f])
		}
	}
	return NewLayout([]column.Type{bigint}, specs)
}

// rows makes n rows whose times are all different.
func rows(r *rand.Rand, n int) []*column.Column {
	out := make([]*build.Column, len(fieldTypes))
	for i, t := range fieldTypes {
		out[i] = build.New(t)
	}
	for i := range n {
		for f := range out {
			switch v := r.Int64N(400) - 50; {
			case f != aKey && f != aTime && r.IntN(8) == 0:
				out[f].Null()
			case f == aKey:
				out[f].Int(v % 5)
			case f == aDouble:
				out[f].Float(float64(v) * 1.1)
			case f == aText:
				out[f].Text(fmt.Appendf(nil, "%0*d", 1+v&7, v))
			case f == aTime:
				out[f].Int(v*1_000_000 + int64(i))
			case f == aWide:
				b := make([]byte, 16)
				for k := range b {
					b[k] = byte(v >> 63)
				}
				b[14], b[15], b[2] = byte(v>>8), byte(v), byte(v)
				out[f].Text(b)
			case f == aCondition:
				out[f].Int(v & 1)
			default:
				out[f].Int(v)
			}
		}
	}
	columns := make([]*column.Column, len(out))
	for i, b := range out {
		columns[i] = b.Finish()
	}
	return columns
}

// fold adds some rows to a table.
func fold(t *Table, columns []*column.Column, rows []int32) {
	var b Batch
	t.layout.Prepare(&b, columns[:1], rows, columns[0].Len)
	var args []*column.Column
	for _, e := range every {
		for _, f := range e.of {
			args = append(args, columns[f])
		}
		if e.spec.Filtered {
			args = append(args, columns[aCondition])
		}
	}
	t.Add(t.Find(&b, rows, nil), args, rows)
}

func upTo(n int) []int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

// results are those of the aggregates that want says, as texts.
func results(t *Table, want func(i int) bool) []string {
	var out []string
	groups := t.Sorted()
	for i, s := range t.layout.Aggs {
		if !want(i) {
			continue
		}
		c := build.New(s.Out)
		t.Result(i, groups, c)
		b := build.Batch(&column.Schema{Fields: []column.Field{{Name: "x", Type: s.Out}}}, []*build.Column{c})
		for r := range b.Rows {
			out = append(out, fmt.Sprintf("%d: %s", i, column.AppendJSON(nil, b, r)))
		}
	}
	return out
}

func TestBatchesAndSnapshotsMakeNoDifference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	l := everything()
	columns := rows(r, 600)
	all := upTo(600)
	whole := l.New()
	fold(whole, columns, all)
	want := whole.Append(nil)
	for _, every := range []int{1, 7, 500} {
		parts := l.New()
		for part := range slices.Chunk(all, every) {
			fold(parts, columns, part)
			if every == 1 && part[0]%97 != 0 {
				continue
			}
			state := parts.Append(nil)
			reader := NewReader(state)
			before := parts
			if parts = everything().Read(reader); reader.Err() != nil || reader.Rest() != 0 {
				t.Fatalf("after row %d: %v, %d bytes left", part[0], reader.Err(), reader.Rest())
			}
			if !bytes.Equal(parts.Append(nil), state) {
				t.Fatalf("after row %d: the snapshot of a snapshot differs", part[0])
			}
			if a, b := before.Memory(), parts.Memory(); a > 3*b+4096 || b > 3*a+4096 {
				t.Fatalf("after row %d: %d bytes before the snapshot, %d after", part[0], a, b)
			}
		}
		if !bytes.Equal(parts.Append(nil), want) {
			t.Fatalf("%d rows at a time give another state", every)
		}
	}
}

func TestMergedTablesAreThoseOfAllRows(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	l := everything()
	columns := rows(r, 3000)
	exact := func(i int) bool { return !every[i].inexact }
	whole := l.New()
	fold(whole, columns, upTo(3000))
	want := results(whole, exact)
	for _, shards := range []int{2, 5} {
		parts := make([][]int32, shards)
		for i := range int32(3000) {
			s := r.IntN(shards)
			parts[s] = append(parts[s], i)
		}
		sum := l.New()
		for _, p := range parts {
			one := l.New()
			fold(one, columns, p)
			sum.Merge(one)
		}
		if got := results(sum, exact); !slices.Equal(got, want) {
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("of %d shards\n%s\nwant\n%s", shards, got[i], want[i])
				}
			}
		}
		copied := l.New()
		copied.Merge(sum)
		if !slices.Equal(results(copied, func(int) bool { return true }), results(sum, func(int) bool { return true })) {
			t.Error("merged into an empty table, results differ")
		}
	}
}

func one(f Func, of column.Type, limit int, q float64) *Layout {
	out := bigint
	switch f {
	case Quantile:
		out = double
	case TopK:
		out = topOf(of)
	}
	return NewLayout(nil, []Spec{{Func: f, Args: []column.Type{of}, Out: out, Limit: limit, Fraction: q}})
}

func tableOf(l *Layout, c *column.Column) *Table {
	t := l.New()
	var b Batch
	for part := range slices.Chunk(upTo(c.Len), 4096) {
		l.Prepare(&b, nil, part, c.Len)
		t.Add(t.Find(&b, part, nil), []*column.Column{c}, part)
	}
	return t
}

func TestApproximateCountsAreClose(t *testing.T) {
	for _, n := range []int{0, 1, 10, 100, 1000, 1025, 5000, 20_000, 300_000} {
		for seed := range int64(3) {
			c := build.New(bigint)
			for i := range n {
				c.Int(seed<<40 + int64(i))
				c.Int(seed<<40 + int64(i/2))
			}
			c.Null()
			table := tableOf(one(ApproxDistinct, bigint, 0, 0), c.Finish())
			out := build.New(bigint)
			table.Result(0, []int{0}, out)
			// Three standard deviations; a few hundred values hardly share registers.
			if got := out.Finish().Int64s[0]; math.Abs(float64(got)-float64(n)) > 3*1.04/64*float64(n)+1 {
				t.Errorf("%d values are about %d", n, got)
			}
		}
	}
}

func TestQuantilesAreClose(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for name, draw := range map[string]func() float64{
		"uniform": r.Float64, "normal": r.NormFloat64, "latencies": func() float64 { return math.Exp(3 * r.NormFloat64()) },
		"tiny": func() float64 { return r.Float64() * 1e-300 }, "huge": func() float64 { return -r.Float64() * 1e300 }, "zeros": func() float64 { return float64(r.IntN(2)) },
	} {
		c := build.New(double)
		var values []float64
		for range 10_000 {
			v := draw()
			values = append(values, v)
			c.Float(v)
		}
		sort.Float64s(values)
		of := c.Finish()
		for _, q := range []float64{0, 0.001, 0.25, 0.5, 0.9, 0.999, 1} {
			table := tableOf(one(Quantile, double, 0, q), of)
			out := build.New(double)
			table.Result(0, []int{0}, out)
			want := values[int(q*float64(len(values)-1))]
			if got := out.Finish().Float64s[0]; math.Abs(got-want) > math.Abs(want)/128 {
				t.Errorf("%s: quantile %g is %g, want %g", name, q, got, want)
			}
		}
	}
}

func TestFrequentValuesAreFound(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	zipf := rand.NewZipf(r, 1.1, 1, 100_000)
	const n, k = 200_000, 5
	c := build.New(bigint)
	counts := make(map[int64]int64)
	for range n {
		v := int64(zipf.Uint64())
		counts[v]++
		c.Int(v)
	}
	l := one(TopK, bigint, k, 0)
	table := tableOf(l, c.Finish())
	if values := len(table.accs[0].(*frequent).counts); values > 3*256 {
		t.Errorf("%d values are held of %d", values, len(counts))
	}
	out := build.New(l.Aggs[0].Out)
	table.Result(0, []int{0}, out)
	items := out.Finish().Children[0]
	for i := range k {
		v, got := items.Children[0].Int64s[i], items.Children[1].Int64s[i]
		if v != int64(i) {
			t.Errorf("place %d is %d", i, v)
		}
		if off := got - counts[v]; off < -2*n/256 || off > 2*n/256 {
			t.Errorf("%d came %d times, not %d", v, counts[v], got)
		}
	}
}

func TestMemoryIsWhatIsHeld(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for i, e := range every {
		s := e.spec
		s.Filtered, s.Same = false, 0
		s.Args = nil
		var args []*column.Column
		columns := rows(r, 20_000)
		for _, f := range e.of {
			s.Args, args = append(s.Args, fieldTypes[f]), append(args, columns[f])
		}
		// Keys with many values, as a column of their own.
		keys := build.New(bigint)
		for k := range int64(20_000) {
			keys.Int(k % 2_000)
		}
		key := []*column.Column{keys.Finish()}
		l := NewLayout([]column.Type{bigint}, []Spec{s})
		var b Batch
		before := heap()
		table := l.New()
		var groups []uint32
		for part := range slices.Chunk(upTo(20_000), 4096) {
			l.Prepare(&b, key, part, 20_000)
			groups = table.Find(&b, part, groups[:0])
			table.Add(groups, args, part)
		}
		b, groups = Batch{}, nil
		held := heap() - before
		if got := table.Memory(); float64(got) < 0.8*float64(held) || float64(got) > 1.25*float64(held) {
			t.Errorf("aggregate %d (function %d): %d bytes by its own account, %d on the heap", i, s.Func, got, held)
		}
		runtime.KeepAlive(columns)
		runtime.KeepAlive(key)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestStatesOfOneSizeAllocateNothing(t *testing.T) {
	columns := rows(rand.New(rand.NewPCG(6, 6)), 1000)
	for i, e := range every {
		switch e.spec.Func {
		case List, TopK, Quantile, MinsBy, MaxsBy:
			continue
		}
		s := e.spec
		s.Same = 0
		var args []*column.Column
		for _, f := range e.of {
			s.Args, args = append(s.Args, fieldTypes[f]), append(args, columns[f])
		}
		args = append(args, columns[aCondition])
		l := NewLayout([]column.Type{bigint}, []Spec{s})
		table, all := l.New(), upTo(1000)
		var b Batch
		l.Prepare(&b, columns[:1], all, 1000)
		groups := table.Find(&b, all, nil)
		table.Add(groups, args, all)
		if n := testing.AllocsPerRun(20, func() { table.Add(groups, args, all) }); n > 8 && s.arg() != column.String {
			t.Errorf("aggregate %d (function %d): %g allocations for 1000 rows", i, s.Func, n)
		}
	}
}

func FuzzRead(f *testing.F) {
	l := everything()
	for _, n := range []int{0, 1, 40, 600} {
		table := l.New()
		fold(table, rows(rand.New(rand.NewPCG(7, uint64(n))), n), upTo(n))
		f.Add(table.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		table := l.Read(r)
		if limit := int64(64<<10 + 2048*len(b)); table.Memory() > limit {
			t.Fatalf("%d bytes take %d", len(b), table.Memory())
		}
		if r.Err() != nil {
			return
		}
		results(table, func(int) bool { return true })
		again := NewReader(table.Append(nil))
		if l.Read(again); again.Err() != nil {
			t.Fatalf("what was read is not read again: %v", again.Err())
		}
	})
}
