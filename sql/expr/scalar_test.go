package expr

import (
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

// words is a dictionary column of n rows over a few values.
func words(n int, values ...string) *column.Column {
	d := &column.Dict{Offsets: []int32{0}}
	for _, v := range values {
		d.Bytes = append(d.Bytes, v...)
		d.Offsets = append(d.Offsets, int32(len(d.Bytes)))
	}
	c := &column.Column{Type: text, Len: n, Dict: d, DictLen: len(values)}
	for i := range n {
		c.IDs = append(c.IDs, int32(i%len(values)))
	}
	return c
}

func TestTextFunctionsRunOncePerValueOfADictionary(t *testing.T) {
	calls := 0
	ref := &reference{t: text}
	upper := &scalar{t: text, args: []node{ref}, text: func(dst []byte, v []value) ([]byte, bool) {
		calls++
		return append(dst, v[0].s[:1]...), len(v[0].s) > 1
	}}
	// The outer function sees the dictionary that the inner one made, in which ab and ac are both a.
	length := &scalar{t: bigint, args: []node{upper}, whole: func(v []value) (int64, bool) {
		calls++
		return int64(len(v[0].s)), true
	}}
	p := &Program{root: length}
	c := words(1000, "ab", "ac", "x", "bc")
	b := &column.Batch{Rows: 1000, Columns: []*column.Column{c}}
	for range 3 {
		out, err := p.Eval(b)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(out.Int64s[0], out.Int64s[1], out.IsNull(2), out.Int64s[3]) != "1 1 true 1" {
			t.Errorf("got %v", out.Int64s[:4])
		}
	}
	if calls != 4+2 {
		t.Errorf("%d calls for 3000 rows of 4 values, of which 2 differ by their first letter and 1 is null; want 6", calls)
	}
	// The dictionary grows: only the new value is computed.
	c.Dict.Bytes = append(c.Dict.Bytes, "zz"...)
	c.Dict.Offsets = append(c.Dict.Offsets, int32(len(c.Dict.Bytes)))
	c.DictLen++
	c.IDs[0] = 4
	if _, err := p.Eval(b); err != nil {
		t.Fatal(err)
	}
	if calls != 8 {
		t.Errorf("%d calls after a fifth value, want 8", calls)
	}
}

func TestRegularExpressionsRunOncePerValueOfADictionary(t *testing.T) {
	calls := 0
	test := &textTest{x: &reference{t: text}, fn: func([]byte) bool { calls++; return true }}
	p := &Program{root: test}
	b := &column.Batch{Rows: 1000, Columns: []*column.Column{words(1000, "a", "b", "c")}}
	for range 3 {
		if rows, err := p.Select(b, nil); err != nil || len(rows) != 1000 {
			t.Fatal(len(rows), err)
		}
	}
	if calls != 3 {
		t.Errorf("%d calls for 3 values", calls)
	}
}

func TestADictionaryThatIsMadeHasEachTextOnce(t *testing.T) {
	s := &scalar{t: text, args: []node{&reference{t: text}}, text: func(dst []byte, v []value) ([]byte, bool) { return append(dst, v[0].s[0]), true }}
	p := &Program{root: s}
	out, err := p.Eval(&column.Batch{Rows: 6, Columns: []*column.Column{words(6, "ab", "ac", "b")}})
	if err != nil || out.DictLen != 2 || out.IDs[0] != out.IDs[1] || string(out.Text(2)) != "b" {
		t.Errorf("%d values, ids %v, %v", out.DictLen, out.IDs, err)
	}
}
