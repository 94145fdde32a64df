package column

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func spareSchema() *Schema {
	return &Schema{Fields: []Field{
		{"id", Type{Kind: BigInt}}, {"n", Type{Kind: BigInt}}, {"name", Type{Kind: String}},
		{"geo", Type{Kind: Struct, Fields: []Field{{"lat", Type{Kind: Double}}}}},
		{"items", Type{Kind: List, Elem: &Type{Kind: Struct, Fields: []Field{{"sku", Type{Kind: String}}}}}},
		{"_rest", Type{Kind: JSON}},
	}}
}

// row decodes one row after another of its kind, so that learned keys are used too.
func spareRow(t *testing.T, o Options, text string) (string, error) {
	t.Helper()
	d := NewDecoder(spareSchema(), nil, o)
	var err error
	for range 3 {
		err = d.Add([]byte(text), 0, 0)
	}
	b := d.Take(Origin{})
	checkArrow(t, b)
	if b.Rows == 0 {
		return "", err
	}
	first, last := AppendJSON(nil, b, 0), AppendJSON(nil, b, b.Rows-1)
	if string(first) != string(last) {
		t.Errorf("%s became %s and then %s", text, first, last)
	}
	return string(last), err
}

func TestWhatHasNoColumnGoesToTheRest(t *testing.T) {
	o := Options{Rest: "_rest", Fixed: []string{"id"}, Text: true}
	long := strings.Repeat("k", 100)
	for text, want := range map[string]string{
		`{"id":1}`:                                `{"id":1,"n":null,"name":null,"geo":null,"items":null,"_rest":null}`,
		`{"id":1, "x" : [1, 2], "y\"z":{}}`:       `{"id":1,"n":null,"name":null,"geo":null,"items":null,"_rest":{"x":[1,2],"y\"z":{}}}`,
		`{"x":null,"id":1}`:                       `{"id":1,"n":null,"name":null,"geo":null,"items":null,"_rest":null}`,
		`{"n":1.5,"id":1}`:                        `{"id":1,"n":null,"name":null,"geo":null,"items":null,"_rest":{"n":1.5}}`,
		`{"n":99999999999999999999,"name":7}`:     `{"id":null,"n":null,"name":"7","geo":null,"items":null,"_rest":{"n":99999999999999999999}}`,
		`{"name":true,"geo":"here"}`:              `{"id":null,"n":null,"name":"true","geo":null,"items":null,"_rest":{"geo":"here"}}`,
		`{"geo":{"lat":1,"alt":3}}`:               `{"id":null,"n":null,"name":null,"geo":{"lat":1},"items":null,"_rest":{"geo":{"lat":1,"alt":3}}}`,
		`{"geo":{"alt":3,"lat":"x"}}`:             `{"id":null,"n":null,"name":null,"geo":null,"items":null,"_rest":{"geo":{"alt":3,"lat":"x"}}}`,
		`{"items":[{"sku":"a"},{"x":1},{"x":2}]}`: `{"id":null,"n":null,"name":null,"geo":null,"items":[{"sku":"a"},{"sku":null},{"sku":null}],"_rest":{"items":[{"sku":"a"},{"x":1},{"x":2}]}}`,
		`{"items":[{"sku":"a"},7]}`:               `{"id":null,"n":null,"name":null,"geo":null,"items":null,"_rest":{"items":[{"sku":"a"},7]}}`,
		`{"_rest":{"a":1}}`:                       `{"id":null,"n":null,"name":null,"geo":null,"items":null,"_rest":{"_rest":{"a":1}}}`,
		`{"` + long + `":1}`:                      `{"id":null,"n":null,"name":null,"geo":null,"items":null,"_rest":{"` + long + `":1}}`,
	} {
		got, err := spareRow(t, o, text)
		if err != nil || got != want {
			t.Errorf("%s\nbecame %s\nwant   %s (%v)", text, got, want, err)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s is not JSON", got)
		}
	}
}

func TestRowsThatTheRestCannotSaveAreBad(t *testing.T) {
	o := Options{Rest: "_rest", Fixed: []string{"id"}}
	long := strings.Repeat("k", 100)
	for text, code := range map[string]string{
		`{"id":"a"}`:                          CodeMismatch, // a fixed column
		`{"n":1,"n":2}`:                       CodeDuplicate,
		`{"x":1,"x":2}`:                       CodeDuplicate, // would be one of the schema's next version
		`{"n":nope}`:                          CodeParse,
		`{"x":"` + "\xff":                     CodeParse,
		`{"n":"a"`:                            CodeParse,
		`{"` + long + `":1,"` + long + `":1}`: CodeDuplicate,
	} {
		_, err := spareRow(t, o, text)
		var bad *RowError
		if !errors.As(err, &bad) || bad.Code != code {
			t.Errorf("%s: %v, want %s", text, err, code)
		}
	}
}

func TestMisfitsAreTold(t *testing.T) {
	var got []string
	o := Options{Fixed: []string{"id"}, Text: true, Misfit: func(name, value []byte) {
		got = append(got, fmt.Sprintf("%s=%s", name, value))
	}}
	d := NewDecoder(spareSchema(), nil, o)
	for _, text := range []string{`{"id":1,"x":2,"n":3}`, `{"n":1.5}`, `{"geo":{"alt":1}}`, `{"\u0061\"":1}`, `{"id":"x"}`, `{"name":5}`} {
		_ = d.Add([]byte(text), 0, 0)
	}
	want := []string{"x=2", "n=1.5", `geo={"alt":1}`, `a"=1`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Without a column for the rest, a value that does not fit still makes the row bad.
	if d.Len() != 4 {
		t.Errorf("%d rows, want 4", d.Len())
	}
}

func TestStrictStringsTakeStringsOnly(t *testing.T) {
	schema := &Schema{Fields: []Field{{"a", Type{Kind: String}}, {"b", Type{Kind: String}}}}
	d := NewDecoder(schema, nil, Options{Text: true, Strict: []string{"a"}, Fixed: []string{"a", "b"}})
	var bad *RowError
	if err := d.Add([]byte(`{"a":1}`), 0, 0); !errors.As(err, &bad) || bad.Code != CodeMismatch {
		t.Error(err)
	}
	if err := d.Add([]byte(`{"b":1}`), 0, 0); err != nil {
		t.Error(err)
	}
}

func TestRestAllocatesNothingInTheLongRun(t *testing.T) {
	d := NewDecoder(&Schema{Fields: []Field{{"seq", Type{Kind: BigInt}}, {"_rest", Type{Kind: JSON}}}}, nil, Options{Rest: "_rest"})
	events := clickEvents(1000)
	batch := func() {
		for _, e := range events {
			if err := d.Add(e, 1, 1); err != nil {
				t.Fatal(err)
			}
		}
		d.Release(d.Take(Origin{}))
	}
	for range 5 {
		batch()
	}
	if n := testing.AllocsPerRun(10, batch); n > 2 {
		t.Errorf("%v allocations per batch", n)
	}
}

// FuzzRest checks that a row is the sum of its columns and the rest.
func FuzzRest(f *testing.F) {
	f.Add([]byte(`{"id":1,"n":1.5,"x":{"y":[1]},"geo":{"lat":1,"alt":2}}`))
	f.Add([]byte(`{"items":[{"sku":1},{"q":"\u00e9"}],"name":true}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d := NewDecoder(spareSchema(), nil, Options{Rest: "_rest", Text: true, Misfit: func(name, value []byte) {
			if !json.Valid(value) {
				t.Errorf("%q: the value of %q is %q", text, name, value)
			}
		}})
		plain := NewDecoder(&Schema{}, nil, Options{})
		err, want := d.Add(text, 0, 0), plain.Add(text, 0, 0)
		var bad *RowError
		if err != nil {
			if errors.As(err, &bad); want == nil && bad.Code != CodeDuplicate && bad.Code != CodeTooLarge && bad.Code != CodeTooDeep {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if want != nil {
			t.Fatalf("%q was taken in spite of %v", text, want)
		}
		b := d.Take(Origin{})
		checkArrow(t, b)
		if got := AppendJSON(nil, b, 0); !json.Valid(got) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
