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
