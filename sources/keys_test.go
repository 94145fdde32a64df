package sources

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/jsonscan"
)

func TestKeyIsTheTextOfTheField(t *testing.T) {
	const spread = "ff"
	for _, c := range []struct{ field, data, want string }{
		{"id", `{"id":"a"}`, "a"},
		{"id", `{ "id" : "a" }`, "a"},
		{"id", `{"x":1,"id":12}`, "12"},
		{"id", `{"x":1,  "id":-1.5e3,"y":2}`, "-1.5e3"},
		{"id", `{"id":true}`, "true"},
		{"id", `{"id":"a\"b"}`, `a"b`},
		{"id", `{"id":"\u00e9"}`, "é"},
		{"id", `{"id":""}`, spread},
		{"id", `{"id":null}`, spread},
		{"id", `{"x":1}`, spread},
		{"id", `{}`, spread},
		{"id", `[{"id":"a"}]`, spread},
		{"id", `not json`, spread},
		{"id", ``, spread},
		{"id", `{"geo":{"id":"inner"},"id":"outer"}`, "outer"},
		{"id", `{"geo":{"x":1,"id":"inner"}}`, spread},
		{"id", `{"a":["id","id"],"id":"outer"}`, "outer"},
		{"id", `{"a":"id","id":"outer"}`, "outer"},
		{"id", `{"a":",\"id\":\"no\"","id":"yes"}`, "yes"},
		{"id", `{"x\"id":"no","id":"yes"}`, "yes"},
		{"id", `{"x, \"id":"no"}`, spread},
		{"id", `{"\u0069d":"spelt out"}`, "spelt out"},
		{"id", `{"id":"cut off`, spread},
		{"id", "{\"id\":\"\xff\"}", "\uFFFD"},
		{"id", `{"id":"` + strings.Repeat("é", 300) + `"}`, strings.Repeat("é", 256)},
		{"geo.city", `{"geo":{"city":"x"},"city":"y"}`, "x"},
		{"geo.city", `{"geo":1}`, spread},
		{`q"`, `{"q\"":"quoted"}`, "quoted"},
		{"", `{"id":"a"}`, spread},
	} {
		k := NewKeyer(c.field)
		for range 2 { // the second time from where the first found it
			if got := string(k.Key([]byte(c.data), 255)); got != c.want {
				t.Errorf("%s of %s is %q, want %q", c.field, c.data, got, c.want)
			}
		}
	}
}

func TestKeyMovesFromRecordToRecord(t *testing.T) {
	k := NewKeyer("id")
	for _, c := range [][2]string{
		{`{"n":1,"id":"a"}`, "a"}, {`{"n":10,"id":"b"}`, "b"}, {`{"n":1,"id":"c"}`, "c"}, {`{"id":"d"}`, "d"},
		{`{"x":{"id":"e"}}`, "0"}, {`{"n":1,"id":"f"}`, "f"}, {`{"`, "0"}, {`{"o":{"id":"g"},"id":"h"}`, "h"},
	} {
		if got := string(k.Key([]byte(c[0]), 0)); got != c[1] {
			t.Errorf("%s: %q, want %q", c[0], got, c[1])
		}
	}
}

func TestKeysAllocateNothing(t *testing.T) {
	k := NewKeyer("id")
	lines := [][]byte{[]byte(`{"n":1,"id":"abc"}`), []byte(`{"n":{},"id":"a\nb"}`), []byte(`{"n":1}`)}
	if n := testing.AllocsPerRun(100, func() {
		for _, line := range lines {
			k.Key(line, 1<<60)
		}
	}); n > 0 {
		t.Fatal(n)
	}
}

// The short cuts must find what a full scan finds.
func FuzzKeyer(f *testing.F) {
	f.Add([]byte(`{"a":1,"id":"x"}`), []byte(`{"a":{"id":1},"id":"y"}`))
	f.Add([]byte(`{"a":",","id":2}`), []byte(`{"a":"\",","id":[]}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		k := NewKeyer("id")
		for _, data := range [][]byte{first, second} {
			got := string(k.Key(data, 255))
			if got == "" || !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxKey {
				t.Fatalf("key %q of %q", got, data)
			}
			if !json.Valid(data) {
				continue
			}
			want := "ff"
			if raw, ok, err := jsonscan.Field(data, "id"); ok && err == nil {
				if text, err := jsonscan.Text(nil, raw); err == nil && len(text) > 0 {
					want = string(clean(text))
				}
			}
			if got != want {
				t.Fatalf("key of %q is %q, want %q", data, got, want)
			}
		}
	})
}

func BenchmarkKey(b *testing.B) {
	k := NewKeyer("user_id")
	line := []byte(`{"event_time":"2026-01-01T00:00:00.017Z","user_id":"u1001","session_id":"2bba92c487464e7b","url":"/kitchen/10033"}`)
	for b.Loop() {
		k.Key(line, 0)
	}
}
