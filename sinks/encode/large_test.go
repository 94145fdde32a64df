package encode

import (
	"io"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

// A large text is copied out of its batch once, laid out once and compressed once, each in memory of about its
// size, and the file keeps the last of these only.
func TestLargeTextsAreHeldOnce(t *testing.T) {
	const size, rows = 6 << 20, 4
	s := &column.Schema{Fields: []column.Field{{Name: "s", Type: column.Type{Kind: column.String}}}}
	text := make([]byte, 0, size)
	for r := rand.New(rand.NewPCG(1, 2)); len(text) < size; {
		text = append(text, "abcdefghijklmnopqrstuvwxyz012345"[r.UintN(32)])
	}
	line := append(append([]byte(`{"s":"`), text...), `"}`...)
	d := column.NewDecoder(s, nil, column.Options{})
	if err := d.Add(line, 0, 0); err != nil {
		t.Fatal(err)
	}
	b := d.Take(column.Origin{})
	for _, c := range []Compression{None, Zstd} {
		w := writer(t, s, Options{Format: Parquet, Compression: c})
		e := w.Open(io.Discard)
		for range rows {
			if err := e.Add(b); err != nil {
				t.Fatal(err)
			}
		}
		if held := e.Memory(); held > 20<<20+size {
			t.Errorf("%s: %d MiB held", c, held>>20)
		}
		_, got := readLeaves(t, encodeBatches(t, w, b, b))
		if len(got[0]) != 2 || string(got[0][0].ByteArray()) != string(text) || string(got[0][1].ByteArray()) != string(text) {
			t.Errorf("%s: %d texts, not those written", c, len(got[0]))
		}
	}
}
