package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sources/sourcestest"
)

// cutAll is all pieces of what src gives from offset on.
func cutAll(t *testing.T, format string, limit int, src io.Reader, offset int64) []piece {
	t.Helper()
	s := &source{cfg: Config{Format: format, MaxRecord: config.Size(limit)}, env: sourcestest.NewEnv("x").Env}
	r := newReader(t.Context(), s, nil, nil)
	r.begin("x", r.producer, src, offset)
	var all []piece
	add := func(p piece) {
		p.data = bytes.Clone(p.data)
		if len(all) > 0 && p.end <= all[len(all)-1].end {
			t.Fatalf("piece ends at %d after %d", p.end, all[len(all)-1].end)
		}
		all = append(all, p)
	}
	for {
		p, err := r.cut.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		add(p)
	}
	if p, ok := r.cut.rest(); ok {
		add(p)
	}
	if len(all) > 0 && r.cut.settled() < all[len(all)-1].end {
		t.Fatalf("settled at %d before %d", r.cut.settled(), all[len(all)-1].end)
	}
	return all
}

// However a content is chopped up in reading, and wherever reading resumes, the pieces are the same.
func FuzzCut(f *testing.F) {
	f.Add([]byte("{\"a\":1}\r\n\n{\"b\":2}"), uint8(20))
	f.Add([]byte(bom+`[{"a":[1,"]\""]}, 2,{"b":{}}]`), uint8(9))
	f.Add([]byte(`{"a":1}{"b":2}]`), uint8(3))
	f.Add([]byte(`[[1], [2,[3]], {"a":1}]`), uint8(50))
	f.Fuzz(func(t *testing.T, content []byte, limit uint8) {
		for _, format := range []string{"ndjson", "json"} {
			whole := cutAll(t, format, int(limit)+1, bytes.NewReader(content), 0)
			chopped := cutAll(t, format, int(limit)+1, iotest.OneByteReader(bytes.NewReader(content)), 0)
			if diff := cmp.Diff(whole, chopped, cmp.AllowUnexported(piece{})); diff != "" {
				t.Fatalf("%s %q: %s", format, content, diff)
			}
			if format == "json" && !json.Valid(bytes.TrimPrefix(content, []byte(bom))) {
				continue // in broken texts, what an array is depends on what came before
			}
			for i, p := range whole {
				rest := cutAll(t, format, int(limit)+1, bytes.NewReader(content[p.end:]), p.end)
				if diff := cmp.Diff(whole[i+1:], rest, cmp.AllowUnexported(piece{})); diff != "" && len(rest)+len(whole[i+1:]) > 0 {
					t.Fatalf("%s %q from %d: %s", format, content, p.end, diff)
				}
			}
		}
	})
}

func TestElementsOfAnArrayAreThoseOfTheStandardLibrary(t *testing.T) {
	content := []byte("[" + strings.Join(events(3000), " ,\n") + "]")
	var want []json.RawMessage
	if err := json.Unmarshal(content, &want); err != nil {
		t.Fatal(err)
	}
	got := cutAll(t, "json", 1000, bytes.NewReader(content), 0)
	if !slices.EqualFunc(want, got, func(w json.RawMessage, p piece) bool { return bytes.Equal(w, p.data) }) {
		t.Fatalf("%d elements, want %d", len(got), len(want))
	}
}

func TestWindowGivesBackWhatALongRecordTook(t *testing.T) {
	w := &window{check: func() error { return nil }}
	w.reset(bytes.NewReader(make([]byte, 8*windowSize)), 0)
	for w.hi < 5*windowSize {
		if err := w.more(); err != nil {
			t.Fatal(err)
		}
	}
	w.skip(w.hi - w.lo - 10)
	if w.shrink(); len(w.buf) != windowSize || len(w.bytes()) != 10 {
		t.Fatalf("%d bytes, %d left", len(w.buf), len(w.bytes()))
	}
}

func TestAbsurdPackingIsRefused(t *testing.T) {
	c := &content{path: "a.zst", packed: "zstd", src: zeros{}, in: 1000, out: bombAfter}
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, errBomb) || !strings.Contains(err.Error(), "a.zst") {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestMemoryOfALargeRecordIsHandedOver(t *testing.T) {
	line := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var text []byte
	for range 3 {
		text = append(append(text, line...), '\n')
	}
	w := &window{check: func() error { return nil }, most: 2 << 20}
	w.reset(bytes.NewReader(text), 0)
	cut := &lines{w: w, max: 2 << 20}
	cut.start()
	for i := range 3 {
		p, err := cut.next()
		if err != nil {
			t.Fatal(err)
		}
		block, from, ok := w.give(p.data)
		if !ok || from < headroom || !bytes.Equal(block[from:], line) || &block[from] != &p.data[0] {
			t.Fatalf("line %d is not handed over: %v, from %d of %d", i, ok, from, len(block))
		}
		if &w.buf[0] == &block[0] {
			t.Fatal("the window goes on in the same memory")
		}
		clear(block)
	}
	if p, err := cut.next(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last line: %d bytes, %v", len(p.data), err)
	}
	if _, _, ok := w.give([]byte("elsewhere")); ok {
		t.Error("memory of somebody else is handed over")
	}
}
