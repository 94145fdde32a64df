package encode

import "testing"

func TestCodecsWriteOverTheMemoryTheyAreGiven(t *testing.T) {
	src := make([]byte, 64<<10)
	for i := range src {
		src[i] = byte(i * i >> 7)
	}
	for _, c := range []Compression{Snappy, Zstd, LZ4Raw} {
		codec, err := newCodec(c, 0)
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]byte, 0, 2*len(src))
		first, err := codec.compress(dst, src)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := codec.compress(first, src); err != nil || &again[0] != &dst[:1][0] {
			t.Errorf("%s makes memory of its own: %v", c, err)
		}
	}
}
