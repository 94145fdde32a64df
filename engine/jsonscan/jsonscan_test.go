package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

var texts = []string{
	`{}`, `[]`, `null`, `true`, `false`, `""`, `0`, `-0`, `-`, `01`, `1.`, `.5`, `1e`, `1e+`, `1E-7`, `-1.5e+300`,
	`{"a":1}`, `{"a":1,}`, `{"a"}`, `{a:1}`, `[1,]`, `[,1]`, `[1 2]`, ` { "a" : [ 1 , { } , "x" ] } `,
	`"\u12"`, `"\u12gh"`, `"\x"`, `"a\"`, "\"\x00\"", "\"\n\"", `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83dx"`,
	`"\ud83d\u0041"`, "\"\xff\"", `tru`, `nul`, `truex`, `{"a":{"b":{"c":"d"}}}`, `{"a":"}\\","b":"\\\"{"}`, `{"a.b":1}`,
	`{"\u0061":1,"a":2}`, `{"a":tru}`, "", " ", `{"a":1}{"a":2}`, "{\"a\":1}\n[2]\n3 \"x\"", `[1,"]",[2],{"a":[]}]`, `[1] 2`,
}

func TestSkipAgreesWithEncodingJSON(t *testing.T) {
	for _, text := range texts {
		checkSkip(t, []byte(text))
	}
}

func checkSkip(t *testing.T, b []byte) {
	t.Helper()
	end, err := Skip(b, 0)
	valid := err == nil && Space(b, end) == len(b)
	var e *Error
	if errors.As(err, &e) && e.TooDeep {
		return
	}
	if want := json.Valid(b); valid != want {
		t.Errorf("Skip(%q) = %d, %v; json.Valid says %v", b, end, err, want)
	}
}

func TestSkipStopsAtMaxDepth(t *testing.T) {
	nest := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if _, err := Skip(nest(MaxDepth), 0); err != nil {
		t.Errorf("%d levels: %v", MaxDepth, err)
	}
	var e *Error
	if _, err := Skip(nest(MaxDepth+1), 0); !errors.As(err, &e) || !e.TooDeep {
		t.Errorf("%d levels: got %v, want TooDeep", MaxDepth+1, err)
	}
	if _, _, err := Field([]byte(`{"a":`+string(nest(MaxDepth+1))+`}`), "b"); !errors.As(err, &e) || !e.TooDeep {
		t.Errorf("Field over %d levels: got %v, want TooDeep", MaxDepth+1, err)
	}
}

func TestFieldFindsTheFirstOccurrence(t *testing.T) {
	for _, c := range []struct{ object, name, want string }{
		{`{"a":1,"a":2}`, "a", `1`},
		{` { "x" : [ "a" , {"a":1} ] , "a" : "v\"w" } `, "a", `"v\"w"`},
		{`{"x":"\\","a":{"b":"}"}}`, "a", `{"b":"}"}`},
		{`{"\u0061":true}`, "a", `true`},
		{`{"b":1}`, "a", ``},
		{`{}`, "a", ``},
		{`{"a":1, this is not looked at`, "a", `1`},
	} {
		raw, ok, err := Field([]byte(c.object), c.name)
		if err != nil || ok != (c.want != "") || string(raw) != c.want {
			t.Errorf("Field(%s, %s) = %q, %v, %v; want %q", c.object, c.name, raw, ok, err, c.want)
		}
	}
}

func TestFieldOfSomethingElseIsAnError(t *testing.T) {
	for _, text := range []string{``, `[]`, `1`, `{`, `{"a"`, `{"a":`, `{"a":}`, `{"b":1`, `{"b" 1}`, `{b:1}`, `{"b":"x}`, `{"b":[1}`} {
		if raw, ok, err := Field([]byte(text), "a"); err == nil {
			t.Errorf("Field(%s) = %q, %v without an error", text, raw, ok)
		}
	}
}

func TestPathDescendsIntoObjects(t *testing.T) {
	object := []byte(`{"geo":{"lat":1.5,"at":{"city":"Bonn"}},"n":1}`)
	for path, want := range map[string]string{"geo.lat": `1.5`, "geo.at.city": `"Bonn"`, "n": `1`, "n.x": ``, "geo.x": ``} {
		raw, ok, err := Path(object, path)
		if err != nil || ok != (want != "") || string(raw) != want {
			t.Errorf("Path(%s) = %q, %v, %v; want %q", path, raw, ok, err, want)
		}
	}
}

func TestTextAliasesWhatHasNoEscapes(t *testing.T) {
	raw := []byte(`"plain"`)
	text, err := Text(nil, raw)
	if err != nil || string(text) != "plain" || &text[0] != &raw[1] {
		t.Fatalf("got %q, %v", text, err)
	}
	for raw, want := range map[string]string{`12.50`: "12.50", `true`: "true", `null`: "", `"a\tb\u00e9\ud83d\ude00"`: "a\tbé😀"} {
		if text, err := Text(nil, []byte(raw)); err != nil || string(text) != want {
			t.Errorf("Text(%s) = %q, %v; want %q", raw, text, err, want)
		}
	}
}

func TestElementsStopsAtYieldsError(t *testing.T) {
	n := 0
	err := Elements([]byte(`[1,2,3]`), func([]byte) error {
		if n++; n == 2 {
			return io.ErrClosedPipe
		}
		return nil
	})
	if err != io.ErrClosedPipe || n != 2 {
		t.Errorf("got %v after %d elements", err, n)
	}
}

func TestScanningAllocatesNothing(t *testing.T) {
	object := []byte(`{"a":[1,2,{"b":"c\n"}],"k":"v\n","user":"x\ty"}`)
	scratch := make([]byte, 0, 64)
	count := func([]byte) error { return nil }
	if n := testing.AllocsPerRun(100, func() {
		_, _ = Skip(object, 0)
		raw, _, _ := Field(object, "user")
		_, _ = Text(scratch, raw)
		_ = Elements(object, count)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzScan holds everything against encoding/json.
func FuzzScan(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkSkip(t, b)
		checkText(t, b)
		checkElements(t, b)
		checkField(t, b)
	})
}

func checkText(t *testing.T, b []byte) {
	var want string
	if len(b) == 0 || b[0] != '"' || json.Unmarshal(b, &want) != nil || b[len(b)-1] != '"' {
		_, _ = Text(nil, b)
		return
	}
	got, err := Text(nil, b)
	// encoding/json replaces bytes that are not UTF-8; Text keeps them.
	if err != nil || utf8.Valid(b) && string(got) != want {
		t.Errorf("Text(%q) = %q, %v; want %q", b, got, err, want)
	}
}

func checkElements(t *testing.T, b []byte) {
	var got [][]byte
	err := Elements(b, func(raw []byte) error { got = append(got, raw); return nil })
	var deep *Error
	if errors.As(err, &deep) && deep.TooDeep {
		return
	}
	var want []json.RawMessage
	var wantErr error
	if trimmed := bytes.TrimLeft(b, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		wantErr = json.Unmarshal(b, &want)
	} else {
		for d := json.NewDecoder(bytes.NewReader(b)); ; {
			var raw json.RawMessage
			if wantErr = d.Decode(&raw); wantErr != nil {
				break
			}
			want = append(want, raw)
		}
		if wantErr == io.EOF {
			wantErr = nil
		}
	}
	if (err == nil) != (wantErr == nil) {
		t.Errorf("Elements(%q): %v, encoding/json: %v", b, err, wantErr)
	}
	if err != nil {
		return
	}
	if len(got) != len(want) {
		t.Fatalf("Elements(%q): %d values, encoding/json %d", b, len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("Elements(%q): value %d is %q, want %q", b, i, got[i], want[i])
		}
	}
}

func checkField(t *testing.T, b []byte) {
	d := json.NewDecoder(bytes.NewReader(b))
	valid := json.Valid(b)
	open, _ := d.Token()
	key, _ := d.Token()
	name, isString := key.(string)
	raw, ok, err := Field(b, name)
	if !valid || open != json.Delim('{') || !isString || strings.Contains(name, "\ufffd") {
		return
	}
	if errors.As(err, new(*Error)) && err.(*Error).TooDeep {
		return
	}
	var want json.RawMessage
	if e := d.Decode(&want); e != nil || err != nil || !ok || !bytes.Equal(raw, want) {
		t.Errorf("Field(%q, %q) = %q, %v, %v; want %q, %v", b, name, raw, ok, err, want, e)
	}
}
