package control

import (
	"errors"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/engine/stream"
)

func TestCursorIsReadBack(t *testing.T) {
	c := &cursor{Stream: "clicks", Incarnation: "12", Places: []place{{Shard: 3, Next: 1 << 40}, {Shard: 7}}, Only: true, Turn: 1}
	text, err := c.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeCursor(text, "clicks", "12")
	if err != nil || !slices.Equal(got.Places, c.Places) || got.Turn != 1 || !got.Only {
		t.Errorf("%+v became %+v, %v", c, got, err)
	}
	for what, other := range map[string][2]string{"stream": {"orders", "12"}, "incarnation": {"clicks", "13"}} {
		if _, err := decodeCursor(text, other[0], other[1]); !errors.Is(err, stream.ErrInvalid) {
			t.Errorf("of another %s: %v", what, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	c := &cursor{Stream: "s", Incarnation: "1", Places: []place{{Shard: 1, Next: 5}}}
	text, err := c.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("e30")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := decodeCursor(text, "s", "1")
		if err != nil {
			if !errors.Is(err, stream.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		if len(c.Places) > len(text) || c.Turn > len(c.Places) {
			t.Errorf("%d places, turn %d, of %d bytes", len(c.Places), c.Turn, len(text))
		}
	})
}
