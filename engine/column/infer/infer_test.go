package infer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
)

func sampleOf(t *testing.T, rows ...string) *Sample {
	t.Helper()
	s := New(Limits{})
	for _, r := range rows {
		if err := s.Add([]byte(r)); err != nil {
			t.Fatalf("%s: %v", r, err)
		}
	}
	return s
}

func schemaText(s *column.Schema) string {
	return column.Type{Kind: column.Struct, Fields: s.Fields}.String()
}

func TestTypeTakesAllValues(t *testing.T) {
	for _, c := range []struct{ values, want string }{
		{`true false null`, "boolean"},
		{`1 -2`, "bigint"},
		{`1 2.5`, "double"},
		{`1.0`, "double"},
		{`9007199254740993 1.5`, "string"}, // a double would lose a digit
		{`9007199254740993 1`, "bigint"},
		{`18446744073709551615`, "string"},
		{`1e999`, "string"},
		{`"2026-01-01T00:00:00Z" "2026-01-02 10:00:00"`, "timestamp"},
		{`"2026-01-01T00:00:00Z" "soon"`, "string"},
		{`"2026-01-01T00:00:00Z" 5`, "string"},
		{`"2026-01-01" "2026-02-28"`, "date"},
		{`"2026-01-01" "2026-02-30"`, "string"},
		{`"2026-01-01" "2026-01-01T00:00:00Z"`, "string"},
		{`"123e4567-e89b-12d3-a456-426614174000" null`, "uuid"},
		{`""`, "string"},
		{`1 "a" true`, "string"},
		{`{"a":1} {"b":"x"}`, "{a: bigint, b: string}"},
		{`[] [1] [2.5,null]`, "[double]"},
		{`[[1],["x"]]`, "[[string]]"},
		{`{"a":1} 5`, "json"},
		{`{"a":1} [1]`, "json"},
		{`[{"a":1},5]`, "[json]"},
		{`null`, ""},
		{`[] {}`, "json"},
		{`[]`, ""},
		{`{} {"a":null}`, ""},
	} {
		s := New(Limits{})
		for v := range strings.SplitSeq(c.values, " ") {
			if strings.HasPrefix(v, "10:00") {
				continue
			}
			if v == `"2026-01-02` {
				v = `"2026-01-02 10:00:00"`
			}
			if err := s.Add([]byte(`{"v":` + v + `}`)); err != nil {
				t.Fatal(err)
			}
		}
		want := "{v: " + c.want + "}"
		if c.want == "" {
			want = "{}"
		}
		if got := schemaText(s.Schema(MixedText)); got != want {
			t.Errorf("%s: %s, want %s", c.values, got, want)
		}
	}
}

func TestDeclaredSchemasHoldMixedScalarsAsJSON(t *testing.T) {
	s := sampleOf(t, `{"v":1}`, `{"v":"a"}`)
	if got := schemaText(s.Schema(MixedJSON)); got != "{v: json}" {
		t.Error(got)
	}
}

func TestFieldsComeInTheOrderOfTheRecords(t *testing.T) {
	s := sampleOf(t, `{"z":1,"m":2,"a":3}`, `{"z":1,"new":9,"m":2,"a":3}`)
	if got := s.Schema(MixedText).Names(); !cmp.Equal(got, []string{"z", "new", "m", "a"}) {
		t.Error(got)
	}
}

func TestWhatIsNoRowIsLeftOut(t *testing.T) {
	s := New(Limits{})
	for _, bad := range []string{``, `5`, `[]`, `{"a":1`, `{"a":1,"a":2}`, `{"a":{"b":1,"\u0062":2}}`, "{\"a\":\"\xff\"}", `{"a":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`} {
		var row *column.RowError
		if err := s.Add([]byte(bad)); !errors.As(err, &row) {
			t.Errorf("%.40s: %v", bad, err)
		}
	}
	if s.Rows() != 0 || s.Bad() != 8 || len(s.Schema(MixedText).Fields) != 0 {
		t.Errorf("%d rows, %d bad, %v", s.Rows(), s.Bad(), s.Schema(MixedText))
	}
}

func TestMapsAndDepthsBecomeJSON(t *testing.T) {
	s := New(Limits{Keys: 3, Depth: 4})
	for i := range 5 {
		if err := s.Add(fmt.Appendf(nil, `{"few":{"a":1,"b":{"c":{"d":{"e":1}}}},"map":{"k%d":1}}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	if got := schemaText(s.Schema(MixedText)); got != "{few: {a: bigint, b: {c: {d: json}}}, map: json}" {
		t.Error(got)
	}
}

func TestRecordsThatAreMapsAreReported(t *testing.T) {
	s := New(Limits{Fields: 100})
	var err error
	for i := 0; i < 200 && err == nil; i++ {
		err = s.Add(fmt.Appendf(nil, `{"k%d":1}`, i))
	}
	if !errors.Is(err, ErrTooManyFields) {
		t.Error(err)
	}
}

func TestStatistics(t *testing.T) {
	s := New(Limits{})
	for i := range 2000 {
		row := fmt.Sprintf(`{"id":%d,"flag":%t,"name":"user %04d"}`, i, i%2 == 0, i%700)
		if i%4 == 0 {
			row = fmt.Sprintf(`{"id":%d,"flag":null}`, i)
		}
		if err := s.Add([]byte(row)); err != nil {
			t.Fatal(err)
		}
	}
	columns := s.Columns(MixedText)
	id, flag, name := columns[0], columns[1], columns[2]
	if id.Min != "0" || id.Max != "1999" || id.Nulls != 0 || id.Distinct < 1500 || id.Distinct > 2000 || len(id.Examples) != examples {
		t.Errorf("id: %+v", id)
	}
	if flag.Distinct != 2 || flag.Nulls != 500 || flag.Type != "boolean" {
		t.Errorf("flag: %+v", flag)
	}
	if name.Nulls != 500 || name.Values != 1500 || name.Min != "user 0001" || name.Distinct < 350 || name.Distinct > 750 {
		t.Errorf("name: %+v", name)
	}
}

func TestConflictsAreNamed(t *testing.T) {
	s := sampleOf(t, `{"ok":1,"v":1,"o":{"w":[1,"x"]}}`, `{"ok":2.5,"v":"a","o":{"w":[]}}`)
	want := []Conflict{
		{Path: "v", Type: "string", Kinds: map[string]int64{"bigint": 1, "string": 1}},
		{Path: "o.w[]", Type: "string", Kinds: map[string]int64{"bigint": 1, "string": 1}},
	}
	if diff := cmp.Diff(want, Conflicts(s.Columns(MixedText))); diff != "" {
		t.Error(diff)
	}
}

// value is a random JSON value that may nest.
func value(r *rand.Rand, depth int) string {
	switch n := r.IntN(14); {
	case n == 0:
		return "null"
	case n == 1:
		return fmt.Sprint(r.IntN(2) == 0)
	case n < 5:
		return fmt.Sprint(r.Int64() >> r.IntN(64))
	case n == 5:
		return fmt.Sprintf("%d%d", r.Int64(), r.Int64())
	case n < 8:
		return fmt.Sprint(r.NormFloat64())
	case n == 8:
		return fmt.Sprintf(`"2026-01-%02dT00:00:00Z"`, 1+r.IntN(28))
	case n == 9:
		return fmt.Sprintf(`"2026-01-%02d"`, 1+r.IntN(28))
	case n == 10:
		return fmt.Sprintf(`"text %d"`, r.IntN(9))
	case depth == 0:
		return "[]"
	case n == 11:
		var elems []string
		for range r.IntN(3) {
			elems = append(elems, value(r, depth-1))
		}
		return "[" + strings.Join(elems, ", ") + "]"
	}
	return object(r, depth-1)
}

func object(r *rand.Rand, depth int) string {
	var fields []string
	for _, k := range r.Perm(6)[:r.IntN(6)] {
		fields = append(fields, fmt.Sprintf(`"f%d" : %s`, k, value(r, depth)))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

// checkSample holds what the package promises of any sample.
func checkSample(t *testing.T, r *rand.Rand, rows []string) {
	t.Helper()
	one, other := New(Limits{}), New(Limits{})
	var good []string
	for _, row := range rows {
		if one.Add([]byte(row)) == nil {
			good = append(good, row)
		}
	}
	for _, i := range r.Perm(len(good)) {
		if err := other.Add([]byte(good[i])); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(one.Columns(MixedText), other.Columns(MixedText)); diff != "" {
		t.Fatalf("the order of the rows matters: %s", diff)
	}
	for _, m := range []Mixed{MixedText, MixedJSON} {
		schema := one.Schema(m)
		if diff := cmp.Diff(schema, other.Schema(m)); diff != "" {
			t.Fatalf("the order of the rows matters: %s", diff)
		}
		if err := schema.Validate(); err != nil {
			t.Fatal(err)
		}
		d := column.NewDecoder(schema, nil, column.Options{Text: m == MixedText})
		for _, row := range good {
			if err := d.Add([]byte(row), 0, 0); err != nil {
				t.Fatalf("%s is no row of %s: %v", row, schemaText(schema), err)
			}
		}
	}
}

func TestEverySampledRowFitsInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var rows []string
		for range 1 + r.IntN(8) {
			rows = append(rows, object(r, 3))
		}
		checkSample(t, r, rows)
	}
}

func FuzzSample(f *testing.F) {
	f.Add("{\"a\":1}\n{\"a\":\"x\",\"b\":[{\"c\":null}]}")
	f.Add("{\"\":1,\"t\":\"2026-01-01\"}\n{\"t\":[]}\n{\"t\":{}}")
	f.Fuzz(func(t *testing.T, text string) {
		checkSample(t, rand.New(rand.NewPCG(1, 2)), strings.Split(text, "\n"))
	})
}

func TestJoinIsTheLeastThatTakesBoth(t *testing.T) {
	scalar := func(k column.Kind) column.Type { return column.Type{Kind: k} }
	list := func(e column.Type) column.Type { return column.Type{Kind: column.List, Elem: &e} }
	object := func(fields ...column.Field) column.Type { return column.Type{Kind: column.Struct, Fields: fields} }
	for _, c := range []struct {
		have, seen column.Type
		want       string
	}{
		{scalar(column.Int), scalar(column.BigInt), "bigint"},
		{scalar(column.BigInt), scalar(column.Double), "double"},
		{scalar(column.Double), scalar(column.BigInt), "double"},
		{scalar(column.Float), scalar(column.BigInt), "double"},
		{scalar(column.BigInt), scalar(column.String), "string"},
		{scalar(column.Boolean), scalar(column.BigInt), "string"},
		{scalar(column.Timestamp), scalar(column.String), "string"},
		{scalar(column.String), scalar(column.BigInt), "string"},
		{scalar(column.BigInt), object(), "bigint"},
		{scalar(column.JSON), scalar(column.BigInt), "json"},
		{column.Type{Kind: column.Decimal, Precision: 9}, scalar(column.String), "decimal(9,0)"},
		{list(scalar(column.BigInt)), list(scalar(column.Double)), "[double]"},
		{object(column.Field{Name: "a", Type: scalar(column.BigInt)}), object(column.Field{Name: "b", Type: scalar(column.String)}, column.Field{Name: "a", Type: scalar(column.Double)}), "{a: double, b: string}"},
	} {
		if got := Join(c.have, c.seen, true).String(); got != c.want {
			t.Errorf("%s with %s: %s, want %s", c.have, c.seen, got, c.want)
		}
		if kept := Join(c.have, c.seen, false); len(kept.Fields) != len(c.have.Fields) {
			t.Errorf("%s with %s gets new fields unasked", c.have, c.seen)
		}
		once := Join(c.have, c.seen, true)
		if again := Join(once, c.seen, true); !again.Equal(once) {
			t.Errorf("%s with %s goes on to %s", c.have, c.seen, again)
		}
	}
}
