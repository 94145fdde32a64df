package encode

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// evenTexts is n random texts of a width; the share of distinct bytes in them is up to symbols.
func evenTexts(seed uint64, n, width, symbols int) []byte {
	r := rand.New(rand.NewPCG(seed, 3))
	texts := make([]byte, n*width)
	for i := range texts {
		texts[i] = byte(r.IntN(symbols))
	}
	return texts
}

func plainEven(texts []byte, width int) []byte {
	var offsets []uint32
	for i := 0; i <= len(texts); i += width {
		offsets = append(offsets, uint32(i))
	}
	return appendPlainText(nil, texts, offsets)
}

func TestEvenFramesAreZstd(t *testing.T) {
	e := newEvenFrames()
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r := rand.New(rand.NewPCG(5, 5))
	for width := 1; width < evenWidth; width++ {
		for _, symbols := range []int{1, 2, 16, 256} {
			n := evenLeast + r.IntN(500)
			if width%50 == 16 {
				n = 300_000 / width
			}
			texts := evenTexts(uint64(width), n, width, symbols)
			frame := e.append(nil, texts, width)
			got, err := d.DecodeAll(frame, nil)
			if err != nil || !bytes.Equal(got, plainEven(texts, width)) {
				t.Fatalf("%d texts of %d bytes, %d symbols: %d bytes: %v", n, width, symbols, len(got), err)
			}
		}
	}
}

func TestRandomIdentifiersTakeTheirEntropy(t *testing.T) {
	var texts []byte
	r := rand.New(rand.NewPCG(5, 5))
	for range 20_000 {
		texts = fmt.Appendf(texts, "%016x", r.Uint64())
	}
	s, rows := oneColumn(20_000, func(i int) string { return string(texts[16*i : 16*i+16]) })
	w := writer(t, s, parquetOptions(Zstd))
	file := encodeBatches(t, w, batchOf(s, rows))
	_, got := readLeaves(t, file)
	sameLeaves(t, w.layout, got, shredRows(s, rows, 1))
	if perRow := float64(len(file)) / 20_000; perRow > 8.3 {
		t.Errorf("%.2f bytes for 64 random bits", perRow)
	}
}

func TestTextsOfOneLengthThatRepeatInsideAreLeftToTheMatchFinder(t *testing.T) {
	prefix := hex.EncodeToString(bytes.Repeat([]byte{0xa5, 0x17, 0x99}, 10))
	for _, n := range []int{20_000, 1000} {
		s, rows := oneColumn(n, func(i int) string { return fmt.Sprintf("%s%08d", prefix, i) })
		w := writer(t, s, parquetOptions(Zstd))
		file := encodeBatches(t, w, batchOf(s, rows))
		_, got := readLeaves(t, file)
		sameLeaves(t, w.layout, got, shredRows(s, rows, 1))
		if perRow := float64(len(file)) / float64(n); perRow > 6 {
			t.Errorf("%d rows: %.2f bytes for a text that differs from its neighbour by a digit", n, perRow)
		}
	}
}

func TestRepeatsInsideTextsAreSeen(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	text := func(f func(i int) string) []byte {
		var all []byte
		for i := range 1000 {
			all = append(all, f(i)...)
		}
		return all
	}
	few := make([]string, 100)
	for i := range few {
		few[i] = fmt.Sprintf("%016x", r.Uint64())
	}
	for _, x := range []struct {
		name  string
		texts []byte
		width int
		want  bool
	}{
		{"random digits", text(func(int) string { return fmt.Sprintf("%016x", r.Uint64()) }), 16, false},
		{"nothing but zeros", make([]byte, 16_000), 16, true},
		{"a prefix", text(func(int) string { return fmt.Sprintf("order-%010x", r.Uint64()>>24) }), 16, true},
		{"one of a hundred", text(func(int) string { return few[r.IntN(len(few))] }), 16, true},
		{"too short", text(func(int) string { return fmt.Sprintf("%05x", r.Uint64()>>44) }), 5, true},
	} {
		if got := repeatsInside(x.texts, x.width); got != x.want {
			t.Errorf("%s: %v", x.name, got)
		}
	}
}

func FuzzEvenFrames(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), uint8(16), uint16(300))
	f.Add([]byte{0}, uint8(1), uint16(4000))
	d, err := zstd.NewReader(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, pattern []byte, width uint8, n uint16) {
		if !newEvenFrames().suits(int(n), int(width)) || len(pattern) == 0 {
			return
		}
		texts := make([]byte, int(n)*int(width))
		for i := range texts {
			texts[i] = pattern[(i+i/int(width))%len(pattern)]
		}
		got, err := d.DecodeAll(newEvenFrames().append(nil, texts, int(width)), nil)
		if err != nil || !bytes.Equal(got, plainEven(texts, int(width))) {
			t.Fatalf("%d texts of %d bytes: %v", n, width, err)
		}
	})
}
