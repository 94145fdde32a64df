package column

import (
	"bytes"
	"testing"
)

func TestDecoderLetsGoOfWhatAVeryLargeTextTook(t *testing.T) {
	d := NewDecoder(&Schema{Fields: []Field{{Name: "s", Type: Type{Kind: String}}, {Name: "l", Type: Type{Kind: List, Elem: &Type{Kind: String}}}}}, nil, Options{})
	long := bytes.Repeat([]byte("x"), keptBytes+1)
	for _, row := range []string{`{"s":"%"}`, `{"s":"\n%"}`, `{"l":["a","%"]}`} {
		if err := d.Add(bytes.Replace([]byte(row), []byte("%"), long, 1), 0, 0); err != nil {
			t.Fatal(err)
		}
		b := d.Take(Origin{})
		held := func() int { return cap(b.Columns[0].Bytes) + cap(b.Columns[1].Children[0].Bytes) + cap(d.scratch) }
		if held() < keptBytes {
			t.Fatalf("%s: %d bytes before the release", row, held())
		}
		if d.Release(b); held() > keptBytes {
			t.Errorf("%s: %d bytes are held behind the release", row, held())
		}
	}
}

func TestABatchHasTheMemoryOfTheOneThatWasReleased(t *testing.T) {
	d := NewDecoder(&Schema{Fields: []Field{{Name: "n", Type: Type{Kind: BigInt}}}}, nil, Options{})
	var first *int64
	for i := range 3 {
		if d.Len() != 0 || d.Bytes() != 0 {
			t.Errorf("%d rows of %d bytes before the first", d.Len(), d.Bytes())
		}
		if err := d.Add([]byte(`{"n":1}`), 0, 0); err != nil {
			t.Fatal(err)
		}
		b := d.Take(Origin{})
		if at := &b.Columns[0].Int64s[0]; i == 0 {
			first = at
		} else if at != first {
			t.Error("a batch lies elsewhere than the one before it")
		}
		d.Release(b)
	}
	if b := d.Take(Origin{}); b.Rows != 0 || len(b.Columns) != 1 {
		t.Errorf("a batch without rows has %d rows and %d columns", b.Rows, len(b.Columns))
	}
}

func TestDecoderKeepsWhatItsOptionsSay(t *testing.T) {
	d := NewDecoder(&Schema{Fields: []Field{{Name: "s", Type: Type{Kind: String}}, {Name: "k", Type: Type{Kind: String}}}}, nil, Options{Kept: 1000, Dictionaries: 64 << 10})
	long := bytes.Repeat([]byte("x"), 40<<10)
	if err := d.Add([]byte(`{"s":"`+string(long)+`","k":"k"}`), 0, 0); err != nil {
		t.Fatal(err)
	}
	b := d.Take(Origin{})
	if b.Columns[0].Dict != nil || b.Columns[1].Dict == nil {
		t.Error("a text larger than half of the dictionaries' memory is in one, or a short one is not")
	}
	if d.Release(b); cap(b.Columns[0].Bytes) > 1000 || b.Columns[1].Dict != nil {
		t.Errorf("%d bytes and a dictionary are held behind the release", cap(b.Columns[0].Bytes))
	}
}
