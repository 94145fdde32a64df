package column

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// withinSchema has every kind in a struct within a struct, beside a field that is read.
func withinSchema() *Schema {
	inner := Type{Kind: Struct, Fields: append([]Field{{"read", Type{Kind: BigInt}}}, everySchema().Fields...)}
	return &Schema{Fields: []Field{{"a", Type{Kind: BigInt}}, {"s", Type{Kind: Struct, Fields: []Field{{"t", inner}, {"x", Type{Kind: String}}}}}}}
}

// TestFieldsThatNobodyReadsAreNull decodes rows whole and in part, in which some structs are null and some rows bad.
func TestFieldsThatNobodyReadsAreNull(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	whole := NewDecoder(withinSchema(), nil, Options{})
	part := NewDecoder(withinSchema(), []string{"a", Within("s", "t", "read")}, Options{})
	for _, n := range []int{1000, 0, 30, 1700} {
		for i, row := range randomRows(r, n) {
			inner := "{" + strings.TrimPrefix(strings.TrimSpace(string(row)), "{")
			if inner = fmt.Sprintf(`{"read":%d,`, i) + inner[1:]; strings.HasSuffix(inner, ",}") {
				inner = inner[:len(inner)-2] + "}"
			}
			text := fmt.Sprintf(`{"a":%d,"s":{"x":"y","t":%s}}`, i, inner)
			switch i % 7 {
			case 3:
				text = fmt.Sprintf(`{"a":%d,"s":null}`, i)
			case 5:
				text = fmt.Sprintf(`{"s":{"t":null},"a":%d}`, i)
			}
			if whole.Add([]byte(text), 0, 0) != nil {
				// What is bad in a field that is not read is no matter, but here rows are to be the same.
				_ = part.Add([]byte(`{"a":1,"s":{"t":{"read":1},"x":"\ud800"}}`), 0, 0)
				continue
			}
			if err := part.Add([]byte(text), 0, 0); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		want, got := whole.Take(Origin{}), part.Take(Origin{})
		got.Record()
		if got.Rows != want.Rows {
			t.Fatalf("%d rows, want %d", got.Rows, want.Rows)
		}
		for i := range got.Rows {
			a, b := want.Columns[1], got.Columns[1]
			if a.IsNull(i) != b.IsNull(i) || a.Children[0].IsNull(i) != b.Children[0].IsNull(i) {
				t.Fatalf("row %d is null, or should be", i)
			}
			x, y := AppendText(nil, a.Children[0].Children[0], i), AppendText(nil, b.Children[0].Children[0], i)
			if string(x) != string(y) {
				t.Fatalf("row %d has %s, want %s", i, y, x)
			}
			line := string(AppendJSON(nil, got, i))
			if rest := strings.TrimPrefix(line, fmt.Sprintf(`{"a":%d,"s":`, want.Columns[0].Int64s[i])); rest != `null}` && rest != `{"t":null}}` && rest != fmt.Sprintf(`{"t":{"read":%s}}}`, x) {
				t.Fatalf("row %d is %s", i, line)
			}
			for k, c := range b.Children[0].Children[1:] {
				if !c.Unread || !c.IsNull(i) || len(a.Children[0].Children[1+k].Children) != len(c.Children) {
					t.Fatalf("row %d has a value in field %d", i, k)
				}
			}
		}
		whole.Release(want)
		part.Release(got)
	}
}

func TestAFieldThatNobodyReadsIsCheckedAsJSONOnly(t *testing.T) {
	for row, good := range map[string]bool{
		`{"s":{"x":5}}`:           true,
		`{"s":{"x":5,"x":6}}`:     false,
		`{"s":{"x":tru}}`:         false,
		`{"s":{"x":"\ud800"}}`:    false,
		`{"s":{"t":{"read":""}}}`: false,
	} {
		d := NewDecoder(withinSchema(), []string{Within("s", "t", "read")}, Options{})
		if err := d.Add([]byte(row), 0, 0); (err == nil) != good {
			t.Errorf("%s: %v", row, err)
		}
	}
}

func TestFieldsAreWhole(t *testing.T) {
	for name, d := range map[string]*Decoder{
		"the column is needed, too":  NewDecoder(withinSchema(), []string{Within("s", "x"), "s"}, Options{}),
		"the column is needed first": NewDecoder(withinSchema(), []string{"s", Within("s", "x")}, Options{}),
		"misfits are asked for":      NewDecoder(withinSchema(), []string{Within("s", "x")}, Options{Misfit: func(_, _ []byte) {}}),
	} {
		if err := d.Add([]byte(`{"s":{"t":{"read":5}}}`), 0, 0); err != nil {
			t.Fatal(err)
		}
		if c := d.Take(Origin{}).Columns[1].Children[0].Children[0]; c.Unread || c.IsNull(0) || c.Int64s[0] != 5 {
			t.Errorf("%s, but a field within it is not read", name)
		}
	}
}
