package column

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestBuilderCopiesAnyColumn builds every kind again, value by value.
func TestBuilderCopiesAnyColumn(t *testing.T) {
	d := NewDecoder(everySchema(), nil, Options{})
	for _, row := range randomRows(rand.New(rand.NewPCG(3, 4)), 500) {
		_ = d.Add(row, 0, 0)
	}
	b := d.Take(Origin{})
	columns := make([]*Column, len(b.Columns))
	for k, c := range b.Columns {
		copied := NewBuilder(c.Type)
		for i := range b.Rows {
			copied.AppendFrom(c, i)
		}
		columns[k] = copied.Finish()
		if copied.Len() != 0 {
			t.Errorf("%d rows left after Finish", copied.Len())
		}
		copied.AppendFrom(c, 0) // Must not reach into the finished column.
		copied.AppendNull()
	}
	got, err := NewBatch(b.Schema, columns)
	if err != nil {
		t.Fatal(err)
	}
	checkArrow(t, got)
	if HashRows(got) != HashRows(b) {
		t.Error("the copy has another hash")
	}
}

func TestBuilderNests(t *testing.T) {
	list := NewBuilder(Type{Kind: List, Elem: &Type{Kind: Struct, Fields: []Field{{"a", Type{Kind: BigInt}}}}})
	for row := range 3 {
		for v := range row {
			list.Child(0).Child(0).AppendInt64(int64(v))
			list.Child(0).EndStruct()
		}
		list.EndList()
	}
	list.AppendNull()
	c := list.Finish()
	for i, want := range []string{`[]`, `[{"a":0}]`, `[{"a":0},{"a":1}]`, `NULL`} {
		if got := string(AppendText(nil, c, i)); got != want {
			t.Errorf("row %d is %s, want %s", i, got, want)
		}
	}
}

func TestNewBatchRefusesRaggedColumns(t *testing.T) {
	schema := &Schema{Fields: []Field{{"a", Type{Kind: BigInt}}, {"b", Type{Kind: String}}}}
	a := Int64s(Type{Kind: BigInt}, []int64{1, 2}, nil)
	for name, b := range map[string]*Column{
		"too short":     Strings([]string{"x"}, nil),
		"no values":     {Type: Type{Kind: String}, Len: 2},
		"short bitmap":  {Type: Type{Kind: Int}, Len: 2, Int32s: []int32{1, 2}, Valid: Bitmap{}},
		"no such kind":  {Len: 2},
		"short decimal": {Type: Type{Kind: Decimal, Precision: 20}, Len: 2, Fixed: make([]byte, 31)},
	} {
		if _, err := NewBatch(schema, []*Column{a, b}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := NewBatch(schema, []*Column{a}); err == nil {
		t.Error("a column is missing")
	}
	b, err := NewBatch(schema, []*Column{a, Strings([]string{"x", ""}, Bitmap{1})})
	if err != nil || string(AppendJSON(nil, b, 1)) != `{"a":2,"b":null}` || b.Columns[1].Nulls != 1 {
		t.Errorf("%v, %s", err, AppendJSON(nil, b, 1))
	}
}

func TestTextOfValues(t *testing.T) {
	for want, c := range map[string]*Column{
		"true":                       Bools(Bitmap{1}, nil, 1),
		"-5":                         Int32s(Type{Kind: Int}, []int32{-5}, nil),
		"1969-12-31":                 Int32s(Type{Kind: Date}, []int32{-1}, nil),
		"23:59:59.5":                 Int64s(Type{Kind: Time}, []int64{86399500000}, nil),
		"1969-12-31T23:59:59.99999Z": Int64s(Type{Kind: Timestamp}, []int64{-10}, nil),
		"-0.05":                      Int64s(Type{Kind: Decimal, Precision: 5, Scale: 2}, []int64{-5}, nil),
		"12":                         Int64s(Type{Kind: Decimal, Precision: 5}, []int64{12}, nil),
		"NaN":                        Float64s([]float64{math.NaN()}, nil),
		"-Inf":                       Float32s([]float32{float32(math.Inf(-1))}, nil),
		"1e-9":                       Float64s([]float64{1e-9}, nil),
		`a"b`:                        Strings([]string{`a"b`}, nil),
		"AQI=":                       Texts(Type{Kind: Binary}, []int32{0, 2}, []byte{1, 2}, nil),
		"NULL":                       Strings([]string{""}, Bitmap{0}),
		"b":                          Coded([]int32{1}, &Dict{Offsets: []int32{0, 1, 2}, Bytes: []byte("ab")}, 2, nil),
	} {
		if got := string(AppendText(nil, c, 0)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	schema := &Schema{Fields: []Field{{"d", Type{Kind: Double}}}}
	b, _ := NewBatch(schema, []*Column{Float64s([]float64{math.Inf(1)}, nil)})
	if got := string(AppendJSON(nil, b, 0)); got != `{"d":null}` {
		t.Errorf("infinity is %s in JSON", got)
	}
}

func TestFloatsAreWrittenAsEncodingJSONWritesThem(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	scales := []float64{1, 10, 100, 1e4, 1e6, 1e7, 1e12}
	for i := range 50_000 {
		v := math.Float64frombits(r.Uint64())
		if i%2 == 0 {
			v = float64(r.Int64N(1<<40)-1<<39) / scales[r.IntN(len(scales))]
		}
		if want, err := json.Marshal(v); err == nil {
			if got := appendFloat(nil, v, 64); string(got) != string(want) {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
	}
}

func TestCodedAndPlainStringsHashTheSame(t *testing.T) {
	schema := &Schema{Fields: []Field{{"s", Type{Kind: String}}}}
	dict := &Dict{Offsets: []int32{0, 1, 3, 3}, Bytes: []byte("abcd")}
	coded, _ := NewBatch(schema, []*Column{Coded([]int32{1, 0, 0, 2}, dict, 3, Bitmap{0b1011})})
	plain, _ := NewBatch(schema, []*Column{Strings([]string{"bc", "a", "x", ""}, Bitmap{0b1011})})
	if HashRows(coded) != HashRows(plain) {
		t.Error("hashes differ")
	}
}

func TestTimestampsReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		v := minTimestamp + r.Int64N(maxTimestamp-minTimestamp+1)
		if r.IntN(2) == 0 {
			v -= v % 1000
		}
		text := AppendTimestamp(nil, v)
		if want := time.UnixMicro(v).UTC().Format(time.RFC3339Nano); string(text) != want {
			t.Fatalf("%d is %s, want %s", v, text, want)
		}
		if got, err := ParseTimestamp(text); err != nil || got != v {
			t.Fatalf("%s reads back as %d, %v; want %d", text, got, err, v)
		}
	}
	if got := string(AppendTimestamp(nil, math.MaxInt64)); got == "" {
		t.Error("nothing for a timestamp far out")
	}
	for _, text := range []string{"", "x", "2026-01-02", "2026-02-30T00:00:00Z"} {
		if _, err := ParseTimestamp([]byte(text)); err == nil {
			t.Errorf("%q is a timestamp", text)
		}
	}
}

func TestSchemaValidateNamesTheMistake(t *testing.T) {
	deep := Type{Kind: BigInt}
	for range MaxDepth {
		inner := deep
		deep = Type{Kind: List, Elem: &inner}
	}
	for want, fields := range map[string][]Field{
		`a field has no name`:                                   {{"", Type{Kind: Int}}},
		`field "a" is declared twice`:                           {{"a", Type{Kind: Int}}, {"a", Type{Kind: Int}}},
		`a: unknown type`:                                       {{"a", Type{}}},
		`a: decimal precision 39 is not within 1 to 38`:         {{"a", Type{Kind: Decimal, Precision: 39}}},
		`a: decimal scale 6 is not within 0 to the precision 5`: {{"a", Type{Kind: Decimal, Precision: 5, Scale: 6}}},
		`a: a list needs an element type`:                       {{"a", Type{Kind: List}}},
		`a: nested more than 64 deep`:                           {{"a", deep}},
		`a: b: unknown type`:                                    {{"a", Type{Kind: Struct, Fields: []Field{{"b", Type{Kind: 99}}}}}},
	} {
		if err := (&Schema{Fields: fields}).Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := everySchema().Validate(); err != nil {
		t.Error(err)
	}
}

func TestTypeIsSpelledAsInYAML(t *testing.T) {
	s := everySchema()
	want := map[string]string{"decimal": "decimal(10,2)", "wide": "decimal(38,10)", "list": "[[string]]",
		"structs": "[{a: bigint, b: string}]", "struct": "{s: string, in: {d: double}}"}
	for _, f := range s.Fields {
		w, ok := want[f.Name]
		if !ok {
			w = f.Name
		}
		if got := f.Type.String(); got != w || !f.Type.Equal(f.Type) || f.Type.Equal(Type{}) {
			t.Errorf("%s is spelled %s", f.Name, got)
		}
	}
}
