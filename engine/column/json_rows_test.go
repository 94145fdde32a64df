package column

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestARowWriterWritesWhatAppendJSONDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, o := range []Options{{}, {Plain: true}} {
		d := NewDecoder(everySchema(), nil, o)
		w := NewRowWriter(everySchema())
		for range 3 {
			for _, row := range randomRows(r, 300) {
				_ = d.Add(row, 0, 0)
			}
			b := d.Take(Origin{})
			for i := range b.Rows {
				want := string(AppendJSON([]byte("x"), b, i))
				if got := string(w.Append([]byte("x"), b, i)); got != want {
					t.Fatalf("%s\nwant %s", got, want)
				}
			}
			d.Release(b)
		}
	}
}

func TestARowWriterLeavesOutColumnsThatAreNotThere(t *testing.T) {
	s := &Schema{Fields: []Field{{"a", Type{Kind: BigInt}}, {"b", Type{Kind: String}}}}
	for want, columns := range map[string][]*Column{
		`{}`:        {nil, nil},
		`{"b":"x"}`: {nil, {Type: Type{Kind: String}, Len: 1, Offsets: []int32{0, 1}, Bytes: []byte("x")}},
	} {
		if got := string(NewRowWriter(s).Append(nil, &Batch{Schema: s, Columns: columns, Rows: 1}, 0)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestTextIsQuotedWhereverWhatNeedsAnEscapeStands(t *testing.T) {
	for n := range 20 {
		for at := range n {
			for _, c := range []byte{'"', '\\', 0, '\n', 0x1f} {
				s := []byte(strings.Repeat("é", n)[:n])
				s[at] = c
				if got, want := string(appendText([]byte("x"), s)), string(appendQuoted([]byte("x"), s)); got != want {
					t.Fatalf("%q, want %q", got, want)
				}
			}
		}
		if got, want := string(appendText(nil, make([]byte, n))), string(appendQuoted(nil, make([]byte, n))); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}
