package filter

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/transforms"
)

var schema = &column.Schema{Fields: []column.Field{
	{Name: "id", Type: column.Type{Kind: column.BigInt}},
	{Name: "action", Type: column.Type{Kind: column.String}},
	{Name: "price", Type: column.Type{Kind: column.Double}},
}}

func compile(t *testing.T, where string) transforms.Transform {
	t.Helper()
	f, err := Component().Open(&Config{Where: where}, schema)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// clicks has rows whose ids are their places.
func clicks(t *testing.T) *column.Batch {
	t.Helper()
	d := column.NewDecoder(schema, nil, column.Options{})
	for _, row := range []string{
		`{"id":0,"action":"purchase","price":1}`,
		`{"id":1,"action":"view"}`,
		`{"id":2,"action":"purchase"}`,
		`{"id":3,"price":9.5}`,
		`{"id":4,"action":"purchase","price":20}`,
	} {
		if err := d.Add([]byte(row), 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	return d.Take(column.Origin{Stream: "clicks"})
}

func TestRowsPassForWhichTheConditionIsTrue(t *testing.T) {
	for _, c := range []struct {
		where string
		want  []int32
	}{
		{"action = 'purchase'", []int32{0, 2, 4}},
		{"price > 5", []int32{3, 4}},
		{"NOT price > 5", []int32{0}},
		{"price IS NULL", []int32{1, 2}},
		{"action = 'purchase' AND price < 5", []int32{0}},
		{"id < 0", []int32{}},
		{"id >= 0", []int32{0, 1, 2, 3, 4}},
	} {
		t.Run(c.where, func(t *testing.T) {
			out, outcome, err := compile(t, c.where).Apply(clicks(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, out.Selection); diff != "" {
				t.Errorf("selection (-want +got):\n%s", diff)
			}
			if got := outcome.Counts; got.In != 5 || got.Passed != int64(len(c.want)) || got.Filtered != 5-got.Passed {
				t.Errorf("counts: %+v", got)
			}
			if out.Rows != 5 || out.Schema != schema || out.Origin.Stream != "clicks" {
				t.Errorf("the batch changed: %+v", out)
			}
		})
	}
}

// A nil selection is that of all rows, so a filter that lets nothing through must not return one.
func TestNothingLeftIsNotEverything(t *testing.T) {
	f := compile(t, "id < 0")
	for range 2 {
		out, _, err := f.Apply(clicks(t))
		if err != nil {
			t.Fatal(err)
		}
		if out.Selected() != 0 {
			t.Errorf("%d rows selected", out.Selected())
		}
	}
}

func TestFiltersNarrowWhatIsSelected(t *testing.T) {
	b := clicks(t)
	first, _, err := compile(t, "action = 'purchase'").Apply(b)
	if err != nil {
		t.Fatal(err)
	}
	second, outcome, err := compile(t, "price > 5").Apply(first)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int32{4}, second.Selection); diff != "" {
		t.Errorf("selection (-want +got):\n%s", diff)
	}
	if got := outcome.Counts; got.In != 3 || got.Passed != 1 || got.Filtered != 2 {
		t.Errorf("counts: %+v", got)
	}
	if b.Selection != nil || len(first.Selection) != 3 {
		t.Errorf("an input was changed: %v, %v", b.Selection, first.Selection)
	}
}

func TestNeedsAddsTheColumnsOfTheCondition(t *testing.T) {
	f := compile(t, "action = 'purchase'")
	for _, c := range []struct{ wanted, want []string }{
		{[]string{"price"}, []string{"price", "action"}},
		{[]string{"action", "id"}, []string{"action", "id"}},
		{nil, []string{"action"}},
	} {
		if diff := cmp.Diff(c.want, f.Needs(c.wanted)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.wanted, diff)
		}
	}
}

func TestMistakesPointIntoTheCondition(t *testing.T) {
	for _, where := range []string{"pri > 5", "price >", "price + 1"} {
		_, err := Component().Open(&Config{Where: where}, schema)
		var at *config.PathError
		var mistake *sql.Error
		if !errors.As(err, &at) || at.Path != "where" || !errors.As(err, &mistake) {
			t.Errorf("%s: got %v, want an SQL error at where", where, err)
		}
	}
}
